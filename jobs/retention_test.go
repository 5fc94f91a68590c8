package jobs

import (
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/testdb"
)

// newTestRetention is one that nothing runs by itself.
func newTestRetention(db *testdb.DB, keep Retention) *retention {
	return newRetention(&Config{Pool: db.Pool, Retention: keep, Logger: slog.New(slog.DiscardHandler)})
}

// finishedAgo makes n finished jobs of an age.
func finishedAgo(t testing.TB, db *testdb.DB, n int, kind, state string, age time.Duration) {
	t.Helper()
	exec(t, db, `insert into millrace.river_job (kind, args, max_attempts, priority, state, finalized_at)
		select $2, '{}', 5, 2, $3::text::millrace.river_job_state, now() - $4::bigint * interval '1 millisecond'
		from generate_series(1, $1)`, n, kind, state, age.Milliseconds())
}

// keeps lets a function of the program say how long its jobs are kept, in the stored form.
func keeps(t testing.TB, db *testdb.DB, function, retention string) {
	t.Helper()
	exec(t, db, `insert into millrace.native_function as n (name, config) values ($1, jsonb_build_object('retention', $2::jsonb))
		on conflict (name) do update set config = excluded.config`, function, retention)
}

func TestRetentionOfFunctionsAndStates(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	r := newTestRetention(db, Retention{})

	const hour, day = time.Hour, 24 * time.Hour

	keeps(t, db, "short", `{"completed_ms": 3600000, "failed_ms": 7200000}`)
	keeps(t, db, "brief", `{"completed_ms": 3600000}`) // shares a pass
	keeps(t, db, "long", `{"completed_ms": 864000000}`)
	keeps(t, db, "always", `{"completed_ms": -1, "failed_ms": -1}`)
	keeps(t, db, "ephemeral", `{"completed_ms": 0}`)

	for _, job := range []struct {
		kind, state string
		age         time.Duration
		gone        bool
	}{
		{"any", "completed", day + hour, true},
		{"any", "completed", day - hour, false},
		{"any", "discarded", 8 * day, false}, // River would have deleted it
		{"any", "discarded", 31 * day, true},
		{"any", "cancelled", 6 * day, false},
		{"any", "cancelled", 8 * day, true},
		{"short", "completed", 2 * hour, true},
		{"short", "completed", hour / 2, false},
		{"short", "discarded", 3 * hour, true},
		{"short", "discarded", hour, false},
		{"short", "cancelled", 8 * day, true}, // what it does not say is everybody's
		{"brief", "completed", 2 * hour, true},
		{"brief", "discarded", 3 * hour, false},
		{"long", "completed", 9 * day, false},
		{"long", "completed", 11 * day, true},
		{"always", "completed", 1000 * day, false},
		{"always", "discarded", 1000 * day, false},
		{"ephemeral", "completed", time.Minute, true},
		{"ephemeral", "completed", 0, false}, // somebody may still wait for its end
		{"ephemeral", "discarded", 29 * day, false},
	} {
		finishedAgo(t, db, 2, job.kind, job.state, job.age)
		exec(t, db, `update millrace.river_job set args = to_jsonb($1::boolean) where args = '{}'`, job.gone)
	}

	fillState(t, db, 1, "any", "available")
	require.NoError(t, r.sweep(t.Context()))
	require.Zero(t, rowsWhere(t, db, "args = 'true'"), "what is over is gone")
	require.Equal(t, 2*11, rowsWhere(t, db, "args = 'false'"), "and nothing else")

	// Another configuration is another pass, which begins anew.
	keeps(t, db, "long", `{"completed_ms": 1000}`)
	require.NoError(t, r.sweep(t.Context()))
	require.Zero(t, rowsWhere(t, db, "kind = 'long'"))
	require.Equal(t, 2, rowsWhere(t, db, "kind = 'brief'"))
}

// Steps are bounded, a pass meets each row once, and it comes back once a day for what it could not have.
func TestRetentionGoesInSteps(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	r := newTestRetention(db, Retention{Completed: time.Hour, Failed: KeepForever, Cancelled: KeepForever})

	const n = 2*retentionStep + 10

	keeps(t, db, "always", `{"completed_ms": -1}`)
	finishedAgo(t, db, n, "any", "completed", 2*time.Hour)
	finishedAgo(t, db, 30, "always", "completed", 2*time.Hour)

	tx, err := db.Pool.Begin(t.Context())
	require.NoError(t, err)

	defer func() { _ = tx.Rollback(t.Context()) }()

	var held int64
	require.NoError(t, tx.QueryRow(t.Context(), "select id from millrace.river_job where kind = 'any' limit 1 for update").Scan(&held))

	passes, err := r.passes(t.Context())
	require.NoError(t, err)
	require.Len(t, passes, 1)

	for step, left := range []int{n - retentionStep, n - 2*retentionStep, 0} {
		more, err := r.step(t.Context(), &passes[0])
		require.NoError(t, err)
		require.Equal(t, step < 2, more)

		rows := rowsWhere(t, db, "kind = 'any'")
		require.GreaterOrEqual(t, rows, left)
		require.LessOrEqual(t, rows, left+31, "all but what is held or somebody else's")
	}

	require.Equal(t, 1, rowsWhere(t, db, "kind = 'any'"), "what somebody holds is waited for by nobody")
	require.Equal(t, 30, rowsWhere(t, db, "kind = 'always'"))
	require.NoError(t, tx.Rollback(t.Context()))
	require.NoError(t, r.sweep(t.Context()))
	require.Equal(t, 1, rowsWhere(t, db, "kind = 'any'"), "the pass is beyond it")

	exec(t, db, "update millrace.retention_pass set begun_at = begun_at - interval '25 hours'")
	require.NoError(t, r.sweep(t.Context()))
	require.Zero(t, rowsWhere(t, db, "kind = 'any'"))
	require.Equal(t, 30, rowsWhere(t, db, "kind = 'always'"))
}

// A node deletes by itself, and whoever waits for an ephemeral job sees its end first.
func TestEphemeralJobsLeaveNoRow(t *testing.T) {
	t.Parallel()

	db, functions := testdb.New(t), newFunctions()
	functions.deploy("noop", returns(`"done"`))
	keeps(t, db, "noop", `{"completed_ms": 0}`)

	s := newNode(t, db, functions)
	s.retention.every = 50 * time.Millisecond
	require.NoError(t, s.Start(t.Context()))
	t.Cleanup(func() { stopNode(t, s, patience) })

	id := submit(t, s, "noop")
	job, err := s.Wait(t.Context(), id)
	require.NoError(t, err)
	require.JSONEq(t, `"done"`, string(job.Output))
	require.Eventually(t, func() bool { return rowsWhere(t, db, "true") == 0 }, 2*patience, 20*time.Millisecond)
}

func TestRetentionIsChecked(t *testing.T) {
	t.Parallel()

	require.NoError(t, Retention{Completed: KeepNone, Failed: KeepForever, Cancelled: time.Second}.Validate())

	for _, wrong := range []Retention{{Completed: time.Millisecond}, {Failed: -2}, {Cancelled: MaxKeep + 1}} {
		require.ErrorContains(t, wrong.Validate(), "retention.")
	}

	_, err := New(Config{Pool: testdb.New(t).Pool, Executor: newFunctions(), NodeID: "n", Retention: Retention{Failed: 1}})
	require.ErrorContains(t, err, "retention.failed")
}

// A step goes along the index of finished jobs, on a table that was never analyzed, on one whose statistics are old, and
// on a fresh one, and looks at no more than it was asked for.
func TestRetentionPlan(t *testing.T) {
	t.Parallel()

	for name, prepare := range map[string][]string{
		"never analyzed": {fill},
		"old statistics": {"vacuum analyze millrace.river_job", fill},
		"analyzed":       {fill, "vacuum analyze millrace.river_job"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			db := testdb.New(t)
			exec(t, db, "alter table millrace.river_job set (autovacuum_enabled = off)")

			for _, sql := range prepare {
				exec(t, db, sql)
			}

			exec(t, db, "update millrace.river_job set finalized_at = now() - id * interval '1 second' where state = 'completed'")

			conn, err := db.Pool.Acquire(t.Context())
			require.NoError(t, err)

			defer conn.Release()

			indexes := make(map[string]bool)
			testdb.Explain(t, conn.Conn(), retentionStepSQL, "'completed', 5000, '{g}', true, null, 0, 1000").Walk(func(p testdb.Plan) {
				require.NotContains(t, p.Type, "Join")

				if p.Table == "river_job" {
					require.NotEqual(t, "Seq Scan", p.Type)
				}

				indexes[p.Index] = true
			})
			require.True(t, indexes["river_job_state_and_finalized_at_index"], "%v", indexes)
		})
	}
}
