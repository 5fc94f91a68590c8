package jobs

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/testdb"
)

// fillLanes is a busy queue whose jobs all have limits: 50 keys, each with jobs that wait and jobs that run.
const fillLanes = `insert into millrace.river_job (kind, args, max_attempts, state, attempt, attempted_at, attempted_by,
		scheduled_at, finalized_at, metadata)
	select 'charge', '{}', 5, s::millrace.river_job_state, 1, now(), '{me}', now(), case when s = 'completed' then now() end,
		jsonb_build_object('lane', 'key-' || i % 50 || E'\x1f')
	from (select i, case when i % 1000 / 100 < 6 then 'completed' when i % 1000 < 650 then 'running' else 'available' end s
		from generate_series(1, 50000) i) v`

// reads is what a session did to river_job in its transaction.
type reads struct {
	seqScans, tuples, lane, slot, other int
}

func readsOf(t *testing.T, tx pgx.Tx) (r reads) {
	t.Helper()
	require.NoError(t, tx.QueryRow(t.Context(), `
		select pg_stat_get_xact_numscans('millrace.river_job'::regclass),
			pg_stat_get_xact_tuples_returned('millrace.river_job'::regclass)
				+ pg_stat_get_xact_tuples_fetched('millrace.river_job'::regclass),
			coalesce(sum(pg_stat_get_xact_numscans(i)) filter (where i::text = 'millrace.mr_lane'), 0),
			coalesce(sum(pg_stat_get_xact_numscans(i)) filter (where i::text = 'millrace.mr_slot'), 0),
			coalesce(sum(pg_stat_get_xact_numscans(i)) filter (where i::text not in ('millrace.mr_lane', 'millrace.mr_slot')), 0)
		from (select indexrelid::regclass i from pg_index where indrelid = 'millrace.river_job'::regclass) x`).
		Scan(&r.seqScans, &r.tuples, &r.lane, &r.slot, &r.other))

	return r
}

// The claim from lanes is a function of several statements, which EXPLAIN does not see into. What it reads is counted
// instead, on tables of every kind, by a session that planned it while the table was empty too.
func TestTheClaimFromLanesReadsWhatItNeeds(t *testing.T) {
	t.Parallel()

	off := "alter table millrace.river_job set (autovacuum_enabled = off)"

	for name, prepare := range map[string][]string{
		"empty":                   {off, "vacuum analyze millrace.river_job"},
		"a burst after analyzing": {off, "vacuum analyze millrace.river_job", fillLanes},
		"never analyzed":          {off, fillLanes},
		"analyzed":                {off, fillLanes, "analyze millrace.river_job"},
		"all finished since": {off, fillLanes, "analyze millrace.river_job",
			"update millrace.river_job set state = 'completed', finalized_at = now() where state <> 'completed'"},
	} {
		for _, planned := range []string{"before", "after"} {
			t.Run(name+", planned "+planned, func(t *testing.T) {
				t.Parallel()

				db := testdb.New(t)
				require.NoError(t, StoreLimits(t.Context(), db.Pool, "charge", Limits{
					Concurrency: 60, Rate: Rate{Limit: 1_000, Period: time.Second},
				}))

				conn, err := db.Pool.Acquire(t.Context())
				require.NoError(t, err)

				defer conn.Release()

				if planned == "before" {
					exec(t, db, fillLanes)
					_, err := conn.Exec(t.Context(), claimLanesSQL, DefaultQueue, 10, "me", "", "", 1, 50)
					require.NoError(t, err)
					exec(t, db, "truncate millrace.river_job")
				}

				for _, sql := range prepare {
					exec(t, db, sql)
				}

				tx, err := conn.Begin(t.Context())
				require.NoError(t, err)

				defer func() { require.NoError(t, tx.Rollback(t.Context())) }()

				before := readsOf(t, tx)
				_, err = tx.Exec(t.Context(), claimLanesSQL, DefaultQueue, 10, "me", "", "", 1, 50)
				require.NoError(t, err)

				after := readsOf(t, tx)
				require.Equal(t, before.seqScans, after.seqScans, "scans of the whole table")
				require.Equal(t, before.other, after.other, "other indexes")
				require.Greater(t, after.lane, before.lane)
				require.Less(t, after.tuples-before.tuples, 5_000, "rows read")
			})
		}
	}
}
