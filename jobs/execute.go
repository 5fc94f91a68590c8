package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"time"
)

const (
	// ignoredGrace is how long an attempt whose context ended may go on before its slot is given to others.
	// Its goroutine stays until the function returns; what that brings is not recorded.
	ignoredGrace = 5 * time.Second
	// drainGrace is the same at the end of a drain, when somebody waits for the process to end.
	drainGrace = time.Second
)

type result struct {
	output  json.RawMessage
	failure *Failure
	unknown bool // the function went away between Resolve and Execute
	unbegun bool // the function found no room to run in

	suspension  *Suspension // the function goes on later
	interrupted bool        // by no fault of the function
}

// execute calls the executor in this goroutine, which is not River's: a function that ends its goroutine must not take
// River's with it, whose slot would be lost. What came of it goes to done, once: from here, or from another goroutine
// when the function is left to itself.
func (d *dispatcher) execute(ctx context.Context, item *finishing, run *Run, done func(result)) {
	stop := context.AfterFunc(ctx, func() { d.abandon(ctx, item, done) })

	d.call(ctx, run, func(r result) {
		stop()

		if item.decided.CompareAndSwap(false, true) {
			done(r)
		}
	})
}

// abandon leaves a function to itself that goes on for too long after its context ended: it must not hold the slot for
// ever.
func (d *dispatcher) abandon(ctx context.Context, item *finishing, done func(result)) {
	a, grace := item.attempt, ignoredGrace
	if errors.Is(a.whyEnded(ctx), errDraining) {
		grace = drainGrace
	}

	timer := time.NewTimer(grace)
	defer timer.Stop()

	select {
	case <-item.done:
		return
	case <-timer.C:
	}

	if !item.decided.CompareAndSwap(false, true) {
		return // it has returned; its outcome waits for Postgres
	}

	d.log.ErrorContext(ctx, "jobs: a function ignores the end of its context and is left to itself",
		"job_id", a.id, "function", a.function, "attempt", a.number, "err", a.whyEnded(ctx))

	done(result{failure: &Failure{
		Code: CodeTimeout, Message: "the function did not stop when its context ended", Retryable: true,
	}})
}

// call runs the executor and hands on exactly one result, whatever the function does.
func (d *dispatcher) call(ctx context.Context, run *Run, done func(result)) {
	var (
		r        result
		returned bool
	)

	defer func() {
		if !returned {
			r = result{failure: panicFailure(recover())}
		}

		done(r)
	}()

	output, err := d.executor.Execute(ctx, run)
	if err == nil {
		r.output = output
	} else {
		r.failure = failureOf(err)
		r.unknown = errors.Is(err, ErrUnknownFunction) && d.gone(ctx, run.Function)
		r.unbegun = errors.Is(err, ErrNotBegun)
		r.suspension = suspensionOf(err)
		r.interrupted = errors.Is(err, ErrInterrupted)
	}

	returned = true
}

// gone tells a function that went away from one that submitted a job of an unknown one: its error is the same.
func (d *dispatcher) gone(ctx context.Context, function string) bool {
	_, err := d.executor.Resolve(ctx, function)

	return errors.Is(err, ErrUnknownFunction)
}

// panicFailure describes a panic. A nil value is runtime.Goexit, since panic(nil) carries an error.
func panicFailure(value any) *Failure {
	message := "the function ended its goroutine (runtime.Goexit)"
	if value != nil {
		message = fmt.Sprint(value)
	}

	return failureOf(&Failure{Code: CodePanic, Message: message, Stack: string(debug.Stack()), Retryable: true})
}
