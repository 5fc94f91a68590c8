package schedules

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/testdb"
	"github.com/millrace-dev/millrace/jobs/internal/jobtest"
)

// scheduleStatements are those of each tick, as hotStatements.
var scheduleStatements = map[string]struct { //nolint:gochecknoglobals // a table of tests
	sql, args string
	indexes   []string
}{
	"next due":   {nextDueSQL, `'{}'`, []string{"schedule_due"}},
	"claim":      {claimSQL, `100, '{}'`, []string{"schedule_due"}},
	"unfinished": {unfinishedSQL, `'{s1,s2}', '{t,f}'`, []string{"schedule_job_newest", "river_job_pkey"}},
	"advance": {advanceSQL, `'{s1}', '{now}', '{now}', '{1}', '{0}', '{0}', '{now}', '{7}', '{}'`,
		[]string{"schedule_pkey"}},
	"ran": {ranSQL, `'s1', 7`, []string{"schedule_pkey"}},
}

// fillSchedules makes 5,000 schedules, a few of them due, with ten jobs each.
const fillSchedules = `with made as (
		insert into millrace.schedule (name, function, input, options, cron, timezone, overlap, catch_up, catch_up_window_ms,
			jitter_ms, anchor, next_at, due_at)
		select 's' || i, 'f', '{}', '{}', '@daily', 'UTC', 'skip', 'one', 1000, 0, now(), now() + (i - 10) * interval '1 minute',
			now() + (i - 10) * interval '1 minute'
		from generate_series(1, 5000) i
	)
	insert into millrace.schedule_job (job_id, schedule, tick)
	select i, 's' || i % 5000, now() - i * interval '1 second' from generate_series(1, 50000) i`

func TestSchedulesKeepTheirPlans(t *testing.T) {
	t.Parallel()

	off := `alter table millrace.schedule set (autovacuum_enabled = off);
		alter table millrace.schedule_job set (autovacuum_enabled = off);
		alter table millrace.river_job set (autovacuum_enabled = off)`

	for name, prepare := range map[string][]string{
		"never analyzed":          {off, jobtest.BusyTable, fillSchedules},
		"a burst after analyzing": {off, "vacuum analyze", jobtest.BusyTable, fillSchedules},
		"analyzed":                {off, jobtest.BusyTable, fillSchedules, "analyze"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			db := testdb.New(t)

			conn, err := db.Pool.Acquire(t.Context())
			require.NoError(t, err)

			defer conn.Release()

			for _, sql := range prepare {
				_, err := conn.Conn().PgConn().Exec(t.Context(), sql).ReadAll()
				require.NoError(t, err)
			}

			for statement, hot := range scheduleStatements {
				used := make(map[string]bool)
				testdb.Explain(t, conn.Conn(), hot.sql, hot.args).Walk(func(p testdb.Plan) {
					require.NotEqual(t, "Seq Scan", p.Type, "%s of %s", statement, p.Table)

					used[p.Index] = true
				})

				for _, index := range hot.indexes {
					require.True(t, used[index], "%s uses %v", statement, used)
				}
			}
		})
	}
}
