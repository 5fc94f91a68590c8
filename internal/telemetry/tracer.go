package telemetry

import (
	"context"
	"net/http"
	"strconv"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// scope is the instrumentation scope of all spans.
const scope = "github.com/millrace-dev/millrace"

// Tracer makes spans. Nil makes none, at no cost.
type Tracer struct {
	tracer   trace.Tracer
	shutdown func(context.Context) error
}

// New makes a tracer of a provider, which the caller shuts down.
func New(provider trace.TracerProvider) *Tracer { return &Tracer{tracer: provider.Tracer(scope)} }

// Shutdown exports what is left and ends a tracer of FromEnv.
func (t *Tracer) Shutdown(ctx context.Context) error {
	if t == nil || t.shutdown == nil {
		return nil
	}

	return t.shutdown(ctx)
}

// Span is one that was started; the zero Span is none.
type Span struct{ span trace.Span }

// Request starts the span of an HTTP request. route is its pattern, never its path.
func (t *Tracer) Request(ctx context.Context, method, route string) (context.Context, Span) {
	if t == nil {
		return ctx, Span{}
	}

	ctx, span := t.tracer.Start(ctx, method+" "+route, trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes( //nolint:spancheck // whoever gets the Span ends it
		attribute.String("http.request.method", method), attribute.String("http.route", route)))

	return ctx, Span{span} //nolint:spancheck // as above
}

// Answered ends the span of a request.
func (s Span) Answered(status int) {
	if s.span == nil {
		return
	}

	s.span.SetAttributes(attribute.Int("http.response.status_code", status))

	if status >= http.StatusInternalServerError { // a refusal is no error of the server's
		s.span.SetStatus(codes.Error, "")
		s.span.SetAttributes(attribute.String("error.type", strconv.Itoa(status)))
	}

	s.span.End()
}

// Submit starts the span of a submission of n jobs; function is empty when they are of several.
func (t *Tracer) Submit(ctx context.Context, function string, n int) (context.Context, Span) {
	if t == nil {
		return ctx, Span{}
	}

	name, about := "submit", messaging("send", "submit", function)
	if function != "" {
		name += " " + function
	}

	if n > 1 {
		about = append(about, attribute.Int("messaging.batch.message_count", n))
	}

	ctx, span := t.tracer.Start(ctx, name, trace.WithSpanKind(trace.SpanKindProducer), trace.WithAttributes(about...)) //nolint:spancheck // whoever gets the Span ends it

	return ctx, Span{span} //nolint:spancheck // as above
}

// Job tells a submission's span which job it made.
func (s Span) Job(id int64) {
	if s.span != nil {
		s.span.SetAttributes(attribute.String("messaging.message.id", strconv.FormatInt(id, 10)))
	}
}

// Attempt is what the span of a run says.
type Attempt struct {
	JobID       int64
	Function    string
	Queue       string
	Number      int
	Traceparent string // of the submission; empty for none
}

// Run starts the span of an attempt, in the trace of the job's submission. The context goes on with that trace even when
// no span is made.
func (t *Tracer) Run(ctx context.Context, a *Attempt) (context.Context, Span) {
	if a.Traceparent != "" {
		ctx = Continue(ctx, a.Traceparent)
	}

	if t == nil {
		return ctx, Span{}
	}

	options := []trace.SpanStartOption{
		trace.WithSpanKind(trace.SpanKindConsumer),
		trace.WithAttributes(append(messaging("process", "run", a.Function),
			attribute.String("messaging.message.id", strconv.FormatInt(a.JobID, 10)),
			attribute.String("millrace.queue", a.Queue),
			attribute.Int("millrace.attempt", a.Number))...),
	}
	if submission := parse(a.Traceparent); submission.IsValid() {
		options = append(options, trace.WithLinks(trace.Link{SpanContext: submission}))
	}

	ctx, span := t.tracer.Start(ctx, "run "+a.Function, options...) //nolint:spancheck // whoever gets the Span ends it

	return ctx, Span{span} //nolint:spancheck // as above
}

func messaging(kind, operation, function string) []attribute.KeyValue {
	about := append(make([]attribute.KeyValue, 0, 8),
		attribute.String("messaging.system", "millrace"),
		attribute.String("messaging.operation.type", kind),
		attribute.String("messaging.operation.name", operation))
	if function != "" {
		about = append(about, attribute.String("messaging.destination.name", function))
	}

	return about
}

// State tells a run's span what became of the job.
func (s Span) State(state string) {
	if s.span != nil {
		s.span.SetAttributes(attribute.String("millrace.state", state))
	}
}

// End ends a span; kind is the error's, of a bounded set, and empty when there is none. Texts of errors stay where they
// are: they may hold what the traces' readers must not see.
func (s Span) End(kind string) {
	if s.span == nil {
		return
	}

	if kind != "" {
		s.span.SetStatus(codes.Error, "")
		s.span.SetAttributes(attribute.String("error.type", kind))
	}

	s.span.End()
}
