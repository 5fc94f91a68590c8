package millrace_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace"
	"github.com/millrace-dev/millrace/internal/testdb"
	"github.com/millrace-dev/millrace/jobs"
	"github.com/millrace-dev/millrace/realtime"
)

func TestListenIsOneOfItsWords(t *testing.T) {
	t.Parallel()
	cfg := configure(testdb.New(t))
	cfg.Listen, cfg.ChannelLimit = "sometimes", -1
	_, err := millrace.New(cfg)
	require.ErrorContains(t, err, `the value "sometimes" of Listen must be auto, notify or poll`)
	require.ErrorContains(t, err, "must not be negative")
}

// An instance that polls is ready like any other, runs what is submitted, and says in its metrics that it polls.
func TestAppThatPolls(t *testing.T) {
	t.Parallel()
	cfg := configure(testdb.New(t))
	cfg.Listen = millrace.ListenPoll
	app, err := millrace.New(cfg)
	require.NoError(t, err)
	millrace.Handle(app, "echo", func(_ context.Context, in int) (int, error) { return in, nil })
	start(t, app)
	_, err = app.Auth().EnsureKey(t.Context(), "a-key-for-the-metrics")
	require.NoError(t, err)
	get := func(path string) string {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+app.Addr()+path, nil)
		require.NoError(t, err)
		request.Header.Set("Authorization", "Bearer a-key-for-the-metrics")
		res, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, res.StatusCode, "%s", body)
		return string(body)
	}
	require.Contains(t, get("/readyz"), "ready")

	job, err := app.Jobs().Submit(t.Context(), jobs.Submission{Function: "echo", Input: json.RawMessage(`7`)})
	require.NoError(t, err)
	job, err = app.Jobs().Wait(t.Context(), job.ID)
	require.NoError(t, err)
	require.JSONEq(t, `7`, string(job.Output))
	_, err = app.Realtime().Publish(t.Context(), "room:polled", []byte(`1`), realtime.PublishOptions{})
	require.NoError(t, err)

	metrics := get("/metrics")
	for _, line := range []string{
		"millrace_listener_polling 1", "millrace_listener_listening 0", "millrace_listener_reconnects_total 0",
		"millrace_listener_queue_usage_ratio 0", "millrace_listener_deaf_seconds_total 0", "millrace_listener_lag_seconds 0",
		"millrace_realtime_writer 1", "millrace_realtime_writer_term 1", "millrace_realtime_batches_total 1",
		"millrace_realtime_batched_publications_total 1", "millrace_realtime_publish_duration_seconds_count 1",
		"millrace_realtime_outbox_rows 0", "millrace_realtime_handovers 0", "millrace_realtime_repairs_total 0", "millrace_realtime_overflows_total 0",
	} {
		require.Contains(t, metrics, "\n"+line+"\n")
	}
}
