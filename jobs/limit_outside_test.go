package jobs

import (
	"context"
	"encoding/json"
	"os"
	osexec "os/exec"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/testdb"
)

// fullSize asks for the sizes that the documentation states; without it tests do with less.
const fullSize = "MILLRACE_TEST_FULL"

const spanTable = `create table public.span (
	id bigint generated always as identity primary key, job bigint, key text, node text,
	began timestamptz not null default clock_timestamp(), ended timestamptz)`

// chargeLimits are those of the function that writes spans.
func chargeLimits() Limits { return Limits{Concurrency: 2, ConcurrencyKey: "input.key"} }

// recordSpan is a function that writes its start and its end into a table of its own.
func recordSpan(pool *pgxpool.Pool, node string) func(context.Context, *Run) (json.RawMessage, error) {
	return func(ctx context.Context, run *Run) (json.RawMessage, error) {
		var span int64
		if err := pool.QueryRow(ctx, "insert into public.span (job, key, node) values ($1, $2::jsonb ->> 'key', $3) returning id",
			run.JobID, run.Input, node).Scan(&span); err != nil {
			return nil, err
		}

		_, err := pool.Exec(ctx, "update public.span set ended = clock_timestamp() where id = $1", span)

		return nil, err
	}
}

// The promise J4, seen from outside: three nodes, one of which is killed, and what ran when is in a table.
func TestNoKeyExceedsItsLimitOverThreeNodes(t *testing.T) {
	t.Parallel()

	keys, jobs := 50, 2_000
	if os.Getenv(fullSize) != "" {
		jobs = 20_000
	}

	db, functions := testdb.New(t), newFunctions()
	exec(t, db, spanTable)
	deployLimited(t, db, functions, "charge", chargeLimits(), recordSpan(db.Pool, "survivor"))

	exec(t, db, `insert into millrace.river_job (kind, args, max_attempts, priority, metadata)
		select 'charge', args, 5, 2, jsonb_build_object('lane', millrace.lane('charge', args))
		from (select jsonb_build_object('key', i % $1) args from generate_series(1, $2) i) x`, keys, jobs)

	cmd := osexec.CommandContext(context.Background(), os.Args[0])
	cmd.Env = append(os.Environ(), childURL+"="+db.URL)
	cmd.Stderr = testWriter{t}
	require.NoError(t, cmd.Start())

	count := func(sql string) (n int) {
		require.NoError(t, db.Pool.QueryRow(t.Context(), sql).Scan(&n))

		return n
	}

	require.Eventually(t, func() bool {
		return count("select count(*) from public.span where node = 'child' and ended is not null") > jobs/20
	}, patience, time.Millisecond, "the child works")

	startNode(t, db, functions)
	startNode(t, db, functions)

	require.Eventually(t, func() bool {
		return count("select count(*) from public.span where node = 'survivor'") > jobs/20 &&
			count("select count(*) from public.span where node = 'child' and ended is null") > 0
	}, patience, time.Millisecond, "all of them work")

	require.NoError(t, cmd.Process.Kill())
	_ = cmd.Wait()

	var killed time.Time
	require.NoError(t, db.Pool.QueryRow(t.Context(), "select clock_timestamp()").Scan(&killed))

	require.Eventually(t, func() bool {
		return count("select count(*) from millrace.river_job where state = 'completed'") == jobs
	}, 10*patience, 20*time.Millisecond, "nothing is lost")

	// What the child had begun ended with it. The last it had sent, Postgres may have carried out a moment later.
	exec(t, db, "update public.span set ended = greatest(began, $1) where ended is null and node = 'child'", killed)
	require.Equal(t, jobs, count("select count(distinct job) from public.span"))

	// At each start: how many of its key were under way.
	most := count(`select max(n) from (
		select sum(step) over (partition by key order by at, step) n
		from (select key, began at, 1 step from public.span union all select key, ended, -1 from public.span) x) y`)
	require.Equal(t, chargeLimits().Concurrency, most)
	t.Logf("%d jobs, %d keys: never more than %d of a key at once", jobs, keys, most)
}
