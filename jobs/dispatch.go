package jobs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/millrace-dev/millrace/internal/telemetry"
)

// dispatchKind is the one kind that River knows. Rows keep their function's name as the kind; it is this one in
// River's memory only, so that a function needs no registration and can be deployed at any time.
const dispatchKind = "millrace.dispatch"

// dispatchArgs is what River decodes for each job: nothing. The input stays with the attempt, unparsed.
type dispatchArgs struct{}

func (dispatchArgs) Kind() string { return dispatchKind }

const (
	unknownWait = 2 * time.Second
	// youngFor is how long ago a job may have become due for its function to be on its way yet.
	youngFor    = 3 * time.Second
	unknownPoll = 50 * time.Millisecond
)

// dispatcher is River's only worker, or stands in its place (middleware): it runs one attempt, has its outcome recorded
// and returns to River, which then has nothing left to record.
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
	around    []rivertype.WorkerMiddleware // the way here; none in the stock mode, where River calls Work
	log       *slog.Logger
	meters    *meters
	tracer    *telemetry.Tracer
}

// NextRetry is asked in the stock mode only.
func (d *dispatcher) NextRetry(job *river.Job[dispatchArgs]) time.Time { return job.ScheduledAt }

// Middleware is asked by River for each job.
func (d *dispatcher) Middleware(*rivertype.JobRow) []rivertype.WorkerMiddleware { return d.around }

// attend runs the attempt that the claim left in memory, and returns when its outcome is recorded. All of it happens in
// another goroutine, whose stack has grown to what functions need: this one is fresh, and a stack grows by copying.
func (d *dispatcher) attend(ctx context.Context, row *rivertype.JobRow) {
	a := d.attempts.get(row.ID, row.Attempt)
	if a == nil {
		return // taken away as lost before River came to it
	}

	item := newFinishing(a)
	d.runners.run(func() { d.observe(ctx, item, d.finisher.add) })
	<-item.done
	d.attempts.remove(a)

	if item.err != nil && !errors.Is(item.err, errSuperseded) {
		d.log.WarnContext(ctx, "jobs: the outcome of an attempt was not recorded",
			"job_id", a.id, "function", a.function, "attempt", a.number, "err", item.err)
	}
}

// Work runs an attempt in the stock mode, where River records its outcome. It hears of one whose row is somebody else's
// too: it goes by the id alone, and must not take a job for completed that never was.
func (d *dispatcher) Work(ctx context.Context, job *river.Job[dispatchArgs]) error {
	a := d.attempts.get(job.ID, job.Attempt)
	if a == nil {
		return errSuperseded
	}

	item := newFinishing(a)
	d.runners.run(func() { d.observe(ctx, item, func(item *finishing) { item.settle(nil) }) })
	<-item.done
	d.attempts.remove(a)

	if item.err != nil {
		return item.err
	}

	return a.tellRiver(ctx, job.JobRow, item.out)
}

// observe runs the attempt and has it seen. What came of it goes to record, which settles it later: while an outcome
// waits for Postgres, the function's goroutine has the next one to run.
func (d *dispatcher) observe(ctx context.Context, item *finishing, record func(*finishing)) {
	a := item.attempt
	a.begin()
	d.announcer.begun(a)

	ctx, span := d.trace(ctx, a)

	d.run(ctx, item, func(out outcome) {
		a.end()
		endSpan(span, out)

		if errors.Is(a.whyStopped(), errSuperseded) {
			item.settle(errSuperseded)

			return
		}

		item.out = out
		record(item)
	})
}

// run resolves the function and executes it within its time. What came of it goes to conclude, once.
func (d *dispatcher) run(ctx context.Context, item *finishing, conclude func(outcome)) {
	a := item.attempt

	settings, err := d.resolve(ctx, a)
	if out, over := d.unfit(ctx, a, settings, err); over {
		conclude(out)

		return
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

	d.execute(ctx, item, run, func(result result) {
		if result.failure == nil && run.Bytes.Data != nil {
			result.output, result.failure = d.keep(ctx, a, &run.Bytes)
		}

		report.close(context.WithoutCancel(ctx)) // its logs are in the table before its end is seen
		conclude(d.outcomeOf(ctx, a, result, timeout, settings))
	})
}

// unfit is the outcome of an attempt whose function cannot be called, if that is so.
func (d *dispatcher) unfit(ctx context.Context, a *attempt, settings Settings, err error) (_ outcome, unfit bool) {
	switch {
	case errors.Is(err, ErrUnknownFunction):
		return a.unknown(), true
	case err != nil:
		return a.stopped(a.whyEnded(ctx), failureOf(err), 0, settings), true
	case settings.Elsewhere:
		return d.handOn(ctx, a), true
	}

	if failure := settings.Schema.invalidInput(a); failure != nil {
		return a.failed(failure, settings), true
	}

	return outcome{}, false
}

// outcomeOf is what becomes of an attempt whose function brought result.
func (d *dispatcher) outcomeOf(ctx context.Context, a *attempt, result result, timeout time.Duration, settings Settings) outcome {
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
