package jobs

import (
	"context"
	"errors"

	"github.com/riverqueue/river/rivertype"

	"github.com/millrace-dev/millrace/internal/telemetry"
)

// traceSubmit starts the span of a submission and has its job go on with the trace: with that of the span, or else of the
// submission itself or of ctx.
func (s *Service) traceSubmit(ctx context.Context, sub *Submission) (context.Context, telemetry.Span) {
	if sub.Options.Traceparent != "" {
		if !telemetry.Valid(sub.Options.Traceparent) {
			return ctx, telemetry.Span{} // refused by the checker
		}

		ctx = telemetry.Continue(ctx, sub.Options.Traceparent)
	}

	ctx, span := s.cfg.Tracer.Submit(ctx, sub.Function, 1)
	sub.Options.Traceparent = telemetry.Traceparent(ctx)

	return ctx, span
}

// traceBatch starts the span of a batch. Its items go on with that, but for those that say another trace.
func (s *Service) traceBatch(ctx context.Context, subs []Submission) (context.Context, telemetry.Span) {
	function := ""
	if len(subs) == 1 {
		function = subs[0].Function
	}

	ctx, span := s.cfg.Tracer.Submit(ctx, function, len(subs))

	if trace := telemetry.Traceparent(ctx); trace != "" {
		for i := range subs {
			if subs[i].Options.Traceparent == "" {
				subs[i].Options.Traceparent = trace
			}
		}
	}

	return ctx, span
}

// endSubmit ends the span of a submission: id is 0 for a batch. A refusal is no error of the span's, which the caller
// hears of; an outage is.
func endSubmit(span telemetry.Span, id int64, err error) {
	kind := ""

	switch {
	case err == nil && id != 0:
		span.Job(id)
	case errors.Is(err, ErrUnavailable):
		kind = "unavailable"
	case errors.Is(err, ErrStopped):
		kind = "stopped"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		kind = "canceled"
	case err != nil:
		kind = "refused"
	}

	span.End(kind)
}

// trace starts the span of an attempt. Without a tracer the context still carries the trace of the submission.
func (d *dispatcher) trace(ctx context.Context, a *attempt) (context.Context, telemetry.Span) {
	if d.tracer == nil && a.run.Trace == "" {
		return ctx, telemetry.Span{}
	}

	return d.tracer.Run(ctx, &telemetry.Attempt{
		JobID: a.id, Function: a.function, Queue: a.queue, Number: a.number, Traceparent: a.run.Trace,
	})
}

// traceparent is what the function hands on.
func (d *dispatcher) traceparent(ctx context.Context, a *attempt) string {
	if d.tracer == nil && a.run.Trace == "" {
		return ""
	}

	return telemetry.Traceparent(ctx)
}

// endSpan ends the span of an attempt. Its error is the failure's code; a hand-back is none.
func endSpan(span telemetry.Span, out outcome) {
	span.State(string(stateOf(out.state)))

	if out.failure != nil && out.state != rivertype.JobStateCompleted {
		span.End(out.failure.Code)

		return
	}

	span.End("")
}

// checkTrace refuses what is no traceparent: it would be lost without a word.
func checkTrace(wrong *ValidationError, traceparent string) {
	if traceparent != "" && !telemetry.Valid(traceparent) {
		wrong.Add("traceparent", "must be a W3C traceparent, such as 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	}
}
