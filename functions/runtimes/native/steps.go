package native

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/millrace-dev/millrace/functions/durable"
	"github.com/millrace-dev/millrace/jobs"
	"github.com/millrace-dev/millrace/jobs/steps"
)

// ErrSuspended is what durable operations return when the job has to wait. A function returns it at once, with or without
// words around it; it is called again, from its first line, when it can go on.
var ErrSuspended = durable.ErrSuspended

var errWithin = errors.New("within a step there is no other durable operation")

// Retry is how often a step is tried again, and how long after. Between the tries the job is suspended.
type Retry = durable.Retry

type withinKey struct{}

// begin asks for an operation.
func begin(ctx context.Context, request durable.Request) (*durable.Run, *durable.Operation, error) {
	if ctx.Value(withinKey{}) != nil {
		return nil, nil, fmt.Errorf("%s %s: %w", request.Kind, request.Name, errWithin)
	}

	run := From(ctx).Steps()
	op, err := run.Ask(ctx, request)

	return run, op, err //nolint:wrapcheck // it says what was being done
}

// await returns when the operation has ended, or ErrSuspended. What ended is JSON.
func await(ctx context.Context, run *durable.Run, op *durable.Operation) (json.RawMessage, error) {
	if _, err := run.Flush(ctx); err != nil {
		return nil, err //nolint:wrapcheck // it says what was being done
	}

	if op.Status() != durable.Ended {
		return nil, run.Unwind() //nolint:wrapcheck // a sentinel
	}

	op.Tell()

	return op.Value, op.Err() //nolint:wrapcheck // the function's own
}

// do is an operation that runs nothing here.
func do(ctx context.Context, request durable.Request) (json.RawMessage, error) {
	run, op, err := begin(ctx, request)
	if err != nil {
		return nil, err
	}

	return await(ctx, run, op)
}

// Step runs fn once: what it returned is recorded before Step returns, and a later attempt of the job gets that instead
// of running it. T goes through JSON.
//
// An error of fn is Step's, as *durable.Failed, and recorded too, unless the attempt ends with it: then the next one tries
// the step again. With retry it is tried again first.
func Step[T any](ctx context.Context, name string, fn func(ctx context.Context) (T, error), retry ...Retry) (T, error) {
	var result T

	run, op, err := begin(ctx, durable.Request{Kind: steps.KindStep, Name: name})
	if err != nil {
		return result, err
	}

	if op.Status() == durable.ToRun {
		value, err := try(ctx, op, fn)
		if err != nil && ctx.Err() != nil {
			op.Drop() // cut off: nobody knows what it would have come to
			return result, err
		}

		again := Retry{}
		if len(retry) > 0 {
			again = retry[0]
		}

		op.End(value, failed(err), again)
	}

	value, err := await(ctx, run, op)
	if err != nil {
		return result, err
	}

	if err := json.Unmarshal(value, &result); err != nil {
		return result, fmt.Errorf("step %s: its recorded result: %w", name, err)
	}

	return result, nil
}

// try runs the step's function. One that panics is not recorded: the attempt ends with it.
func try[T any](ctx context.Context, op *durable.Operation, fn func(ctx context.Context) (T, error)) (json.RawMessage, error) {
	returned := false

	defer func() {
		if !returned {
			op.Drop()
		}
	}()

	result, err := fn(context.WithValue(ctx, withinKey{}, true))
	returned = true

	if err != nil {
		return nil, err
	}

	return json.Marshal(result) //nolint:wrapcheck // becomes the step's failure
}

// failed is a step's error as it is recorded.
func failed(err error) *steps.Failure {
	if err == nil {
		return nil
	}

	if failure, ok := errors.AsType[*jobs.Failure](err); ok {
		return &steps.Failure{Code: failure.Code, Message: failure.Message, Stack: failure.Stack, Retryable: failure.Retryable}
	}

	return &steps.Failure{Code: jobs.CodeException, Message: err.Error(), Retryable: true}
}

// Sleep puts the function off. It holds no slot meanwhile.
func Sleep(ctx context.Context, name string, d time.Duration) error {
	d = max(d, 0)
	_, err := do(ctx, durable.Request{Kind: steps.KindSleep, Name: name, Wait: &d})

	return err
}

// SleepUntil puts the function off to a time.
func SleepUntil(ctx context.Context, name string, at time.Time) error {
	_, err := do(ctx, durable.Request{Kind: steps.KindSleep, Name: name, Until: &at})

	return err
}

// Wait says which event is waited for, and how long.
type Wait struct {
	Key     string        // of the event; empty: any
	Match   any           // what its data must contain, as jsonb's @> means it; nil: anything
	Timeout time.Duration // 0: for ever
}

// WaitForEvent waits for an event that is sent after the job was made, and that the job has not had yet. It returns its
// data, or nil when the timeout is over.
func WaitForEvent(ctx context.Context, name string, wait Wait) (json.RawMessage, error) {
	if err := steps.CheckEvent(name, wait.Key); err != nil {
		return nil, err //nolint:wrapcheck // a mistake of the caller
	}

	request := durable.Request{Kind: steps.KindEvent, Name: name, Event: name}
	if wait.Key != "" {
		request.Key = &wait.Key
	}

	if wait.Timeout > 0 {
		request.Wait = &wait.Timeout
	}

	if wait.Match != nil {
		var err error
		if request.Match, err = json.Marshal(wait.Match); err != nil {
			return nil, fmt.Errorf("wait for event %s: %w", name, err)
		}
	}

	data, err := do(ctx, request)
	if string(data) == "null" {
		data = nil
	}

	return data, err
}

// SendEvent sends an event, once, whatever becomes of the attempt.
func SendEvent(ctx context.Context, name, key string, data any) error {
	if err := steps.CheckEvent(name, key); err != nil {
		return err //nolint:wrapcheck // a mistake of the caller
	}

	text, err := json.Marshal(data)
	if err != nil {
		return fmt.Errorf("send event %s: %w", name, err)
	}

	_, err = do(ctx, durable.Request{Kind: steps.KindSend, Name: name, Event: name, Key: &key, Match: text})

	return err
}

// CallJob runs another function as a job of its own, and returns its output. The caller holds no slot meanwhile. A job that
// failed is an error, as *durable.Failed with the job's code.
func CallJob[Out any](ctx context.Context, function string, input any, options ...jobs.Options) (Out, error) {
	var output Out

	text, err := json.Marshal(input)
	if err != nil {
		return output, fmt.Errorf("call %s: %w", function, err)
	}

	sub := jobs.Submission{Function: function, Input: text}
	if len(options) > 0 {
		sub.Options = options[0]
	}

	call, err := From(ctx).Steps().Prepare(ctx, sub)
	if err != nil {
		return output, fmt.Errorf("call %s: %w", function, err)
	}

	value, err := do(ctx, durable.Request{Kind: steps.KindCall, Name: function, Call: call})
	if err != nil {
		return output, err
	}

	if err := json.Unmarshal(value, &output); err != nil {
		return output, fmt.Errorf("call %s: its output: %w", function, err)
	}

	return output, nil
}

// All runs branches beside each other, each on a goroutine of its own, and waits for all of them: the way to have several
// steps, sleeps and calls under way at once. It returns the branches' errors joined, or ErrSuspended when some have to
// wait and none failed.
func All(ctx context.Context, branches ...func(ctx context.Context) error) error {
	defer From(ctx).Steps().Beside()()

	var (
		wg     sync.WaitGroup
		errs   = make([]error, len(branches))
		panics = make(chan any, len(branches))
	)

	for i, branch := range branches {
		wg.Go(func() {
			defer func() {
				if p := recover(); p != nil {
					panics <- p
				}
			}()

			errs[i] = branch(ctx)
		})
	}

	wg.Wait()

	select {
	case p := <-panics:
		panic(p) // on the function's goroutine, where it is expected
	default:
	}

	var failures []error

	suspended := false

	for _, err := range errs {
		if errors.Is(err, ErrSuspended) {
			suspended = true
		} else if err != nil {
			failures = append(failures, err)
		}
	}

	if len(failures) == 0 && suspended {
		return ErrSuspended
	}

	return errors.Join(failures...)
}

// conclude says what a function's return means for an attempt that used durable operations.
func conclude(ctx context.Context, run *durable.Run, output json.RawMessage, err error) (json.RawMessage, error) {
	if broken := run.Err(); broken != nil {
		return nil, broken //nolint:wrapcheck // it says what was being done
	}

	if _, flushed := run.Flush(ctx); flushed != nil {
		return nil, flushed //nolint:wrapcheck // it says what was being done
	}

	switch {
	case errors.Is(err, ErrSuspended):
		suspension, failed := run.Suspension(ctx)
		if failed != nil || suspension == nil {
			suspension = &jobs.Suspension{} // it ended meanwhile
		}

		return nil, errors.Join(suspension, failed)
	case err == nil && run.Unwound():
		return nil, &jobs.Failure{
			Code:    jobs.CodeException,
			Message: "a durable operation returned ErrSuspended, and the function went on instead of returning it",
		}
	case err == nil:
		return output, nil
	}

	return nil, blame(ctx, run, err)
}

// blame has the attempt fail with err: what it was due to is tried again by the next attempt, if there is to be one.
func blame(ctx context.Context, run *durable.Run, err error) error {
	failure, known := errors.AsType[*jobs.Failure](err)
	if cause, ok := errors.AsType[*durable.Failed](err); ok && !known && !cause.Retryable {
		return &jobs.Failure{Code: jobs.CodeException, Message: err.Error()}
	}

	if known && !failure.Retryable {
		return err
	}

	if forgotten := run.Forget(context.WithoutCancel(ctx), durable.Positions(err)); forgotten != nil {
		return errors.Join(err, forgotten)
	}

	return err
}
