package jobs

import (
	"encoding/json"
	"testing"

	"github.com/jackc/pgx/v5"
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
}

// plan is a node of EXPLAIN's JSON.
type plan struct {
	Type  string `json:"Node Type"`
	Table string `json:"Relation Name"`
	Index string `json:"Index Name"`
	Plans []plan `json:"Plans"`
}

func (p plan) walk(visit func(plan)) {
	visit(p)

	for _, child := range p.Plans {
		child.walk(visit)
	}
}

// explain plans a statement as a prepared one: without knowing the arguments.
func explain(t *testing.T, conn *pgx.Conn, sql, args string) plan {
	t.Helper()

	run := func(sql string) {
		_, err := conn.Exec(t.Context(), sql, pgx.QueryExecModeSimpleProtocol)
		require.NoError(t, err)
	}

	run("set plan_cache_mode = force_generic_plan")
	run("prepare hot as " + sql)
	defer run("deallocate hot")

	if args != "" {
		args = "(" + args + ")"
	}

	var text string
	require.NoError(t, conn.QueryRow(t.Context(), "explain (format json) execute hot"+args, pgx.QueryExecModeSimpleProtocol).Scan(&text))

	var plans []struct{ Plan plan }
	require.NoError(t, json.Unmarshal([]byte(text), &plans))

	return plans[0].Plan
}

// fill makes a table as a busy queue has it: mostly finished jobs, and some of every other kind.
const fill = `insert into millrace.river_job (kind, args, max_attempts, state, attempt, attempted_at, attempted_by, scheduled_at, finalized_at)
	select 'noop', '{}', 5, s::millrace.river_job_state, 1, now(), '{me}', now(), case when s = 'completed' then now() end
	from (select case when i % 10 < 6 then 'completed' when i % 10 = 6 then 'running' when i % 10 = 7 then 'scheduled'
		when i % 10 = 8 then 'retryable' else 'available' end s from generate_series(1, 50000) i) v`

func TestHotStatementsKeepTheirPlans(t *testing.T) {
	t.Parallel()

	off := "alter table millrace.river_job set (autovacuum_enabled = off)"

	tables := map[string]struct {
		prepare []string
		large   bool
	}{
		"new":                     {[]string{off}, false},
		"empty and analyzed":      {[]string{off, "vacuum analyze millrace.river_job"}, false},
		"a burst after analyzing": {[]string{off, "vacuum analyze millrace.river_job", fill}, true},
		"never analyzed":          {[]string{off, fill}, true},
		"analyzed":                {[]string{off, fill, "analyze millrace.river_job"}, true},
		"all finished since": {[]string{off, fill, "analyze millrace.river_job",
			"update millrace.river_job set state = 'completed', finalized_at = now() where state <> 'completed'"}, true},
	}

	for name, table := range tables {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			db := testdb.New(t)
			for _, sql := range table.prepare {
				exec(t, db, sql)
			}

			conn, err := db.Pool.Acquire(t.Context())
			require.NoError(t, err)

			defer conn.Release()

			for statement, hot := range hotStatements {
				indexes := make(map[string]bool)
				explain(t, conn.Conn(), hot.sql, hot.args).walk(func(p plan) {
					require.NotContains(t, p.Type, "Join", statement)
					require.NotContains(t, p.Type, "Nested Loop", statement)

					if table.large && p.Table == "river_job" {
						require.NotEqual(t, "Seq Scan", p.Type, statement)
					}

					indexes[p.Index] = true
				})

				if table.large {
					require.True(t, indexes[hot.index], "%s uses %v", statement, indexes)
				}
			}
		})
	}
}
