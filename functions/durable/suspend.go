package durable

import (
	"context"
	"errors"
	"time"

	"github.com/millrace-dev/millrace/jobs"
	"github.com/millrace-dev/millrace/jobs/steps"
)

// Suspension is how the attempt ends that has nothing to do but wait: nil when nothing waits. What is to be written is
// written first.
func (r *Run) Suspension(ctx context.Context) (*jobs.Suspension, error) {
	suspension := r.waiting()
	if suspension == nil {
		return nil, nil //nolint:nilnil // nothing waits
	}

	return suspension, r.writeValues(ctx)
}

// waiting finds the operation that is due next.
func (r *Run) waiting() *jobs.Suspension {
	r.mu.Lock()
	defer r.mu.Unlock()

	var (
		first time.Time
		waits bool
	)

	for op := range r.underWay {
		if op.State != steps.StateWaiting || op.mine {
			continue
		}

		waits = true

		if !op.due.IsZero() && (first.IsZero() || op.due.Before(first)) {
			first = op.due
		}
	}

	switch {
	case !waits:
		return nil
	case first.IsZero():
		return &jobs.Suspension{Delay: -1}
	default:
		return &jobs.Suspension{Delay: max(time.Until(first), 0)}
	}
}

// writeValues writes the values that were given since the last batch.
func (r *Run) writeValues(ctx context.Context) error {
	r.mu.Lock()
	pending := len(r.values.pending) > 0
	r.mu.Unlock()

	if !pending {
		return nil
	}

	r.writing.Lock()
	defer r.writing.Unlock()

	_, entries, calls := r.take()

	return r.record(ctx, entries, calls)
}

// Unwind is the error that has a Go function return when it has nothing to do but wait. The attempt ends with it, wrapped
// or not.
func (r *Run) Unwind() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.suspended = true

	return ErrSuspended
}

// Unwound reports whether somebody was told to unwind.
func (r *Run) Unwound() bool {
	r.mu.Lock()
	defer r.mu.Unlock()

	return r.suspended
}

// ErrSuspended is what durable operations return to a Go function that has to wait: it is to be returned, at once, with or
// without words around it. The job goes on later, by another call of the function.
var ErrSuspended = errors.New("the job waits and goes on later; return this error")

// Failed is the error of an operation that failed, as a Go function gets it.
type Failed struct { //nolint:errname // users read it as: the step failed
	*steps.Failure

	Operation string // its name
	position  int
}

// Error says what failed, and why.
func (f *Failed) Error() string { return f.Operation + ": " + f.Message }

// Unwrap is the failure.
func (f *Failed) Unwrap() error { return f.Failure }

// Err is the operation's failure as an error, nil if there is none.
func (op *Operation) Err() error {
	op.run.mu.Lock()
	defer op.run.mu.Unlock()

	if op.State != steps.StateFailed {
		return nil
	}

	return &Failed{Failure: op.Error, Operation: op.Name, position: op.Position}
}

// Positions finds the failed operations within an error that ends an attempt, for Forget.
func Positions(err error) []int {
	var found []int

	if failed, ok := err.(*Failed); ok { //nolint:errorlint // each level is looked at
		return []int{failed.position}
	}

	switch wrapper := err.(type) { //nolint:errorlint // each level is looked at
	case interface{ Unwrap() error }:
		if inner := wrapper.Unwrap(); inner != nil {
			return Positions(inner)
		}
	case interface{ Unwrap() []error }:
		for _, inner := range wrapper.Unwrap() {
			found = append(found, Positions(inner)...)
		}
	}

	return found
}

// Forget takes failed operations out of the history, because the attempt fails with them: the next one tries them again. A
// failure that the function has dealt with stays.
func (r *Run) Forget(ctx context.Context, positions []int) error {
	if len(positions) == 0 {
		return nil
	}

	return r.log.Forget(ctx, positions) //nolint:wrapcheck // it says what was being done
}
