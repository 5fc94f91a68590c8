package jobs

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/riverqueue/river/rivertype"

	"github.com/millrace-dev/millrace/internal/postgres"
)

// outcome is what an attempt came to, and the row's next state.
type outcome struct {
	state     rivertype.JobState
	output    json.RawMessage // of completed
	failure   *Failure        // of the others; nil when the row is handed back (available) or on (scheduled)
	delay     time.Duration   // of retryable and scheduled: until the next attempt
	suspended int             // of scheduled: how often the job was suspended, this time included
	handed    int             // of scheduled: how often the job was handed on, this time included
	version   string
}

const (
	maxFailureMessage = 4 << 10  // bytes of a stored message
	maxFailureStack   = 16 << 10 // bytes of a stored stack
)

// completed is the outcome of a function that returned output, unless that cannot be stored.
func (a *attempt) completed(output json.RawMessage, limit int, settings Settings) outcome {
	if len(output) == 0 {
		output = json.RawMessage("null")
	}

	if err := checkJSON(output, limit); err != nil {
		return a.failed(&Failure{Code: CodeInvalidOutput, Message: "the output " + err.Error()}, settings)
	}

	return outcome{state: rivertype.JobStateCompleted, output: output, version: settings.Version}
}

// failed decides between another attempt and the end.
func (a *attempt) failed(failure *Failure, settings Settings) outcome {
	out := outcome{state: rivertype.JobStateDiscarded, failure: failure, version: settings.Version}
	if failure.Retryable && a.number < a.max {
		out.state = rivertype.JobStateRetryable
		out.delay = settings.Backoff.Delay(a.counted())

		if a.run.Backoff != nil {
			out.delay = a.run.Backoff.Delay(a.counted())
		}
	}

	return out
}

// stopped is the outcome of a function that failed after its context had ended for cause.
func (a *attempt) stopped(cause error, failure *Failure, timeout time.Duration, settings Settings) outcome {
	switch {
	case errors.Is(cause, errDraining), errors.Is(cause, errSuperseded):
		return released(settings.Version)
	case errors.Is(cause, errCancelled):
		return outcome{
			state:   rivertype.JobStateCancelled,
			failure: &Failure{Code: CodeCancelled, Message: "the job was cancelled while it ran"},
			version: settings.Version,
		}
	case errors.Is(cause, errTimedOut):
		return a.failed(&Failure{
			Code:      CodeTimeout,
			Message:   fmt.Sprintf("the function took longer than its timeout of %s", timeout),
			Stack:     failure.Stack,
			Retryable: true,
		}, settings)
	}

	return a.failed(failure, settings)
}

// unknown is the outcome when no such function is deployed.
func (a *attempt) unknown() outcome {
	return outcome{
		state:   rivertype.JobStateDiscarded,
		failure: &Failure{Code: CodeUnknownFunction, Message: "no function " + a.function + " is deployed"},
	}
}

// released hands the row back. Its attempt does not count.
func released(version string) outcome {
	return outcome{state: rivertype.JobStateAvailable, version: version}
}

// failureOf is FailureOf with the executor's own sentinel understood and the texts cut to what is stored.
func failureOf(err error) *Failure {
	failure := *FailureOf(err)
	failure.Message = postgres.Storable(failure.Message, maxFailureMessage)
	failure.Stack = postgres.Storable(failure.Stack, maxFailureStack)

	if failure.Code == "" {
		failure.Code = CodeRuntime
	}

	return &failure
}

// errorEntry is the failure as an element of river_job.errors.
func (a *attempt) errorEntry(failure *Failure) json.RawMessage {
	text, _ := json.Marshal(failure)       //nolint:errchkjson // strings and a bool
	entry, _ := json.Marshal(attemptError{ //nolint:errchkjson // strings and a number
		At:      time.Now().UTC().Format(time.RFC3339Nano),
		Attempt: a.number,
		Error:   string(text),
	})

	return entry
}
