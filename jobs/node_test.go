package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/postgres"
	"github.com/millrace-dev/millrace/internal/testdb"
)

// patience is how long tests wait for what should take milliseconds.
const patience = 20 * time.Second

// functionsOf is an executor whose functions are Go functions that may come and go at any time.
type functionsOf struct {
	mu       sync.Mutex
	run      map[string]func(ctx context.Context, run *Run) (json.RawMessage, error)
	settings map[string]Settings
}

func newFunctions() *functionsOf {
	return &functionsOf{
		run:      make(map[string]func(context.Context, *Run) (json.RawMessage, error)),
		settings: make(map[string]Settings),
	}
}

func (f *functionsOf) deploy(name string, run func(context.Context, *Run) (json.RawMessage, error), settings ...Settings) {
	f.mu.Lock()
	defer f.mu.Unlock()

	f.run[name] = run
	f.settings[name] = Settings{Version: "v1"}

	for _, s := range settings {
		f.settings[name] = s
	}
}

func (f *functionsOf) Resolve(_ context.Context, name string) (Settings, error) {
	f.mu.Lock()
	defer f.mu.Unlock()

	settings, ok := f.settings[name]
	if !ok {
		return Settings{}, fmt.Errorf("%q: %w", name, ErrUnknownFunction)
	}

	return settings, nil
}

func (f *functionsOf) Execute(ctx context.Context, run *Run) (json.RawMessage, error) {
	f.mu.Lock()
	function := f.run[run.Function]
	f.mu.Unlock()

	return function(ctx, run)
}

// returns is a function that answers at once.
func returns(output string) func(context.Context, *Run) (json.RawMessage, error) {
	return func(context.Context, *Run) (json.RawMessage, error) { return json.RawMessage(output), nil }
}

var nodeNumber atomic.Int64

// newNode makes a service on db, without starting it.
func newNode(t testing.TB, db *testdb.DB, functions *functionsOf, change ...func(*Config)) *Service {
	t.Helper()

	cfg := Config{
		Pool: db.Pool, Executor: functions,
		NodeID: fmt.Sprintf("node-%d", nodeNumber.Add(1)),
		Logger: slog.New(slog.NewTextHandler(testWriter{t}, &slog.HandlerOptions{Level: slog.LevelWarn})),
	}
	for _, f := range change {
		f(&cfg)
	}

	s, err := New(cfg)
	require.NoError(t, err)

	return s
}

// startNode is newNode, running until the test ends.
func startNode(t testing.TB, db *testdb.DB, functions *functionsOf, change ...func(*Config)) *Service {
	t.Helper()

	s := newNode(t, db, functions, change...)
	err := s.Start(t.Context())

	// A busy machine may be too slow for the time that a node has to connect.
	for range 3 {
		if errors.Is(err, context.DeadlineExceeded) {
			s = newNode(t, db, functions, change...)
			err = s.Start(t.Context())
		}
	}

	require.NoError(t, err)
	t.Cleanup(func() { stopNode(t, s, patience) })

	return s
}

func stopNode(t testing.TB, s *Service, grace time.Duration) {
	t.Helper()

	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	require.NoError(t, s.Stop(ctx))
}

// withListener gives the node ears.
func withListener(t testing.TB, db *testdb.DB) func(*Config) {
	t.Helper()

	return func(cfg *Config) {
		listener := postgres.NewListener(postgres.ListenerConfig{URL: db.URL, Logger: cfg.Logger})
		cfg.Listener = listener

		t.Cleanup(func() { _ = listener.Stop(context.Background()) })
	}
}

// testWriter puts a service's log into the test's.
type testWriter struct{ t testing.TB }

func (w testWriter) Write(line []byte) (int, error) {
	if w.t.Context().Err() == nil {
		w.t.Log(string(line))
	}

	return len(line), nil
}

// submit inserts one job.
func submit(t testing.TB, s *Service, function string, change ...func(*Submission)) int64 {
	t.Helper()

	sub := Submission{Function: function, Input: json.RawMessage(`{"n": 1}`)}
	for _, f := range change {
		f(&sub)
	}

	job, err := s.Submit(t.Context(), sub)
	require.NoError(t, err)

	return job.ID
}

// attempts is an option of submit.
func attemptsOf(n int) func(*Submission) {
	return func(sub *Submission) { sub.Options.MaxAttempts = n }
}

// read reads a job's row.
func read(t testing.TB, db *testdb.DB, id int64) Job {
	t.Helper()

	found, err := readJobs(t.Context(), db.Pool, []int64{id}, math.MaxInt64)
	require.NoError(t, err)

	job, ok := found[id]
	require.True(t, ok, "job %d is gone", id)

	return job
}

// await polls until the job is in one of the states.
func await(t testing.TB, db *testdb.DB, id int64, states ...State) Job {
	t.Helper()

	var job Job

	require.Eventually(t, func() bool {
		job = read(t, db, id)

		return slices.Contains(states, job.State)
	}, patience, 5*time.Millisecond, "job %d never became %v", id, states)

	return job
}

// within requires that f can be done in less than limit, in one of a few tries: what is slow for want of a hint is
// slow each time, and what is slow because the machine is busy is not.
func within(t testing.TB, limit time.Duration, f func() time.Duration) {
	t.Helper()

	const tries = 3

	var took []time.Duration
	for range tries {
		took = append(took, f())
		if took[len(took)-1] < limit {
			return
		}
	}

	require.Failf(t, "too slow", "each time: %s", took)
}

// exec runs SQL that a test needs to bring a situation about.
func exec(t testing.TB, db *testdb.DB, sql string, args ...any) {
	t.Helper()

	_, err := db.Pool.Exec(t.Context(), sql, args...)
	require.NoError(t, err)
}

// A heartbeat on its way must not outlive the stop, and a connection that died must not leave a row that looks like a
// dead node.
func TestAStoppedNodeLeavesNoRow(t *testing.T) {
	t.Parallel()

	rows := func(t *testing.T, db *testdb.DB) (n int) {
		t.Helper()
		require.NoError(t, db.Pool.QueryRow(t.Context(), "select count(*) from millrace.node").Scan(&n))

		return n
	}

	t.Run("heartbeat on its way", func(t *testing.T) {
		t.Parallel()

		db := testdb.New(t)
		s := newNode(t, db, newFunctions())
		require.NoError(t, s.Start(t.Context()))

		tx, err := db.Pool.Begin(t.Context())
		require.NoError(t, err)
		_, err = tx.Exec(t.Context(), "select id from millrace.node for update")
		require.NoError(t, err)

		s.lease.drain()
		require.Eventually(t, func() bool {
			var waiting bool

			return db.Pool.QueryRow(t.Context(), "select exists (select from pg_catalog.pg_locks where not granted)").
				Scan(&waiting) == nil && waiting
		}, patience, time.Millisecond)

		done := stopping(s, patience)

		require.Eventually(t, func() bool { return !s.lease.Running() }, patience, time.Millisecond)
		require.NoError(t, tx.Rollback(t.Context()))
		require.NoError(t, <-done)
		require.Zero(t, rows(t, db))
	})

	t.Run("connection lost", func(t *testing.T) {
		t.Parallel()

		db := testdb.New(t)
		s := newNode(t, db, newFunctions(), func(cfg *Config) { cfg.NodeID = "lost" })
		s.lease.every = time.Hour

		require.NoError(t, s.Start(t.Context()))
		exec(t, db, "select pg_catalog.pg_terminate_backend($1)", int32(s.lease.conn.PgConn().PID()))

		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()

		require.NoError(t, s.lease.Stop(ctx))
		require.Zero(t, rows(t, db))
		stopNode(t, s, patience)
	})
}
