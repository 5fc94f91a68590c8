package schedules

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/testdb"
	"github.com/millrace-dev/millrace/jobs"
	"github.com/millrace-dev/millrace/jobs/internal/jobtest"
)

// A job that is claimed at the same moment runs: under replace it may end, under cancel it is told to.
func TestATickMeetsTheClaimOfAnEarlierJob(t *testing.T) {
	t.Parallel()

	for overlap, told := range map[Overlap]bool{OverlapReplace: false, OverlapCancel: true} {
		t.Run(string(overlap), func(t *testing.T) {
			t.Parallel()

			db := testdb.New(t)
			s := keeper(t, db)
			put(t, s, "s", "@every 1h", func(spec *Spec) { spec.Overlap = overlap })

			earlier, err := s.Run(t.Context(), "s")
			require.NoError(t, err)
			overdue(t, db, "s", time.Second)

			claim, err := db.Pool.Begin(t.Context())
			require.NoError(t, err)

			_, err = claim.Exec(t.Context(), `update millrace.river_job
				set state = 'running', attempt = attempt + 1, attempted_at = now(), attempted_by = '{me}' where id = $1`, earlier.ID)
			require.NoError(t, err)

			fired := make(chan error, 1)

			go func() {
				_, err := testScheduler(db, s.jobs).firing(context.WithoutCancel(t.Context()), 1, nil)
				fired <- err
			}()

			require.Eventually(t, func() (waits bool) {
				return db.Pool.QueryRow(t.Context(), `select exists (select from pg_stat_activity
					where datname = current_database() and wait_event_type = 'Lock')`).Scan(&waits) == nil && waits
			}, jobtest.Patience, time.Millisecond, "the tick waits for the claim")
			require.NoError(t, claim.Commit(t.Context()))
			require.NoError(t, <-fired)

			var running, asked bool
			require.NoError(t, db.Pool.QueryRow(t.Context(), `select state = 'running', metadata ? 'cancel_attempted_at'
				from millrace.river_job where id = $1`, earlier.ID).Scan(&running, &asked))
			require.True(t, running)
			require.Equal(t, told, asked)
			require.Len(t, firedTicks(t, db, "s"), 1)
		})
	}
}

// slowFunctions takes its time for every question.
type slowFunctions struct {
	*jobtest.Functions

	delay time.Duration
}

func (f slowFunctions) Resolve(ctx context.Context, name string) (jobs.Settings, error) {
	time.Sleep(f.delay) // what is slow is the point

	return f.Functions.Resolve(ctx, name) //nolint:wrapcheck // as it is
}

// Postgres ends a transaction that idles for three seconds. A batch that takes longer to decide about, on a busy machine
// after a long outage, is cut short instead: otherwise it would be begun for ever, by every node.
func TestASlowNodeFiresInSmallerBatches(t *testing.T) {
	t.Parallel()

	const count = 80

	db := testdb.New(t)
	s := keeper(t, db)

	for i := range count {
		put(t, s, fmt.Sprintf("s%d", i), "@every 1h")
	}

	jobtest.Exec(t, db, `update millrace.schedule set next_at = v.at, due_at = v.at, anchor = v.at
		from (select date_trunc('second', now()) - interval '1 second' as at) v`)

	functions := jobtest.NewFunctions()
	functions.Deploy("f", jobtest.Returns(`1`))

	slow := jobtest.NewNode(t, db, functions, func(cfg *jobs.Config) { cfg.Executor = slowFunctions{functions, 50 * time.Millisecond} })

	for fired, batches := 0, 0; fired < count; batches++ {
		_, err := testScheduler(db, slow).firing(t.Context(), claimBatch, nil)
		require.NoError(t, err)
		require.NoError(t, db.Pool.QueryRow(t.Context(), "select sum(fired) from millrace.schedule").Scan(&fired))
		require.Less(t, batches, count)
	}
}
