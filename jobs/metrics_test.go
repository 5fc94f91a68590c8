package jobs

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/testdb"
)

// value is that of the series whose labels are given, name by value; of a histogram its count.
func value(t *testing.T, registry *prometheus.Registry, name string, labels ...string) float64 {
	t.Helper()

	families, err := registry.Gather()
	require.NoError(t, err)

	for _, family := range families {
		if family.GetName() != name {
			continue
		}

	series:
		for _, m := range family.GetMetric() {
			have := make(map[string]string)
			for _, pair := range m.GetLabel() {
				have[pair.GetName()] = pair.GetValue()
			}

			for i := 0; i < len(labels); i += 2 {
				if have[labels[i]] != labels[i+1] {
					continue series
				}
			}

			return m.GetGauge().GetValue() + m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}

	return 0
}

func TestMetricsOfARun(t *testing.T) {
	t.Parallel()

	db, functions, registry := testdb.New(t), newFunctions(), prometheus.NewRegistry()
	functions.deploy("noop", returns(`1`))
	functions.deploy("fails", func(context.Context, *Run) (json.RawMessage, error) { return nil, &Failure{Code: "no"} })
	s := startNode(t, db, functions, func(cfg *Config) {
		cfg.Metrics, cfg.Queues = registry, map[string]int{DefaultQueue: 7}
	})

	await(t, db, submit(t, s, "noop"), StateCompleted)
	await(t, db, submit(t, s, "fails"), StateFailed)

	require.Eventually(t, func() bool {
		return value(t, registry, "millrace_jobs_attempts_total", "function", "noop", "outcome", "completed") == 1 &&
			value(t, registry, "millrace_jobs_attempts_total", "function", "fails", "outcome", "failed") == 1
	}, patience, 5*time.Millisecond) // counted after the commit
	require.InDelta(t, 1, value(t, registry, "millrace_jobs_wait_seconds", "function", "noop"), 0)
	require.InDelta(t, 1, value(t, registry, "millrace_jobs_run_seconds", "function", "noop"), 0)
	require.InDelta(t, 2, value(t, registry, "millrace_jobs_claimed_total"), 0)
	require.InDelta(t, 7, value(t, registry, "millrace_jobs_slots", "queue", DefaultQueue), 0)
	require.InDelta(t, 1, value(t, registry, "millrace_jobs_depth_up"), 0)
}

func TestMetricsOfWhatWaits(t *testing.T) {
	t.Parallel()

	db, registry := testdb.New(t), prometheus.NewRegistry()
	newNode(t, db, newFunctions(), func(cfg *Config) { cfg.Metrics, cfg.InsertOnly = registry, true })

	exec(t, db, `insert into millrace.river_job (kind, args, max_attempts, priority, queue, state, scheduled_at, metadata)
		select 'a', '{}', 5, 2, q.queue, q.state::millrace.river_job_state, now() + q.due, q.metadata::jsonb
		from (values ('mail', 'available', interval '-1 hour', '{}'), ('mail', 'available', interval '-1 minute', '{}'),
			('mail', 'available', interval '-1 minute', '{"lane": "x"}'), ('mail', 'scheduled', interval '1 hour', '{}'),
			('slow', 'retryable', interval '1 hour', '{}')) q (queue, state, due, metadata)`)

	require.InDelta(t, 2, value(t, registry, "millrace_jobs_depth", "queue", "mail", "state", "queued"), 0)
	require.InDelta(t, 1, value(t, registry, "millrace_jobs_depth", "queue", "mail", "state", "held"), 0)
	require.InDelta(t, 1, value(t, registry, "millrace_jobs_depth", "queue", "mail", "state", "scheduled"), 0)
	require.InDelta(t, 1, value(t, registry, "millrace_jobs_depth", "queue", "slow", "state", "retrying"), 0)
	require.GreaterOrEqual(t, value(t, registry, "millrace_jobs_oldest_seconds", "queue", "mail"), 3600.0)
}

func TestFunctionsBeyondTheBoundShareTheirSeries(t *testing.T) {
	t.Parallel()

	m, registry := newMeters(), prometheus.NewRegistry()
	registry.MustRegister(m.attempts)

	for i := range meteredFunctions + 50 {
		m.ran(&attempt{function: fmt.Sprintf("f%d", i)}, StateCompleted)
	}

	require.InDelta(t, 1, value(t, registry, "millrace_jobs_attempts_total", "function", "f0", "outcome", "completed"), 0)
	require.InDelta(t, 50, value(t, registry, "millrace_jobs_attempts_total", "function", otherFunctions, "outcome", "completed"), 0)
	require.Len(t, m.functions, meteredFunctions+1)
}

// Who wants no metrics pays a comparison.
func BenchmarkMetersOff(b *testing.B) {
	var off *meters

	a := &attempt{function: "noop"}

	b.ReportAllocs()

	for b.Loop() {
		off.ran(a, StateCompleted)
	}
}

func BenchmarkMetersOn(b *testing.B) {
	m := newMeters()
	claims := []*attempt{{function: "noop"}}

	b.ReportAllocs()

	for b.Loop() {
		m.claim(claims)
		m.ran(claims[0], StateCompleted)
	}
}
