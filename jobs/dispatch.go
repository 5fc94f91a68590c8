package jobs

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"

	"github.com/millrace-dev/millrace/internal/telemetry"
)

// dispatchKind is the one kind that River knows. Rows keep their function's name as the kind; it is this one in
// River's memory only, so that a function needs no registration and can be deployed at any time.
const dispatchKind = "millrace.dispatch"

// dispatchArgs is what River decodes for each job: nothing. The input stays with the attempt, unparsed.
type dispatchArgs struct{}

func (dispatchArgs) Kind() string { return dispatchKind }

const (
	// ignoredGrace is how long an attempt whose context ended may go on before its slot is given to others.
	// Its goroutine stays until the function returns; what that brings is not recorded.
	ignoredGrace = 5 * time.Second
	// drainGrace is the same at the end of a drain, when somebody waits for the process to end.
	drainGrace = time.Second

	unknownWait = 2 * time.Second
	// youngFor is how long ago a job may have become due for its function to be on its way yet.
	youngFor    = 3 * time.Second
	unknownPoll = 50 * time.Millisecond
)

// dispatcher is River's only worker: it runs one attempt, has its outcome recorded and returns to River, which
// then has nothing left to record.
type dispatcher struct {
	river.WorkerDefaults[dispatchArgs]

	pool      *pgxpool.Pool
	executor  Executor
	attempts  *attempts
	finisher  *finisher
	announcer *announcer
	runners   *runners
	reporter  func(id int64, attempt int) *runReporter
	steps     func(a *attempt, version, traceparent string) *stepLog
	maxOutput int
	stock     bool // River completes the job itself
	log       *slog.Logger
	meters    *meters
	tracer    *telemetry.Tracer
}

// NextRetry is asked in the stock mode only.
func (d *dispatcher) NextRetry(job *river.Job[dispatchArgs]) time.Time { return job.ScheduledAt }

// Work runs the attempt that the claim left in memory.
func (d *dispatcher) Work(ctx context.Context, job *river.Job[dispatchArgs]) error {
	a := d.attempts.get(job.ID, job.Attempt)
	if a == nil {
		return d.superseded() // taken away as lost before River came to it
	}

	defer d.attempts.remove(a)

	a.begin()
	d.announcer.begun(a)

	ctx, span := d.trace(ctx, a)
	out := d.run(ctx, a)
	a.end()
	endSpan(span, out)

	if errors.Is(a.whyStopped(), errSuperseded) {
		return d.superseded()
	}

	if d.stock {
		return a.tellRiver(ctx, job.JobRow, out)
	}

	if err := d.finisher.finish(a, out); err != nil {
		d.log.WarnContext(ctx, "jobs: the outcome of an attempt was not recorded",
			"job_id", a.id, "function", a.function, "attempt", a.number, "err", err)
	}

	return nil
}

// superseded is what River hears of an attempt whose row is somebody else's. Nothing will do, except in the stock
// mode: there River records what it hears, by the id alone, and must not take a job for completed that never was.
func (d *dispatcher) superseded() error {
	if d.stock {
		return errSuperseded
	}

	return nil
}

// run resolves the function, executes it within its time and says what came of it.
func (d *dispatcher) run(ctx context.Context, a *attempt) outcome {
	settings, err := d.resolve(ctx, a)
	if errors.Is(err, ErrUnknownFunction) {
		return a.unknown()
	}

	if err != nil {
		return a.stopped(a.whyEnded(ctx), failureOf(err), 0, settings)
	}

	if settings.Elsewhere {
		return d.handOn(ctx, a)
	}

	if failure := settings.Schema.invalidInput(a); failure != nil {
		return a.failed(failure, settings)
	}

	settings.Version = cmp.Or(a.run.Steps.Version, settings.Version)
	timeout, soft := a.run.timeouts(&settings)

	ctx, cancel := a.within(ctx, timeout)
	defer cancel()

	deadline, _ := ctx.Deadline()
	report := d.reporter(a.id, a.number)
	traceparent := d.traceparent(ctx, a)
	run := &Run{
		JobID: a.id, Function: a.function, Version: settings.Version, Input: a.input,
		Attempt: a.counted(), MaxAttempts: a.counts(), Deadline: deadline, Traceparent: traceparent, Event: a.run.Event,
		Report: report, Steps: d.steps(a, settings.Version, traceparent),
	}

	if soft > 0 {
		run.Soft = deadline.Add(soft - timeout)
	}

	result := d.execute(ctx, a, run)
	if result.failure == nil && run.Bytes.Data != nil {
		result.output, result.failure = d.keep(ctx, a, &run.Bytes)
	}

	report.close(context.WithoutCancel(ctx)) // its logs are in the table before its end is seen

	switch {
	case result.failure == nil:
		return a.completed(result.output, d.maxOutput, settings)
	case result.unknown:
		return a.unknown()
	case result.suspension != nil && a.whyStopped() == nil:
		return a.suspended(result.suspension, settings)
	case result.unbegun && errors.Is(a.whyEnded(ctx), errTimedOut):
		return released(settings.Version) // it waits on, here or on a node with more room
	case result.interrupted && (a.whyEnded(ctx) == nil || errors.Is(a.whyEnded(ctx), errTimedOut)):
		return released(settings.Version) // whoever ended it is charged, not this one
	default:
		return a.stopped(a.whyEnded(ctx), result.failure, timeout, settings)
	}
}

// resolve asks for the function's settings. A function that is unknown to a job which has just been made may
// have been deployed a moment before it, and be on its way to this node.
func (d *dispatcher) resolve(ctx context.Context, a *attempt) (Settings, error) {
	for {
		settings, err := d.executor.Resolve(ctx, a.function)
		if !errors.Is(err, ErrUnknownFunction) || a.waited > youngFor || time.Since(a.claimed) > unknownWait {
			return settings, err //nolint:wrapcheck // becomes the job's failure as it is
		}

		select {
		case <-ctx.Done():
		case <-time.After(unknownPoll):
		}

		if cause := a.whyEnded(ctx); cause != nil {
			return Settings{}, fmt.Errorf("wait for function %s: %w", a.function, cause)
		}
	}
}

func firstPositive(durations ...time.Duration) time.Duration {
	for _, duration := range durations {
		if duration > 0 {
			return duration
		}
	}

	return 0
}

type result struct {
	output  json.RawMessage
	failure *Failure
	unknown bool // the function went away between Resolve and Execute
	unbegun bool // the function found no room to run in

	suspension  *Suspension // the function goes on later
	interrupted bool        // by no fault of the function
}

// execute calls the executor in a goroutine of its own: a function that ends its goroutine must not take River's
// with it, whose slot would be lost, and one that ignores the end of its context must not hold the slot for ever.
func (d *dispatcher) execute(ctx context.Context, a *attempt, run *Run) result {
	done := make(chan result, 1)

	d.runners.run(func() { d.call(ctx, run, done) })

	select {
	case r := <-done:
		return r
	case <-ctx.Done():
	}

	grace := ignoredGrace
	if errors.Is(a.whyEnded(ctx), errDraining) {
		grace = drainGrace
	}

	timer := time.NewTimer(grace)
	defer timer.Stop()

	select {
	case r := <-done:
		return r
	case <-timer.C:
	}

	d.log.ErrorContext(ctx, "jobs: a function ignores the end of its context and is left to itself",
		"job_id", a.id, "function", a.function, "attempt", a.number, "err", a.whyEnded(ctx))

	return result{failure: &Failure{
		Code: CodeTimeout, Message: "the function did not stop when its context ended", Retryable: true,
	}}
}

// call runs the executor and sends exactly one result, whatever the function does.
func (d *dispatcher) call(ctx context.Context, run *Run, done chan<- result) {
	var (
		r        result
		returned bool
	)

	defer func() {
		if !returned {
			r = result{failure: panicFailure(recover())}
		}
		done <- r
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
