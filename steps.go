package millrace

import (
	"context"
	"encoding/json"
	"time"

	"github.com/millrace-dev/millrace/functions/durable"
	"github.com/millrace-dev/millrace/functions/runtimes/native"
	"github.com/millrace-dev/millrace/jobs"
)

// ErrSuspended is what Sleep and the like return when the job has to wait. A
// function returns it at once, with or without words around it, and is called
// again, from its first line, when it can go on.
var ErrSuspended = native.ErrSuspended

// A StepError is the error of a step or of a called job: errors.As finds it.
type StepError = durable.Failed

// Retry is how often a step is tried again, and how long after; the job is
// suspended between the tries.
type Retry = durable.Retry

// Step runs fn once in the life of a job. What it returned is recorded before
// Step returns; when the function is called again, after a wait or a crash, it
// gets that instead. T goes through JSON. An error of fn is returned as a
// *StepError. If the attempt fails with it the next one tries the step again; a
// function that deals with it meets the same error each time it is called.
func Step[T any](ctx context.Context, name string, fn func(ctx context.Context) (T, error), retry ...Retry) (T, error) {
	return native.Step(ctx, name, fn, retry...) //nolint:wrapcheck // the function's own
}

// Sleep puts the function off by d, for which it holds no slot.
func Sleep(ctx context.Context, name string, d time.Duration) error {
	return native.Sleep(ctx, name, d) //nolint:wrapcheck // a sentinel
}

// SleepUntil puts the function off to a time.
func SleepUntil(ctx context.Context, name string, at time.Time) error {
	return native.SleepUntil(ctx, name, at) //nolint:wrapcheck // a sentinel
}

// Wait says which event is waited for, and how long.
type Wait = native.Wait

// WaitForEvent waits for an event that was sent since the job was made and
// returns its data, or nil when the timeout is over.
func WaitForEvent(ctx context.Context, name string, wait Wait) (json.RawMessage, error) {
	return native.WaitForEvent(ctx, name, wait) //nolint:wrapcheck // a sentinel
}

// SendEvent sends an event from a function, once. From elsewhere it is
// App.Jobs().SendEvent.
func SendEvent(ctx context.Context, name, key string, data any) error {
	return native.SendEvent(ctx, name, key, data) //nolint:wrapcheck // it says what was being done
}

// Call runs another function as a job of its own and returns its output. The
// caller holds no slot meanwhile, so a queue with one is enough for both.
func Call[Out any](ctx context.Context, function string, input any, options ...jobs.Options) (Out, error) {
	return native.CallJob[Out](ctx, function, input, options...) //nolint:wrapcheck // the job's own
}

// All runs branches beside each other and waits for all: how several steps,
// sleeps and calls are under way at once.
func All(ctx context.Context, branches ...func(ctx context.Context) error) error {
	return native.All(ctx, branches...) //nolint:wrapcheck // the branches' own
}
