// Package jobtest is what tests of the packages around jobs have in common: functions that are Go functions, a node, and
// jobs on it.
package jobtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/postgres"
	"github.com/millrace-dev/millrace/internal/testdb"
	"github.com/millrace-dev/millrace/jobs"
)

// Patience is how long tests wait for what should take milliseconds.
const Patience = 30 * time.Second

// Functions is an executor whose functions are Go functions that may come and go at any time.
type Functions struct {
	mu       sync.Mutex
	run      map[string]Function
	settings map[string]jobs.Settings
}

// Function is one of them.
type Function = func(ctx context.Context, run *jobs.Run) (json.RawMessage, error)

// NewFunctions has none yet.
func NewFunctions() *Functions {
	return &Functions{run: make(map[string]Function), settings: make(map[string]jobs.Settings)}
}

// Deploy makes a function live, or another version of it.
func (f *Functions) Deploy(name string, run Function, settings ...jobs.Settings) {
	f.mu.Lock()
	defer f.mu.Unlock()

	f.run[name] = run
	f.settings[name] = jobs.Settings{Version: "v1"}

	for _, s := range settings {
		f.settings[name] = s
	}
}

// Resolve returns the settings of a function.
func (f *Functions) Resolve(_ context.Context, name string) (jobs.Settings, error) {
	f.mu.Lock()
	defer f.mu.Unlock()

	settings, ok := f.settings[name]
	if !ok {
		return jobs.Settings{}, fmt.Errorf("%q: %w", name, jobs.ErrUnknownFunction)
	}

	return settings, nil
}

// Execute calls the function.
func (f *Functions) Execute(ctx context.Context, run *jobs.Run) (json.RawMessage, error) {
	f.mu.Lock()
	function := f.run[run.Function]
	f.mu.Unlock()

	return function(ctx, run)
}

// Returns is a function that answers at once.
func Returns(output string) Function {
	return func(context.Context, *jobs.Run) (json.RawMessage, error) { return json.RawMessage(output), nil }
}

var nodeNumber atomic.Int64

// NewNode makes a service on db, without starting it.
func NewNode(tb testing.TB, db *testdb.DB, functions *Functions, change ...func(*jobs.Config)) *jobs.Service {
	tb.Helper()

	cfg := jobs.Config{
		Pool: db.Pool, Executor: functions, NodeID: fmt.Sprintf("node-%d", nodeNumber.Add(1)), Logger: Logger(tb),
	}
	for _, f := range change {
		f(&cfg)
	}

	s, err := jobs.New(cfg)
	require.NoError(tb, err)

	return s
}

// StartNode is NewNode, running until the test ends.
func StartNode(tb testing.TB, db *testdb.DB, functions *Functions, change ...func(*jobs.Config)) *jobs.Service {
	tb.Helper()

	s := NewNode(tb, db, functions, change...)
	err := s.Start(tb.Context())

	// A busy machine may be too slow for the time that a node has to connect.
	for range 3 {
		if errors.Is(err, context.DeadlineExceeded) {
			s = NewNode(tb, db, functions, change...)
			err = s.Start(tb.Context())
		}
	}

	require.NoError(tb, err)
	tb.Cleanup(func() { Stop(tb, s) })

	return s
}

// InsertOnly makes a node that runs nothing.
func InsertOnly(cfg *jobs.Config) { cfg.InsertOnly = true }

// Service is a part that runs.
type Service interface {
	Start(ctx context.Context) error
	Stop(ctx context.Context) error
}

// Start runs a part until the test ends.
func Start[S Service](tb testing.TB, part S) S {
	tb.Helper()
	require.NoError(tb, part.Start(tb.Context()))
	tb.Cleanup(func() { Stop(tb, part) })

	return part
}

// Stop stops a part now.
func Stop(tb testing.TB, part Service) {
	tb.Helper()

	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	require.NoError(tb, part.Stop(ctx))
}

// Listener hears db until the test ends. It has to be started once the parts are made.
func Listener(tb testing.TB, db *testdb.DB) *postgres.Listener {
	tb.Helper()

	listener := postgres.NewListener(postgres.ListenerConfig{URL: db.URL, Logger: Logger(tb)})
	tb.Cleanup(func() { _ = listener.Stop(context.Background()) })

	return listener
}

// Logger writes warnings into the test's log.
func Logger(tb testing.TB) *slog.Logger {
	tb.Helper()

	return slog.New(slog.NewTextHandler(testWriter{tb}, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

type testWriter struct{ t testing.TB }

func (w testWriter) Write(line []byte) (int, error) {
	if w.t.Context().Err() == nil {
		w.t.Log(string(line))
	}

	return len(line), nil
}

// Submit inserts one job.
func Submit(tb testing.TB, s *jobs.Service, function string, change ...func(*jobs.Submission)) int64 {
	tb.Helper()

	sub := jobs.Submission{Function: function, Input: json.RawMessage(`{"n": 1}`)}
	for _, f := range change {
		f(&sub)
	}

	job, err := s.Submit(tb.Context(), sub)
	require.NoError(tb, err)

	return job.ID
}

// Await polls until the job is in one of the states.
func Await(tb testing.TB, s *jobs.Service, id int64, states ...jobs.State) jobs.Job {
	tb.Helper()

	var job jobs.Job

	require.Eventually(tb, func() bool {
		var err error
		job, err = s.Get(tb.Context(), id)

		return err == nil && slices.Contains(states, job.State)
	}, Patience, 5*time.Millisecond, "job %d never became %v", id, states)

	return job
}

// Exec runs SQL that a test needs to bring a situation about.
func Exec(tb testing.TB, db *testdb.DB, sql string, args ...any) {
	tb.Helper()

	_, err := db.Pool.Exec(tb.Context(), sql, args...)
	require.NoError(tb, err)
}

// RowsWhere counts the rows of jobs for which a condition holds.
func RowsWhere(tb testing.TB, db *testdb.DB, where string, args ...any) (n int) {
	tb.Helper()
	require.NoError(tb, db.Pool.QueryRow(tb.Context(), "select count(*) from millrace.river_job where "+where, args...).Scan(&n))

	return n
}

// Fill inserts n jobs in a state, by the row's name for it.
func Fill(tb testing.TB, db *testdb.DB, n int, kind, state string) {
	tb.Helper()
	Exec(tb, db, fillSQL, n, kind, state)
}

// StopNow stops a node without leaving time to what runs.
func StopNow(tb testing.TB, node *jobs.Service) {
	tb.Helper()

	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	require.NoError(tb, node.Stop(ctx))
}

// Within requires that f can be done in less than limit, in one of a few tries: what is slow for want of a hint is slow
// each time, and what is slow because the machine is busy is not.
func Within(tb testing.TB, limit time.Duration, f func() time.Duration) {
	tb.Helper()

	const tries = 3

	var took []time.Duration
	for range tries {
		took = append(took, f())
		if took[len(took)-1] < limit {
			return
		}
	}

	require.Failf(tb, "too slow", "each time: %s", took)
}

// BusyTable makes a table as a busy queue has it: mostly finished jobs, and some of every other kind.
const BusyTable = `insert into millrace.river_job
		(kind, args, max_attempts, state, attempt, attempted_at, attempted_by, scheduled_at, finalized_at)
	select 'noop', '{}', 5, s::millrace.river_job_state, 1, now(), '{me}', now(), case when s = 'completed' then now() end
	from (select case when i % 10 < 6 then 'completed' when i % 10 = 6 then 'running' when i % 10 = 7 then 'scheduled'
		when i % 10 = 8 then 'retryable' else 'available' end s from generate_series(1, 50000) i) v`

// What runs, runs on the node "busy".
const fillSQL = `insert into millrace.river_job
		(kind, args, max_attempts, priority, state, attempt, attempted_at, attempted_by, scheduled_at, finalized_at)
	select $2, '{}', 5, 2, $3::text::millrace.river_job_state, 5, now(), '{busy}',
		now() + case when $3 in ('scheduled', 'retryable') then interval '1 hour' else interval '0' end,
		case when $3 in ('completed', 'discarded', 'cancelled') then now() end
	from generate_series(1, $1)`
