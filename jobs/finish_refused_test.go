package jobs

import (
	"encoding/json"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/testdb"
)

// One outcome that Postgres refuses does not hold up those that share its transaction.
func TestAnOutcomeThatCannotBeStoredFailsAlone(t *testing.T) {
	t.Parallel()

	const n = 20

	db := testdb.New(t)
	f := newFinisher(db.Pool, "a", func(time.Duration) {}, func(string) {}, slog.New(slog.DiscardHandler))
	insertJobs(t, db, n)

	claims, _, err := claim(t.Context(), db.Pool, DefaultQueue, n, "a")
	require.NoError(t, err)

	var wg sync.WaitGroup

	for i, a := range claims {
		out := outcomes()["completed"]
		if i == 7 {
			out.output = json.RawMessage(`"\u0000"`) // dispatch refuses it before; here it stands for what it overlooks
		}

		wg.Go(func() { require.NoError(t, f.finish(a, out)) })
	}

	// All of them wait before the first transaction begins.
	require.Eventually(t, func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return len(f.pending) == n
	}, patience, time.Millisecond)
	require.NoError(t, f.Start(t.Context()))
	wg.Wait()
	require.NoError(t, f.Stop(t.Context()))

	for i, a := range claims {
		job := read(t, db, a.id)
		if i != 7 {
			require.Equal(t, StateCompleted, job.State)

			continue
		}

		require.Equal(t, StateFailed, job.State)
		require.Equal(t, CodeInvalidOutput, job.Error.Code)
	}
}

// Lost connections and a table that is away for a moment are nobody's fault: outcomes wait, and then all are there.
func TestOutcomesWaitForPostgres(t *testing.T) {
	t.Parallel()

	const n = 200

	db := testdb.New(t)
	f := startFinisher(t, db, "a")
	insertJobs(t, db, n)

	claims, _, err := claim(t.Context(), db.Pool, DefaultQueue, n, "a")
	require.NoError(t, err)

	exec(t, db, "alter table millrace.river_job rename to away")

	var wg sync.WaitGroup
	for _, a := range claims {
		wg.Go(func() { require.NoError(t, f.finish(a, outcomes()["completed"])) })
	}

	exec(t, db, `select pg_terminate_backend(pid) from pg_stat_activity
		where pid <> pg_backend_pid() and datname = current_database()`)
	exec(t, db, "alter table millrace.away rename to river_job")
	wg.Wait()

	for _, a := range claims {
		require.Equal(t, StateCompleted, read(t, db, a.id).State)
	}
}

func TestStopLetsGoOfWaitingOutcomes(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	f := newFinisher(db.Pool, "a", func(time.Duration) {}, func(string) {}, slog.New(slog.DiscardHandler))
	insertJobs(t, db, 1)
	a := claimOne(t, db, "a")

	db.Pool.Close()
	require.NoError(t, f.Start(t.Context()))

	done := make(chan error, 1)
	go func() { done <- f.finish(a, outcomes()["completed"]) }()

	require.Eventually(t, func() bool { f.mu.Lock(); defer f.mu.Unlock(); return len(f.pending) == 0 }, patience, time.Millisecond)
	require.NoError(t, f.Stop(t.Context()))
	require.ErrorIs(t, <-done, errGivenUp)
	require.ErrorIs(t, f.finish(a, outcomes()["completed"]), errGivenUp)
}

// Users of SQL may have put anything into a job's metadata.
func TestOddMetadataIsNoObstacle(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	f := startFinisher(t, db, "a")

	for _, metadata := range []string{`[]`, `1`, `null`, `"text"`, `{"run": {"timeout_ms": {}}, "cancel_attempted_at": null}`, `{"run": {"timeout_ms": -1, "backoff": {"kind": "x"}}}`, `{"run": "1"}`} {
		for name, out := range outcomes() {
			insertJobs(t, db, 1)
			exec(t, db, "update millrace.river_job set metadata = $1", metadata)
			a := claimOne(t, db, "a")
			hard, _ := a.run.timeouts(&Settings{})
			require.Equal(t, DefaultTimeout, hard)
			require.NoError(t, f.finish(a, out), "%s %s", metadata, name)
			exec(t, db, "truncate millrace.river_job")
		}
	}
}

// Outcomes of a batch that were recorded one by one stay recorded when the node stops before the rest of it.
func TestGivingUpTheRestOfABatch(t *testing.T) {
	t.Parallel()

	recorded, waiting := newFinishing(&attempt{}), newFinishing(&attempt{})
	recorded.settle(nil)
	settle([]*finishing{recorded, waiting}, errGivenUp)

	require.NoError(t, recorded.err)
	require.ErrorIs(t, waiting.err, errGivenUp)
	<-waiting.done
}
