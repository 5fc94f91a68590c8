package jobs

import (
	"context"
	"encoding/json"
	"log/slog"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river/rivertype"
	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/testdb"
)

// outcomes has one of every kind that an attempt can come to.
func outcomes() map[string]outcome {
	failure := &Failure{Code: CodeException, Message: "no"}

	return map[string]outcome{
		"completed": {state: rivertype.JobStateCompleted, output: json.RawMessage(`{"a": 1}`), version: "v1"},
		"retryable": {state: rivertype.JobStateRetryable, failure: failure, delay: time.Hour, version: "v1"},
		"discarded": {state: rivertype.JobStateDiscarded, failure: failure},
		"cancelled": {state: rivertype.JobStateCancelled, failure: failure},
		"available": {state: rivertype.JobStateAvailable},
	}
}

// startFinisher makes a finisher for a client, without a node around it.
func startFinisher(t *testing.T, db *testdb.DB, client string) *finisher {
	t.Helper()

	f := newFinisher(db.Pool, client, func(time.Duration) {}, func(string) {}, slog.New(slog.DiscardHandler))
	require.NoError(t, f.Start(t.Context()))
	t.Cleanup(func() { require.NoError(t, f.Stop(context.Background())) })

	return f
}

// insertJobs puts n available jobs into the default queue, without a service.
func insertJobs(t testing.TB, db *testdb.DB, n int) {
	t.Helper()
	exec(t, db, `insert into millrace.river_job (kind, args, max_attempts, priority)
		select 'noop', '{"n": 1}', 5, 2 from generate_series(1, $1)`, n)
}

// claimFresh inserts a job and claims it.
func claimFresh(t *testing.T, db *testdb.DB, client string) *attempt {
	t.Helper()

	insertJobs(t, db, 1)

	return claimOne(t, db, client)
}

// claimOne claims the only available job.
func claimOne(t *testing.T, db *testdb.DB, client string) *attempt {
	t.Helper()

	claims, _, err := claim(t.Context(), db.Pool, DefaultQueue, 2, client)
	require.NoError(t, err)
	require.Len(t, claims, 1)

	return claims[0]
}

// rowText is everything of a row, to compare.
func rowText(t *testing.T, db *testdb.DB, id int64) string {
	t.Helper()

	var text string
	require.NoError(t, db.Pool.QueryRow(t.Context(),
		"select coalesce((select j::text from millrace.river_job j where id = $1), 'gone')", id).Scan(&text))

	return text
}

func TestEveryOutcomeIsRecordedOnce(t *testing.T) { //nolint:tparallel // one database, emptied for each
	t.Parallel()

	db := testdb.New(t)
	f := startFinisher(t, db, "a")

	for name, out := range outcomes() {
		t.Run(name, func(t *testing.T) {
			exec(t, db, "truncate millrace.river_job")

			a := claimFresh(t, db, "a")

			require.NoError(t, f.finish(a, out))

			job := read(t, db, a.id)
			require.Equal(t, stateOf(out.state), job.State)
			require.Equal(t, out.state == rivertype.JobStateAvailable, job.Attempt == 0, "only what is handed back is not counted")
			require.Equal(t, job.State.Finished(), job.FinishedAt != nil)
			require.Equal(t, out.version, job.Version)

			if out.failure != nil {
				require.Equal(t, out.failure, job.Error)
			}

			if out.output != nil {
				require.JSONEq(t, string(out.output), string(job.Output))
			}

			before := rowText(t, db, a.id)
			require.ErrorIs(t, f.finish(a, out), errFenced)
			require.Equal(t, before, rowText(t, db, a.id))
		})
	}
}

// The promise J3: whoever comes late changes nothing, whatever he has to say.
func TestALateOutcomeRecordsNothing(t *testing.T) { //nolint:tparallel // as above
	t.Parallel()

	const rescue = "update millrace.river_job set state = 'available' where id = $1"

	situations := map[string]func(t *testing.T, db *testdb.DB, id int64){
		"rescued and waiting": func(t *testing.T, db *testdb.DB, id int64) { exec(t, db, rescue, id) },
		"rescued and running elsewhere": func(t *testing.T, db *testdb.DB, id int64) {
			exec(t, db, rescue, id)
			claimOne(t, db, "b")
		},
		"rescued and running here again": func(t *testing.T, db *testdb.DB, id int64) {
			exec(t, db, rescue, id)
			claimOne(t, db, "a")
		},
		"handed back and running elsewhere": func(t *testing.T, db *testdb.DB, id int64) {
			exec(t, db, "update millrace.river_job set state = 'available', attempt = attempt - 1 where id = $1", id)
			claimOne(t, db, "b")
		},
		"completed elsewhere": func(t *testing.T, db *testdb.DB, id int64) {
			exec(t, db, `update millrace.river_job
				set state = 'completed', finalized_at = now(), metadata = '{"output": 2}' where id = $1`, id)
		},
		"deleted": func(t *testing.T, db *testdb.DB, id int64) {
			exec(t, db, "delete from millrace.river_job where id = $1", id)
		},
	}

	db := testdb.New(t)
	f := startFinisher(t, db, "a")

	for situation, arrange := range situations {
		t.Run(situation, func(t *testing.T) {
			for name, out := range outcomes() {
				a := claimFresh(t, db, "a")
				arrange(t, db, a.id)

				before := rowText(t, db, a.id)
				require.ErrorIs(t, f.finish(a, out), errFenced, name)
				require.Equal(t, before, rowText(t, db, a.id), name)
				exec(t, db, "truncate millrace.river_job")
			}
		})
	}
}

func TestACancelledJobIsNotRunAgain(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	f := startFinisher(t, db, "a")

	for _, name := range []string{"retryable", "available"} {
		a := claimFresh(t, db, "a")
		exec(t, db, `update millrace.river_job set metadata = metadata || '{"cancel_attempted_at": "now"}'`)

		require.NoError(t, f.finish(a, outcomes()[name]))
		require.Equal(t, StateCancelled, read(t, db, a.id).State)
		require.Equal(t, 1, read(t, db, a.id).Attempt)
	}
}

// The attempt after a hand-back has the same number: watchers of the feed hear of it as of any other.
func TestTheFeedSeesTheAttemptAfterAHandBack(t *testing.T) {
	t.Parallel()

	var queue pgx.Batch

	queueNotifications(&queue, []*finishing{{
		attempt: &attempt{id: 1, number: 1, function: "f"}, out: outcome{state: rivertype.JobStateAvailable},
	}})

	f := newFeed()
	f.watch(true)

	payloads, _ := queue.QueuedQueries[0].Arguments[0].([]string)
	parseHints(payloads[0], func(h hint) { f.add(h, time.Now()) })
	f.add(stateHint(1, StateRunning, 1, "f"), time.Now())
	require.Equal(t, StateRunning, f.changes[1].State)
}
