package jobs

import (
	"errors"
	"strings"
)

// Errors that callers meet. Compare with errors.Is.
var (
	ErrNotFound            = errors.New("no such job")
	ErrState               = errors.New("the job's state does not allow this")
	ErrUnknownFunction     = errors.New("unknown function")
	ErrIdempotencyMismatch = errors.New("the idempotency key was used for another request")

	// ErrKeyHeld says that the transaction of another submission holds the idempotency key, or the key of a rule, for
	// longer than keyPatience. Nothing was inserted: try again later.
	ErrKeyHeld = errors.New("another submission with the same key is under way")
	// ErrThrottled says that a throttle has no room: within ten years when it puts off, or now, when it drops and
	// the newest job is deleted that the answer would have been.
	ErrThrottled = errors.New("the throttle has no room")
	// ErrNotAlone is of jobs that are valid in a SubmitAll of which others are not.
	ErrNotAlone = errors.New("nothing was submitted, because of others of the batch")
	ErrStopped  = errors.New("the job service is not running")

	// ErrNotBegun is for executors: the attempt's time was over before there was room for the function to begin. The
	// job is handed back, and the attempt does not count.
	ErrNotBegun = errors.New("there was no room for the function to begin")

	// ErrSoftTimeout is why the context of a Go function ended whose soft timeout is over (context.Cause).
	ErrSoftTimeout = errors.New("the soft timeout of the attempt is over")

	// ErrInterrupted is for executors: the attempt was cut short by no fault of its function, such as the end of a
	// process that it shared with another. The job is handed back, and the attempt does not count.
	ErrInterrupted = errors.New("the attempt was cut short by no fault of the function")

	// ErrUnavailable wraps whatever kept the database from taking a submission. The jobs may still have been
	// inserted when the connection broke during the commit: an idempotency key makes trying again safe.
	ErrUnavailable = errors.New("the database did not take the jobs")
)

// ValidationError lists everything that is wrong with a request.
type ValidationError struct {
	Fields []FieldError `json:"fields"`
}

// FieldError is one mistake: the field in dotted form (input, options.queue) and what is wrong with it.
type FieldError struct {
	Field   string `json:"field"`
	Pointer string `json:"pointer,omitempty"` // JSON pointer (RFC 6901) into the field, when it is about a part of it
	Message string `json:"message"`
}

// Error names each field and its mistake.
func (e *ValidationError) Error() string {
	parts := make([]string, len(e.Fields))
	for i, field := range e.Fields {
		parts[i] = field.Field + field.Pointer + ": " + field.Message
	}

	return "invalid request: " + strings.Join(parts, "; ")
}

func (e *ValidationError) Add(field, message string) {
	e.Fields = append(e.Fields, FieldError{Field: field, Message: message})
}

// orNil is e as an error, or nil when nothing is wrong.
func (e *ValidationError) OrNil() error {
	if len(e.Fields) == 0 {
		return nil
	}

	return e
}
