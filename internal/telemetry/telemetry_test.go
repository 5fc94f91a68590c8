package telemetry

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"
)

const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

func TestATraceGoesOnFromTheSubmissionToTheRun(t *testing.T) {
	t.Parallel()

	exporter := tracetest.NewInMemoryExporter()
	tracer := New(sdk.NewTracerProvider(sdk.WithSyncer(exporter)))

	ctx, submit := tracer.Submit(Continue(t.Context(), parent), "orders.charge", 1)
	kept := Traceparent(ctx)
	submit.Job(7)
	submit.End("")

	_, run := tracer.Run(t.Context(), &Attempt{JobID: 7, Function: "orders.charge", Queue: "mail", Number: 2, Traceparent: kept})
	run.State("failed")
	run.End("timeout")

	spans := exporter.GetSpans()
	require.Len(t, spans, 2)
	require.Equal(t, "submit orders.charge", spans[0].Name)
	require.Equal(t, trace.SpanKindProducer, spans[0].SpanKind)
	require.Equal(t, "b7ad6b7169203331", spans[0].Parent.SpanID().String())

	require.Equal(t, "run orders.charge", spans[1].Name)
	require.Equal(t, trace.SpanKindConsumer, spans[1].SpanKind)
	require.Equal(t, "0af7651916cd43dd8448eb211c80319c", spans[1].SpanContext.TraceID().String())
	require.Equal(t, spans[0].SpanContext.SpanID(), spans[1].Parent.SpanID())
	require.Len(t, spans[1].Links, 1)
	require.Equal(t, spans[0].SpanContext.SpanID(), spans[1].Links[0].SpanContext.SpanID())
}

func TestATraceIsHandedOnWithoutSpans(t *testing.T) {
	t.Parallel()

	var off *Tracer

	ctx, span := off.Run(t.Context(), &Attempt{Traceparent: parent})
	span.State("completed")
	span.End("")
	require.Equal(t, parent, Traceparent(ctx))
	require.Empty(t, Traceparent(t.Context()))
	require.NoError(t, off.Shutdown(t.Context()))
}

func TestWhatIsNoTraceparentChangesNothing(t *testing.T) {
	t.Parallel()

	for _, text := range []string{
		"", "x", parent[:54], parent + "-x", "00-00000000000000000000000000000000-b7ad6b7169203331-01",
		"00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01", "ff" + parent[2:], "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
	} {
		require.Falsef(t, Valid(text), "%q", text)
		require.Emptyf(t, Traceparent(Continue(t.Context(), text)), "%q", text)
	}

	require.True(t, Valid(parent))
}

func TestTheEnvironmentSwitchesTracingOn(t *testing.T) {
	t.Parallel()

	for _, test := range []struct {
		env  map[string]string
		on   bool
		fail bool
	}{
		{env: nil},
		{env: map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x:4318"}, on: true},
		{env: map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://x:4318"}, on: true},
		{env: map[string]string{"OTEL_TRACES_EXPORTER": "otlp"}, on: true},
		{env: map[string]string{"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://x:4318"}},
		{env: map[string]string{"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://x:4318"}},
		{env: map[string]string{"OTEL_TRACES_EXPORTER": "zipkin"}, fail: true},
		{env: map[string]string{"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, fail: true},
	} {
		on, err := wanted(func(name string) string { return test.env[name] })
		require.Equal(t, test.on, on, test.env)
		require.Equal(t, test.fail, err != nil, test.env)
	}
}

// Against a receiver of the wire format, since what the SDK holds in memory says nothing about what arrives.
func TestSpansArriveAtACollector(t *testing.T) { //nolint:paralleltest // it sets the environment
	arrived := make(chan *collector.ExportTraceServiceRequest, 10)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		request := &collector.ExportTraceServiceRequest{}
		if err != nil || r.URL.Path != "/v1/traces" || proto.Unmarshal(body, request) != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		arrived <- request
		w.Header().Set("Content-Type", "application/x-protobuf")
	}))
	t.Cleanup(server.Close)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.URL)
	t.Setenv("OTEL_SERVICE_NAME", "shop")

	tracer, err := FromEnv(t.Context(), "1.2.3", "node-1")
	require.NoError(t, err)

	_, span := tracer.Run(t.Context(), &Attempt{JobID: 7, Function: "orders.charge", Number: 1, Traceparent: parent})
	span.End("")
	require.NoError(t, tracer.Shutdown(context.WithoutCancel(t.Context())))

	request := <-arrived
	require.Len(t, request.GetResourceSpans(), 1)

	about := map[string]string{}
	for _, pair := range request.GetResourceSpans()[0].GetResource().GetAttributes() {
		about[pair.GetKey()] = pair.GetValue().GetStringValue()
	}

	require.Equal(t, "shop", about["service.name"])
	require.Equal(t, "1.2.3", about["service.version"])
	require.Equal(t, "node-1", about["service.instance.id"])

	spans := request.GetResourceSpans()[0].GetScopeSpans()[0].GetSpans()
	require.Len(t, spans, 1)
	require.Equal(t, "run orders.charge", spans[0].GetName())
	require.Len(t, spans[0].GetLinks(), 1)
}

// What jobs pay when nothing traces: 0 allocations.
func BenchmarkOff(b *testing.B) {
	var off *Tracer

	ctx := b.Context()

	b.ReportAllocs()

	for b.Loop() {
		submitted, submit := off.Submit(ctx, "orders.charge", 1)
		attempt := Attempt{JobID: 7, Function: "orders.charge", Queue: "default", Number: 1, Traceparent: Traceparent(submitted)}
		submit.Job(7)
		submit.End("")

		_, run := off.Run(ctx, &attempt)
		run.State("completed")
		run.End("")
	}
}

func TestOffAllocatesNothing(t *testing.T) { //nolint:paralleltest // counts allocations
	var off *Tracer

	ctx := t.Context()

	require.Zero(t, testing.AllocsPerRun(100, func() {
		_, submit := off.Submit(ctx, "orders.charge", 1)
		submit.End("")

		_, run := off.Run(ctx, &Attempt{JobID: 7})
		run.State("completed")
		run.End("")
	}))
}
