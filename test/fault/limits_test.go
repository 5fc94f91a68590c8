package fault_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestNoKeyExceedsItsLimitOverThreeInstances has three instances work on many keys while one of them is killed. At the
// start of each job no more of its key were running than may.
func TestNoKeyExceedsItsLimitOverThreeInstances(t *testing.T) {
	t.Parallel()
	keys, jobs := 50, 1_000
	if *full {
		jobs = 20_000
	}
	inst := install(t)
	inst.keepHistory(t)
	victim := inst.app(t, "victim")
	inst.app(t, "second")
	inst.app(t, "third")
	const queue = `insert into millrace.river_job (kind, args, max_attempts, priority, metadata)
		select 'keyed', args, 50, 2, jsonb_build_object('lane', millrace.lane('keyed', args))
		from (select jsonb_build_object('key', i % $1, 'ms', 2) args from generate_series(1, $2) i) x`
	_, err := inst.db.Pool.Exec(t.Context(), queue, keys, jobs)
	require.NoError(t, err)
	inst.awaitSpan(t, "victim")
	victim.kill()
	var killed time.Time
	require.NoError(t, inst.db.Pool.QueryRow(t.Context(), "select clock_timestamp()").Scan(&killed))

	require.Eventually(t, func() bool {
		return inst.count(t, "select count(*) from millrace.river_job where state = 'completed'") == jobs
	}, 10*time.Minute, 50*time.Millisecond)
	// What it had begun ended with it. The last that it had sent, Postgres may have carried out a moment later.
	_, err = inst.db.Pool.Exec(t.Context(), "update public.span set ended = greatest(began, $1) where ended is null and node = 'victim'", killed)
	require.NoError(t, err)
	require.Equal(t, jobs, inst.count(t, "select count(distinct job) from public.span"))
	nodes := inst.count(t, "select count(distinct node) from public.span")
	require.GreaterOrEqual(t, nodes, 2) // of a thousand jobs, one of the three may get none
	if *full {
		require.Equal(t, 3, nodes)
	}
	most := inst.count(t, `select max(n) from (
		select sum(step) over (partition by key order by at, step) n
		from (select key, began at, 1 step from public.span union all select key, ended, -1 from public.span) x) y`)
	require.Equal(t, keyConcurrency, most)
	t.Logf("%d jobs of %d keys on %d instances: never more than %d of a key at once", jobs, keys, nodes, most)
}
