package schedules

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/testdb"
	"github.com/millrace-dev/millrace/jobs"
	"github.com/millrace-dev/millrace/jobs/internal/jobtest"
)

// What a tick does to the job of the tick before, which runs or waits.
func TestOverlapPolicies(t *testing.T) {
	t.Parallel()

	for overlap, want := range map[Overlap]struct {
		running, waiting jobs.State // what becomes of the earlier job
		fired, skipped   int64
	}{
		OverlapQueue:   {jobs.StateRunning, jobs.StateScheduled, 1, 0},
		OverlapSkip:    {jobs.StateRunning, jobs.StateScheduled, 0, 1},
		OverlapReplace: {jobs.StateRunning, jobs.StateCancelled, 1, 0},
		OverlapCancel:  {jobs.StateCancelled, jobs.StateCancelled, 1, 0},
	} {
		t.Run(string(overlap), func(t *testing.T) {
			t.Parallel()

			db, functions := testdb.New(t), jobtest.NewFunctions()
			functions.Deploy("f", func(ctx context.Context, _ *jobs.Run) (json.RawMessage, error) {
				<-ctx.Done()

				return nil, ctx.Err()
			})
			s := startScheduling(t, db, functions)
			t.Cleanup(func() { jobtest.StopNow(t, s.jobs) })

			for _, name := range []string{"running", "waiting"} {
				put(t, s, name, "0 0 1 1 *", func(spec *Spec) { spec.Overlap = overlap })
			}

			running, err := s.Run(t.Context(), "running")
			require.NoError(t, err)
			jobtest.Await(t, s.jobs, running.ID, jobs.StateRunning)

			waiting, err := s.Run(t.Context(), "waiting")
			require.NoError(t, err)
			jobtest.Await(t, s.jobs, waiting.ID, jobs.StateRunning)
			jobtest.Exec(t, db, `update millrace.river_job set state = 'scheduled', scheduled_at = now() + interval '1 day' where id = $1`, waiting.ID)

			for _, name := range []string{"running", "waiting"} {
				overdue(t, db, name, 2*time.Second)
			}

			jobtest.Exec(t, db, hintSQL)

			for _, name := range []string{"running", "waiting"} {
				schedule := awaitSchedule(t, s, name, func(s Schedule) bool { return s.Fired+s.Skipped > 0 })
				require.Equal(t, want.fired, schedule.Fired, name)
				require.Equal(t, want.skipped, schedule.Skipped, name)
				require.Zero(t, schedule.Missed, name)
			}

			jobtest.Await(t, s.jobs, running.ID, want.running)
			jobtest.Await(t, s.jobs, waiting.ID, want.waiting)
		})
	}
}

// Several ticks that are due at once make one job where each would give way to the next.
func TestOverlapOfTicksThatAreCaughtUpWith(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	s := keeper(t, db)

	for _, overlap := range []Overlap{OverlapQueue, OverlapSkip, OverlapReplace, OverlapCancel} {
		put(t, s, string(overlap), "@every 1h", func(spec *Spec) {
			spec.Overlap, spec.CatchUp, spec.CatchUpWindow = overlap, CatchUpAll, 24*time.Hour
		})
		overdue(t, db, string(overlap), 4*time.Hour)
	}

	startScheduling(t, db)

	for _, overlap := range []Overlap{OverlapSkip, OverlapReplace, OverlapCancel} {
		schedule := awaitSchedule(t, s, string(overlap), func(s Schedule) bool { return s.Fired > 0 })
		require.EqualValues(t, 1, schedule.Fired, overlap)
		require.EqualValues(t, 4, schedule.Skipped, overlap)
		require.Len(t, firedTicks(t, db, string(overlap)), 1)
	}

	awaitSchedule(t, s, string(OverlapQueue), func(s Schedule) bool { return s.Fired == 5 && s.Skipped == 0 })
}

// A schedule whose function nobody has is counted as missed, says why, and holds up nobody.
func TestAScheduleOfNoFunction(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	asked := keeper(t, db)
	put(t, asked, "orphan", "@every 1h", func(spec *Spec) { spec.Function = "orders.charge" })
	put(t, asked, "good", "@every 1h")
	overdue(t, db, "orphan", 12*time.Second)
	overdue(t, db, "good", time.Second)
	startScheduling(t, db)

	orphan := awaitSchedule(t, asked, "orphan", func(s Schedule) bool { return s.Missed == 1 })
	require.Contains(t, orphan.Error, "unknown function")
	require.NotNil(t, orphan.NextTick)
	require.Zero(t, orphan.Fired)
	awaitSchedule(t, asked, "good", func(s Schedule) bool { return s.Fired == 1 })
}

// Within the grace a tick is left to nodes that know the function.
func TestANodeLeavesWhatItDoesNotKnowToOthers(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	knows := keeper(t, db)
	put(t, knows, "s", "@every 1h", func(spec *Spec) { spec.Function = "orders.charge" })
	overdue(t, db, "s", time.Second)

	ignorant := startScheduling(t, db)
	require.Eventually(t, func() bool { return ignorant.scheduler.Running() }, jobtest.Patience, time.Millisecond)

	functions := jobtest.NewFunctions()
	functions.Deploy("orders.charge", jobtest.Returns(`1`))
	startDeaf(t, db, functions)

	schedule := awaitSchedule(t, knows, "s", func(s Schedule) bool { return s.Fired+s.Missed > 0 })
	require.EqualValues(t, 1, schedule.Fired, "fired by the one that knows it")
}

// A row that Postgres does not take, here for a tag that some trigger dislikes, keeps no other schedule back.
func TestARefusedTickFailsAlone(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	asked := keeper(t, db)

	jobtest.Exec(t, db, `create function millrace.dislike() returns trigger language plpgsql as $$
		begin raise exception 'not this one' using errcode = '23514'; end $$`)
	jobtest.Exec(t, db, `create trigger dislike before insert on millrace.river_job for each row
		when ('poison' = any (new.tags)) execute function millrace.dislike()`)

	put(t, asked, "bad", "@every 1h", func(spec *Spec) { spec.Options.Tags = []string{"poison"} })

	for _, name := range []string{"a", "b", "z"} {
		put(t, asked, name, "@every 1h")
		overdue(t, db, name, time.Second)
	}

	overdue(t, db, "bad", 2*time.Second)
	startScheduling(t, db)

	for _, name := range []string{"a", "b", "z"} {
		awaitSchedule(t, asked, name, func(s Schedule) bool { return s.Fired == 1 })
	}

	bad := awaitSchedule(t, asked, "bad", func(s Schedule) bool { return s.Missed == 1 })
	require.Contains(t, bad.Error, "not this one")
	require.Zero(t, bad.Fired)
}
