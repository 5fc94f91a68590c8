package telemetry

import (
	"context"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

const header = "traceparent"

// Valid reports whether a text is a traceparent (W3C Trace Context, section 3.2) that names a span.
func Valid(traceparent string) bool { return parse(traceparent).IsValid() }

func parse(traceparent string) trace.SpanContext {
	if len(traceparent) < 55 || len(traceparent) > 512 { // 55 in version 00; later ones may add to it
		return trace.SpanContext{}
	}

	ctx := propagation.TraceContext{}.Extract(context.Background(), propagation.MapCarrier{header: traceparent})

	return trace.SpanContextFromContext(ctx)
}

// Continue returns a context in which a trace that began elsewhere goes on. One that is no traceparent changes nothing.
func Continue(ctx context.Context, traceparent string) context.Context {
	if traceparent == "" {
		return ctx
	}

	parent := parse(traceparent)
	if !parent.IsValid() {
		return ctx
	}

	return trace.ContextWithRemoteSpanContext(ctx, parent)
}

// Traceparent is that of the context's span, to be handed on; empty when it has none.
func Traceparent(ctx context.Context) string {
	current := trace.SpanContextFromContext(ctx)
	if !current.IsValid() {
		return ""
	}

	return "00-" + current.TraceID().String() + "-" + current.SpanID().String() + "-" + (current.TraceFlags() & trace.FlagsSampled).String()
}
