package statistics

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/testdb"
	"github.com/millrace-dev/millrace/jobs/internal/jobtest"
)

func TestStatementsUseTheirIndexes(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	jobtest.Exec(t, db, `insert into millrace.function_stat
		select 60, now() - i * interval '1 minute', 'f' || f, 'n', 1, 0, 0, 0, '{}', '{}' from generate_series(1, 1440) i, generate_series(1, 20) f`)
	jobtest.Exec(t, db, "analyze millrace.function_stat") // without, either index is as good for one function

	conn, err := db.Pool.Acquire(t.Context())
	require.NoError(t, err)

	defer conn.Release()

	for name, statement := range map[string]struct{ sql, args, index string }{
		"read":   {minuteReadSQL, "60, now() - interval '1 hour', now(), 100", "function_stat_at"},
		"of one": {minuteReadOneSQL, "60, now() - interval '1 hour', now(), 100, 'f1'", "function_stat_pkey"},
		"forget": {minuteForgetSQL, "60, 86400, 5000", "function_stat_at"},
	} {
		indexes := make(map[string]bool)
		testdb.Explain(t, conn.Conn(), statement.sql, statement.args).Walk(func(p testdb.Plan) {
			if p.Table == "function_stat" {
				require.NotEqual(t, "Seq Scan", p.Type, name)
			}

			indexes[p.Index] = true
		})
		require.True(t, indexes[statement.index], "%s uses %v", name, indexes)
	}
}
