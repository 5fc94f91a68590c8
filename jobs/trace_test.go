package jobs

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/millrace-dev/millrace/internal/telemetry"
	"github.com/millrace-dev/millrace/internal/testdb"
)

const someTrace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

// From the caller over two submissions to two runs: one trace, each span the child of the one that led to it.
func TestATraceGoesThroughAJobToTheJobsItSubmits(t *testing.T) {
	t.Parallel()

	exporter := tracetest.NewInMemoryExporter()
	db, functions := testdb.New(t), newFunctions()
	s := startNode(t, db, functions, func(cfg *Config) {
		cfg.Tracer = telemetry.New(sdk.NewTracerProvider(sdk.WithSyncer(exporter)))
	})

	handed := make(chan string, 1)

	functions.deploy("first", func(ctx context.Context, run *Run) (json.RawMessage, error) {
		handed <- run.Traceparent
		_, err := s.Submit(ctx, Submission{Function: "second"})

		return nil, err
	})
	functions.deploy("second", func(context.Context, *Run) (json.RawMessage, error) {
		return nil, &Failure{Code: "broken", Message: "private"}
	})

	_, err := s.Submit(telemetry.Continue(t.Context(), someTrace), Submission{Function: "first"})
	require.NoError(t, err)

	var spans map[string]tracetest.SpanStub

	require.Eventually(t, func() bool {
		spans = make(map[string]tracetest.SpanStub)
		for _, span := range exporter.GetSpans() {
			spans[span.Name] = span
		}

		return len(spans) == 4
	}, patience, 5*time.Millisecond)

	parent := "b7ad6b7169203331"

	for _, name := range []string{"submit first", "run first", "submit second", "run second"} {
		require.Equal(t, "0af7651916cd43dd8448eb211c80319c", spans[name].SpanContext.TraceID().String(), name)
		require.Equal(t, parent, spans[name].Parent.SpanID().String(), name)
		parent = spans[name].SpanContext.SpanID().String()
	}

	require.Contains(t, <-handed, spans["run first"].SpanContext.SpanID().String())
	require.Empty(t, spans["run second"].Status.Description)
}

// Without a tracer the trace of the submitter reaches the function as it was.
func TestATraceIsKeptByTheJob(t *testing.T) {
	t.Parallel()

	db, functions := testdb.New(t), newFunctions()
	s := startNode(t, db, functions)
	handed := make(chan string, 2)

	functions.deploy("noop", func(_ context.Context, run *Run) (json.RawMessage, error) {
		handed <- run.Traceparent

		return nil, nil
	})

	_, err := s.SubmitMany(t.Context(), []Submission{{Function: "noop", Options: Options{Traceparent: someTrace}}})
	require.NoError(t, err)
	require.Equal(t, someTrace, <-handed)

	submit(t, s, "noop")
	require.Empty(t, <-handed)

	_, err = s.Submit(t.Context(), Submission{Function: "noop", Options: Options{Traceparent: "nonsense"}})

	var invalid *ValidationError
	require.ErrorAs(t, err, &invalid)
}
