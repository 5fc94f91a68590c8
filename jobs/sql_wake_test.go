package jobs

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/postgres"
	"github.com/millrace-dev/millrace/internal/testdb"
)

// startedAt notes when the job whose input is a number began.
type startedAt struct {
	mu sync.Mutex
	at map[int]time.Time
}

func (s *startedAt) run(_ context.Context, run *Run) (json.RawMessage, error) {
	now := time.Now()
	n, _ := strconv.Atoi(string(run.Input))

	s.mu.Lock()
	defer s.mu.Unlock()

	s.at[n] = now

	return json.RawMessage(`1`), nil
}

func (s *startedAt) len() int {
	s.mu.Lock()
	defer s.mu.Unlock()

	return len(s.at)
}

// From the end of a commit to the start of the job: a figure, and that every job starts.
func TestSQLPickup(t *testing.T) {
	t.Parallel()

	const alone, callers, each = 50, 16, 25

	db, functions := testdb.New(t), newFunctions()
	begun := &startedAt{at: make(map[int]time.Time)}
	functions.deploy("f", begun.run)
	nativeConfig(t, db, "f", `{}`)
	startHearing(t, db, functions, nil)

	own, err := pgxpool.New(t.Context(), db.URL) // as a program's is
	require.NoError(t, err)
	t.Cleanup(own.Close)

	committed := make([]time.Time, alone+callers*each)
	one := func(n int) {
		assertNoError(t, pgx.BeginFunc(t.Context(), own, func(tx pgx.Tx) error {
			_, err := enqueue(t, tx, "f", strconv.Itoa(n), `{}`)

			return err
		}))

		committed[n] = time.Now()
	}
	pickup := func(from, to int) []time.Duration {
		waits := make([]time.Duration, 0, to-from)
		for n := from; n < to; n++ {
			waits = append(waits, begun.at[n].Sub(committed[n]))
		}

		slices.Sort(waits)

		return waits
	}

	for n := range alone {
		one(n)
		require.Eventually(t, func() bool { return begun.len() == n+1 }, patience, time.Millisecond)
	}

	var group sync.WaitGroup
	for caller := range callers {
		group.Go(func() {
			for i := range each {
				one(alone + caller*each + i)
			}
		})
	}

	group.Wait()
	require.Eventually(t, func() bool { return begun.len() == len(committed) }, patience, time.Millisecond)

	for name, waits := range map[string][]time.Duration{
		"one at a time": pickup(0, alone), "16 at a time": pickup(alone, len(committed)),
	} {
		t.Logf("%s: from commit to start p50 %s, p99 %s, most %s", name,
			waits[len(waits)/2], waits[len(waits)*99/100], waits[len(waits)-1])
	}
}

// hearSQL returns what was notified since it was called.
func hearSQL(t *testing.T, db *testdb.DB) (told func() []string) {
	t.Helper()

	conn, err := postgres.Connect(t.Context(), db.URL, "test")
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), `listen "millrace.river_insert"; listen millrace_jobs`)
	require.NoError(t, err)

	var (
		mu      sync.Mutex
		heard   []string
		stopped = make(chan struct{})
	)

	ctx, cancel := context.WithCancel(t.Context())

	go func() {
		defer close(stopped)

		for {
			n, err := conn.WaitForNotification(ctx)
			if err != nil {
				return
			}

			mu.Lock()
			heard = append(heard, n.Payload)
			mu.Unlock()
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-stopped
		_ = conn.Close(context.Background())
	})

	return func() []string {
		mu.Lock()
		defer mu.Unlock()

		return slices.Clone(heard)
	}
}

// A transaction tells once for each queue, and not at all while another one is telling.
func TestSQLTellsThroughTheGate(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	nativeConfig(t, db, "f", `{}`)

	told := hearSQL(t, db)
	ids := make([]int64, 0, 4)

	require.NoError(t, pgx.BeginFunc(t.Context(), db.Pool, func(tx pgx.Tx) error {
		for _, options := range []string{`{}`, `{}`, `{"queue": "b"}`, `{"delay": 60}`, `{"delay": 60, "queue": "b"}`} {
			ids = append(ids, mustEnqueue(t, tx, "f", `1`, options))
		}

		return nil
	}))

	first := []string{
		`{"queue" : "default"}`, "e 0 default\n" + string(stateHint(ids[0], StateQueued, 0, "f").append(nil)),
		`{"queue" : "b"}`, "e 0 b\n" + string(stateHint(ids[2], StateQueued, 0, "f").append(nil)),
		"e 0 \n" + string(stateHint(ids[3], StateScheduled, 0, "f").append(nil)),
	}
	require.Eventually(t, func() bool { return len(told()) >= len(first) }, patience, time.Millisecond)
	require.Equal(t, first, told())

	// Another transaction is just telling the queue.
	holder, err := db.Pool.Begin(t.Context())
	require.NoError(t, err)
	_, err = holder.Exec(t.Context(),
		`select pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtext('millrace.enqueue'), pg_catalog.hashtext('default'))`)
	require.NoError(t, err)
	mustEnqueue(t, db.Pool, "f", `1`, `{}`)
	require.NoError(t, holder.Rollback(t.Context()))

	last := mustEnqueue(t, db.Pool, "f", `1`, `{}`)
	require.Eventually(t, func() bool { return len(told()) >= len(first)+2 }, patience, time.Millisecond)
	require.Equal(t, "e 0 default\n"+string(stateHint(last, StateQueued, 0, "f").append(nil)), told()[len(first)+1])
}

func TestTheFollowerLooksForAWhile(t *testing.T) {
	t.Parallel()

	var woken, expected atomic.Int64

	f := newFollower(map[string]int{"a": 1}, func(queue string) {
		if queue == "a" {
			woken.Add(1)
		}
	}, func(time.Duration) { expected.Add(1) })

	f.follow("a")
	f.follow("a")
	f.follow("")
	f.follow("another node's")

	require.Eventually(t, func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()

		return len(f.until) == 0
	}, patience, time.Millisecond)
	require.GreaterOrEqual(t, woken.Load(), int64(1))
	require.GreaterOrEqual(t, expected.Load(), int64(1))
}
