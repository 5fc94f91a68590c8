package jobs

import (
	"encoding/json"
	"errors"
)

// Codes of failures. They are part of the API: users branch on them.
const (
	CodeException       = "exception"        // the function threw
	CodeTimeout         = "timeout"          // it took longer than its timeout
	CodeSoftTimeout     = "soft_timeout"     // it stopped itself when told that its soft timeout was over
	CodeMemoryLimit     = "memory_limit"     // it needed more memory than it may have
	CodeStalled         = "stalled"          // it waits for something that cannot happen any more
	CodeCancelled       = "cancelled"        // somebody cancelled the job
	CodeUnknownFunction = "unknown_function" // no such function when the attempt began
	CodeInvalidOutput   = "invalid_output"   // what it returned is no JSON, or too large
	CodeRuntime         = "runtime"          // our fault, or the runtime's
	CodeWorkerLost      = "worker_lost"      // the node that ran it died
	CodeSuspensions     = "suspensions"      // it was put off too often
	CodeDiverged        = "diverged"         // its code asked for other steps than before
	CodePanic           = "panic"            // a native function panicked
)

// Failure is why an attempt failed. It is an error, so that executors return it.
type Failure struct { //nolint:errname // users know it as a job's failure
	Code      string `json:"code"`
	Message   string `json:"message"`
	Stack     string `json:"stack,omitempty"`
	Retryable bool   `json:"retryable"` // false ends the job although attempts are left
}

// Error returns the code and the message.
func (f *Failure) Error() string { return f.Code + ": " + f.Message }

// FailureOf returns the *Failure within err, or wraps any other error as a retryable failure of the runtime.
// It returns nil for nil.
func FailureOf(err error) *Failure {
	if err == nil {
		return nil
	}

	if failure, ok := errors.AsType[*Failure](err); ok {
		return failure
	}

	return &Failure{Code: CodeRuntime, Message: err.Error(), Retryable: true}
}

// lostFailure is what an attempt is remembered by whose node is gone.
func lostFailure() *Failure {
	return &Failure{Code: CodeWorkerLost, Message: "the node that ran this attempt is gone", Retryable: true}
}

// attemptError is one element of river_job.errors, in River's own shape, so that River's tools can show it.
type attemptError struct {
	At      string `json:"at"`
	Attempt int    `json:"attempt"`
	Error   string `json:"error"` // our failure as JSON, or plain text when River wrote it
	Trace   string `json:"trace"`
}

// decodeFailure reads an element of river_job.errors back. River's own entries are plain text.
func decodeFailure(element []byte) *Failure {
	if len(element) == 0 {
		return nil
	}

	var entry attemptError
	if err := json.Unmarshal(element, &entry); err != nil {
		return &Failure{Code: CodeRuntime, Message: "unreadable error entry", Retryable: true}
	}

	var failure Failure
	if err := json.Unmarshal([]byte(entry.Error), &failure); err != nil || failure.Code == "" {
		failure = Failure{Code: CodeRuntime, Message: entry.Error, Retryable: true}
	}

	if failure.Stack == "" {
		failure.Stack = entry.Trace
	}

	return &failure
}
