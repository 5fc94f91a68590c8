package jobs

import (
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/testdb"
)

// The statements that run all day, with arguments for EXPLAIN and the index that has to serve them on a table of
// any size. Without statistics a wrong plan is quadratic, and a queue is busiest just then.
var hotStatements = map[string]struct { //nolint:gochecknoglobals // a table of tests
	sql, args, index string
}{
	"claim":            {claimSQL, "'default', 100, 'me'", "mr_fetch"},
	"finish completed": {finishCompletedSQL, "'{1,2,3}', 1, 'me', '{}'", "river_job_pkey"},
	"finish other":     {finishOtherSQL, "'{1,2,3}', 1, 'me', 'retryable', '{}'", "river_job_pkey"},
	"rescue":           {rescueSQL, "500, '{}', 'me', '{}'", "mr_run"},
	"own running":      {ownRunningSQL, "'me'", "mr_run"},
	"promote":          {promoteSQL, "500", "mr_wait"},
	"next due":         {nextDueSQL, "", "mr_wait"},
	"progress":         {progressSaveSQL, "'{1,2,3}', '{}'", "river_job_pkey"},
	"handed on":        {handedOnSQL, "7", "river_job_pkey"},
	"newest":           {newestSQL, "100", "river_job_pkey"},
	"metrics, waiting": {metricsWaitingSQL, "10000", "mr_wait"},
	"retention":        {retentionStepSQL, "'completed', 5000, '{g}', true, null, 0, 1000", "river_job_state_and_finalized_at_index"},
	"keys, found":      {idempotencyFindSQL, "'{a,b}'", "idempotency_pkey"},
	"keys, expired":    {idempotencyExpireSQL, "5000", "idempotency_expires_at"},
	"keys, reserved":   {idempotencyClaimSQL, "'{a,b}', '{x,y}', 86400", ""},
	"insert":           {insertSQL, "'{1}', '{noop}', '{null}', '{q}', '{2}', '{5}', '{now}', '{0}', '{a}', '{null}', '{f}'", ""},
}

// fill makes a table as a busy queue has it: mostly finished jobs, and some of every other kind.
var fill = fillOf(50_000) //nolint:gochecknoglobals // a constant

func fillOf(rows int) string {
	return fmt.Sprintf(`insert into millrace.river_job
		(kind, args, max_attempts, state, attempt, attempted_at, attempted_by, scheduled_at, finalized_at)
	select 'noop', '{}', 5, s::millrace.river_job_state, 1, now(), '{me}', now(), case when s = 'completed' then now() end
	from (select case when i %% 10 < 6 then 'completed' when i %% 10 = 6 then 'running' when i %% 10 = 7 then 'scheduled'
		when i %% 10 = 8 then 'retryable' else 'available' end s from generate_series(1, %d) i) v`, rows)
}

// fillKeys are the idempotency keys of as many jobs.
func fillKeys(rows int) string {
	return fmt.Sprintf(`insert into millrace.idempotency (key, request_hash, job_id, expires_at)
		select 'key ' || i, '', i, now() + i * interval '1 second' from generate_series(1, %d) i`, rows)
}

// finishAll leaves a table whose statistics tell of what is not there any more.
const finishAll = "update millrace.river_job set state = 'completed', finalized_at = now() where state <> 'completed'"

// requireHotPlans explains every hot statement: none joins, and on a large table each uses its index.
func requireHotPlans(t *testing.T, db *testdb.DB, large bool) {
	t.Helper()

	conn, err := db.Pool.Acquire(t.Context())
	require.NoError(t, err)

	defer conn.Release()

	for statement, hot := range hotStatements {
		indexes := make(map[string]bool)
		testdb.Explain(t, conn.Conn(), hot.sql, hot.args).Walk(func(p testdb.Plan) {
			if hot.index != "" { // what inserts crosses its own results
				require.NotContains(t, p.Type, "Join", statement)
				require.NotContains(t, p.Type, "Nested Loop", statement)
			}

			if large && (p.Table == "river_job" || p.Table == "idempotency") {
				require.NotEqual(t, "Seq Scan", p.Type, statement)
			}

			indexes[p.Index] = true
		})

		if large && hot.index != "" {
			require.True(t, indexes[hot.index], "%s uses %v", statement, indexes)
		}
	}
}

// prepareTable runs the statements while nothing else touches the statistics.
func prepareTable(t *testing.T, db *testdb.DB, statements ...string) {
	t.Helper()
	exec(t, db, "alter table millrace.river_job set (autovacuum_enabled = off)")
	exec(t, db, "alter table millrace.idempotency set (autovacuum_enabled = off)")

	for _, sql := range statements {
		exec(t, db, sql)
	}
}

const analyze = "vacuum analyze millrace.river_job, millrace.idempotency"

func TestHotStatementsKeepTheirPlans(t *testing.T) {
	t.Parallel()

	keys := fillKeys(50_000)

	tables := map[string]struct {
		prepare []string
		large   bool
	}{
		"new":                     {nil, false},
		"empty and analyzed":      {[]string{analyze}, false},
		"a burst after analyzing": {[]string{analyze, fill, keys}, true},
		"never analyzed":          {[]string{fill, keys}, true},
		"analyzed":                {[]string{fill, keys, analyze}, true},
		"all finished since":      {[]string{fill, keys, analyze, finishAll}, true},
	}

	for name, table := range tables {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			db := testdb.New(t)
			prepareTable(t, db, table.prepare...)
			requireHotPlans(t, db, table.large)
		})
	}
}

// One table goes through everything: empty statistics, none that fit, fresh ones, and those of another time.
func TestHotStatementsKeepTheirPlansOnMillionsOfRows(t *testing.T) {
	t.Parallel()

	if os.Getenv(fullSize) == "" {
		t.Skip("takes minutes: set " + fullSize)
	}

	const rows = 5_000_000

	db := testdb.New(t)
	prepareTable(t, db, analyze, fillOf(rows), fillKeys(rows))
	requireHotPlans(t, db, true)

	for _, sql := range []string{analyze, finishAll} {
		exec(t, db, sql)
		requireHotPlans(t, db, true)
	}
}
