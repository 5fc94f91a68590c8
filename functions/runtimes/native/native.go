package native

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime/debug"

	"github.com/millrace-dev/millrace/functions/runtimes"
	"github.com/millrace-dev/millrace/jobs"
)

// CodeInvalidInput is the failure of a job whose input does not fit the function's type.
const CodeInvalidInput = "invalid_input"

// Func is a function on JSON. ctx ends at the attempt's deadline or when the job is cancelled; From(ctx) is the call.
type Func func(ctx context.Context, input json.RawMessage) (json.RawMessage, error)

// Current is the call that a function is in: what it is about, and the operations that it may use.
type Current struct {
	runtimes.Call
	runtimes.Host

	// Grace is the context for what is to be done after the function's own has ended for its soft timeout: it ends with the
	// attempt. Without a soft timeout it is as the function's own.
	Grace context.Context //nolint:containedctx // a second one beside the first, for the same call
}

type currentKey struct{}

// From returns the call that ctx belongs to. It panics for a context that no function was given.
func From(ctx context.Context) Current {
	current, ok := ctx.Value(currentKey{}).(Current)
	if !ok {
		panic("native: From needs the context that a function was called with")
	}

	return current
}

// Handle makes a Func of a function on Go types. Input is decoded strictly: unknown fields and trailing text are
// mistakes. A result of type jobs.Bytes is stored as it is. An error that is no *jobs.Failure fails the attempt with code exception and is retried.
func Handle[In, Out any](fn func(ctx context.Context, input In) (Out, error)) Func {
	return func(ctx context.Context, raw json.RawMessage) (json.RawMessage, error) {
		input, err := decode[In](raw)
		if err != nil {
			return nil, &jobs.Failure{Code: CodeInvalidInput, Message: "the input does not fit: " + err.Error()}
		}

		output, err := fn(ctx, input)
		if err != nil {
			return nil, err
		}

		if bytes, is := any(output).(jobs.Bytes); is {
			return giveBytes(ctx, bytes)
		}

		encoded, err := json.Marshal(output)
		if err != nil {
			return nil, &jobs.Failure{Code: jobs.CodeInvalidOutput, Message: "the output is not JSON: " + err.Error()}
		}

		return encoded, nil
	}
}

// giveBytes is the end of a function whose result is bytes.
func giveBytes(ctx context.Context, bytes jobs.Bytes) (json.RawMessage, error) {
	current, _ := ctx.Value(currentKey{}).(Current)
	if current.Bytes == nil {
		return nil, &jobs.Failure{Code: jobs.CodeInvalidOutput, Message: "this call cannot return bytes"}
	}

	if bytes.Data == nil {
		bytes.Data = []byte{}
	}

	*current.Bytes = bytes

	return nil, nil
}

func decode[In any](raw json.RawMessage) (In, error) {
	var input In
	if len(raw) == 0 {
		raw = json.RawMessage("null")
	}

	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&input); err != nil {
		return input, err
	}

	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return input, errors.New("there is text after the value")
	}

	return input, nil
}

// Runner runs native functions on the goroutine of the caller.
type Runner struct{}

var _ runtimes.Runner = (*Runner)(nil)

// New makes a Runner.
func New() *Runner { return &Runner{} }

// Prepare refuses: native functions are registered, not stored.
func (*Runner) Prepare(_ context.Context, version runtimes.Version) (runtimes.Program, error) {
	return nil, fmt.Errorf("%s: native functions are registered by the program, not loaded", version.Function)
}

// Invoke calls a Func. The error is a *jobs.Failure unless ctx ended.
func (*Runner) Invoke(ctx context.Context, program runtimes.Program, call runtimes.Call, host runtimes.Host) (output json.RawMessage, err error) {
	fn, ok := program.(Func)
	if !ok {
		return nil, fmt.Errorf("invoke %s: %T is no program of this runtime", call.Function, program)
	}

	defer func() {
		if p := recover(); p != nil {
			output, err = nil, &jobs.Failure{
				Code: jobs.CodePanic, Message: fmt.Sprint(p), Stack: string(debug.Stack()), Retryable: true,
			}
		}
	}()

	own := context.WithValue(ctx, currentKey{}, Current{Call: call, Host: host, Grace: ctx})

	if !call.Soft.IsZero() {
		var cancel context.CancelFunc
		own, cancel = context.WithDeadlineCause(own, call.Soft, jobs.ErrSoftTimeout)
		defer cancel()
	}

	output, err = fn(own, call.Input)
	if run := host.Steps(); run.Opened() {
		output, err = conclude(ctx, run, output, err)
	}

	if err != nil {
		return nil, failure(own, err)
	}

	return output, nil
}

// failure is what a function's error means for its attempt. own is the context that the function had.
func failure(own context.Context, err error) error {
	if _, is := errors.AsType[*jobs.Failure](err); is {
		return err
	}

	if _, is := errors.AsType[*jobs.Suspension](err); is {
		return err
	}

	code := jobs.CodeException
	if errors.Is(err, jobs.ErrSoftTimeout) || errors.Is(err, context.DeadlineExceeded) && errors.Is(context.Cause(own), jobs.ErrSoftTimeout) {
		code = jobs.CodeSoftTimeout
	}

	return &jobs.Failure{Code: code, Message: err.Error(), Retryable: true}
}

// Close does nothing: whoever calls waits for the calls.
func (*Runner) Close(context.Context) error { return nil }
