package jobs

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/testdb"
)

// punctual is far more than a promotion takes, and far less than River's scheduler would need.
const punctual = time.Second

func delayed(delay time.Duration) func(*Submission) {
	return func(sub *Submission) { sub.Options.Delay = delay }
}

func TestAScheduledJobStartsOnTime(t *testing.T) {
	t.Parallel()

	db, functions := testdb.New(t), newFunctions()
	functions.deploy("noop", returns(`1`))

	s := newNode(t, db, functions, withListener(t, db))
	require.NoError(t, s.cfg.Listener.Start(t.Context()))
	require.NoError(t, s.Start(t.Context()))
	t.Cleanup(func() { stopNode(t, s, patience) })

	// A row that is never due, and that the clock's arithmetic must survive.
	exec(t, db, `insert into millrace.river_job (kind, args, max_attempts, state, scheduled_at)
		values ('noop', '{}', 5, 'scheduled', 'infinity')`)

	within(t, punctual, func() (latest time.Duration) {
		var ids []int64
		for _, delay := range []int{900, 20, 350, 100, 101} {
			ids = append(ids, submit(t, s, "noop", delayed(time.Duration(delay)*time.Millisecond)))
		}

		for _, id := range ids {
			job := await(t, db, id, StateCompleted)
			late := job.StartedAt.Sub(job.ScheduledAt)
			t.Logf("started %s after it was due", late)
			require.GreaterOrEqual(t, late, time.Duration(0))

			latest = max(latest, late)
		}

		return latest
	})
}

// What is told while the promoter looks may have come too late for that look.
func TestAJobThatIsToldDuringALookIsNotForgotten(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	release := holdTable(t, db)
	p := newPromoter(db.Pool, slog.New(slog.DiscardHandler))
	require.NoError(t, p.Start(t.Context()))
	t.Cleanup(func() { require.NoError(t, p.Stop(context.Background())) })

	require.Eventually(t, func() bool { return heldBack(t, db) == 1 }, patience, time.Millisecond)
	p.Expect(50 * time.Millisecond)
	require.True(t, p.Sleep(t.Context(), time.Hour), "it was woken already")
	release()
}

func TestPromotesInBatches(t *testing.T) {
	t.Parallel()

	const n = 2*promoteBatch + 100

	db := testdb.New(t)
	exec(t, db, `insert into millrace.river_job (kind, args, max_attempts, state, scheduled_at)
		select 'noop', '{}', 5, (array['scheduled', 'retryable'])[1 + i % 2]::millrace.river_job_state, now()
		from generate_series(1, $1) i`, n)
	exec(t, db, `insert into millrace.river_job (kind, args, max_attempts, state, scheduled_at)
		values ('noop', '{}', 5, 'scheduled', now() + interval '1 minute')`)

	wait, err := newPromoter(db.Pool, nil).run(t.Context())
	require.NoError(t, err)
	require.Equal(t, promotePoll, wait, "the next one is a minute away")

	var promoted int
	require.NoError(t, db.Pool.QueryRow(t.Context(),
		"select count(*) from millrace.river_job where state = 'available'").Scan(&promoted))
	require.Equal(t, n, promoted)
}
