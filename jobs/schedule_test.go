package jobs

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/testdb"
)

// put makes a schedule of function f.
func put(t testing.TB, s *Service, name, cron string, change ...func(*ScheduleSpec)) Schedule {
	t.Helper()

	spec := ScheduleSpec{Name: name, Function: "f", Input: json.RawMessage(`{"n": 1}`), Cron: cron}
	for _, f := range change {
		f(&spec)
	}

	schedule, _, err := s.PutSchedule(t.Context(), spec)
	require.NoError(t, err)

	return schedule
}

// overdue has a schedule's next tick be some time ago, as if nobody had been up; @every counts from there.
func overdue(t testing.TB, db *testdb.DB, name string, ago time.Duration) {
	t.Helper()

	exec(t, db, `update millrace.schedule set next_at = v.at, due_at = v.at, anchor = v.at
		from (select date_trunc('second', now()) - $2::bigint * interval '1 second' as at) v
		where name = $1`, name, int64(ago/time.Second))
}

// awaitSchedule polls until a schedule is as wanted.
func awaitSchedule(t testing.TB, s *Service, name string, wanted func(Schedule) bool) Schedule {
	t.Helper()

	var schedule Schedule

	require.Eventually(t, func() bool {
		var err error
		schedule, err = s.Schedule(t.Context(), name)

		return err == nil && wanted(schedule)
	}, patience, 5*time.Millisecond)

	return schedule
}

type firedTick struct {
	tick    time.Time
	created time.Time
	input   string
}

// firedTicks reads the jobs of a schedule's ticks from the jobs' own rows, in the order of the ticks.
func firedTicks(t testing.TB, db *testdb.DB, name string) []firedTick {
	t.Helper()

	rows, err := db.Pool.Query(t.Context(), `select (metadata ->> 'tick')::timestamptz, created_at, args::text
		from millrace.river_job where metadata ->> 'schedule' = $1 and metadata ? 'tick' order by 1, id`, name)
	require.NoError(t, err)

	var (
		list []firedTick
		one  firedTick
	)

	defer rows.Close()

	for rows.Next() {
		require.NoError(t, rows.Scan(&one.tick, &one.created, &one.input))
		list = append(list, one)
	}

	require.NoError(t, rows.Err())

	return list
}

// startScheduling is a node that fires, with ears; function f is the only one.
func startScheduling(t testing.TB, db *testdb.DB, change ...func(*Config)) *Service {
	t.Helper()

	functions := newFunctions()
	functions.deploy("f", returns(`1`))

	s := newNode(t, db, functions, append([]func(*Config){withListener(t, db)}, change...)...)
	require.NoError(t, s.cfg.Listener.Start(t.Context()))
	require.NoError(t, s.Start(t.Context()))
	t.Cleanup(func() { stopNode(t, s, patience) })

	return s
}

func TestAScheduleFiresOnTime(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	s := startScheduling(t, db)
	put(t, s, "every-second", "* * * * * *", func(spec *ScheduleSpec) {
		spec.Options = Options{Priority: 1, MaxAttempts: 7, Timeout: time.Minute, Tags: []string{"abc"}}
	})

	schedule := awaitSchedule(t, s, "every-second", func(s Schedule) bool { return s.Fired >= 4 })
	ticks := firedTicks(t, db, "every-second")
	require.GreaterOrEqual(t, len(ticks), 4)

	soonest := time.Hour

	for i, tick := range ticks {
		late := tick.created.Sub(tick.tick)
		t.Logf("fired %s after its tick", late)
		require.GreaterOrEqual(t, late, time.Duration(0), "before its time")

		soonest = min(soonest, late)

		if i > 0 {
			require.Equal(t, time.Second, tick.tick.Sub(ticks[i-1].tick))
		}
	}

	require.Less(t, soonest, 500*time.Millisecond, "a poll, not a timer")

	job := await(t, db, schedule.LastJobID, StateCompleted)
	require.Equal(t, "f", job.Function)
	require.JSONEq(t, `{"n": 1}`, string(job.Input))
	require.Equal(t, []string{"abc"}, job.Tags)
	require.Equal(t, 1, job.Priority)
	require.Equal(t, 7, job.MaxAttempts)
	require.NotNil(t, schedule.LastTick)
	require.NotNil(t, schedule.NextTick)
	require.WithinDuration(t, time.Now(), *schedule.LastJobAt, patience)
	require.Equal(t, "every-second", job.Schedule)
	require.WithinDuration(t, *schedule.LastTick, *job.Tick, 0)
}

// The list by schedule shows a schedule's jobs alone, in pages, and those run by hand.
func TestTheJobsOfASchedule(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	s := startInserter(t, db)
	put(t, s, "one", "@yearly")
	put(t, s, "two", "@yearly")

	var want []int64

	for range 5 {
		job, err := s.RunSchedule(t.Context(), "one")
		require.NoError(t, err)

		want = append([]int64{job.ID}, want...)
		_, err = s.RunSchedule(t.Context(), "two")
		require.NoError(t, err)
		submit(t, s, "f")
	}

	var got []int64

	query := ListQuery{Schedule: "one", Function: "f", State: StateQueued, Limit: 2}
	for {
		page, err := s.List(t.Context(), query)
		require.NoError(t, err)

		for _, job := range page.Jobs {
			got = append(got, job.ID)
			require.Equal(t, "one", job.Schedule)
			require.Nil(t, job.Tick)
		}

		if query.Cursor = page.Next; query.Cursor == "" {
			break
		}
	}

	require.Equal(t, want, got)

	exec(t, db, "delete from millrace.river_job where id = $1", want[0])
	page, err := s.List(t.Context(), ListQuery{Schedule: "one"})
	require.NoError(t, err)
	require.Len(t, page.Jobs, 4)

	var left int
	require.NoError(t, db.Pool.QueryRow(t.Context(), "select count(*) from millrace.schedule_job where schedule = 'one'").Scan(&left))
	require.Equal(t, 4, left, "what is known of a job's tick goes with the job")
}

// A change is known to nodes that were not asked.
func TestAChangeOfASchedulesIsSeenByAllNodesAtOnce(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	asked := startInserter(t, db) // which fires nothing itself
	startScheduling(t, db)

	within(t, schedulePoll/2, func() time.Duration {
		put(t, asked, "soon", "0 0 1 1 *")
		exec(t, db, `update millrace.schedule set due_at = now() + interval '100 milliseconds', next_at = now() where name = 'soon'`)

		began := time.Now()
		before, err := asked.Schedule(t.Context(), "soon")
		require.NoError(t, err)
		exec(t, db, scheduleHintSQL)
		awaitSchedule(t, asked, "soon", func(s Schedule) bool { return s.Fired > before.Fired })

		return time.Since(began)
	})
}

// Nodes that hear nothing fire on time all the same: what they know of, by their own clocks; what is new, by the poll.
func TestADeafNodeFires(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	functions := newFunctions()
	functions.deploy("f", returns(`1`))
	startNode(t, db, functions)

	asked := startInserter(t, db)
	put(t, asked, "every-second", "@every 1s")
	awaitSchedule(t, asked, "every-second", func(s Schedule) bool { return s.Fired >= 3 })

	within(t, 500*time.Millisecond, func() time.Duration {
		before := len(firedTicks(t, db, "every-second"))
		awaitSchedule(t, asked, "every-second", func(s Schedule) bool { return s.Fired > int64(before) })

		ticks := firedTicks(t, db, "every-second")
		last := ticks[len(ticks)-1]

		return last.created.Sub(last.tick)
	})
}

// Three nodes on one database; a schedule's every tick has one job.
func TestEachTickFiresOnceOverNodes(t *testing.T) {
	t.Parallel()

	const schedules = 40

	db := testdb.New(t)
	nodes := []*Service{startScheduling(t, db), startScheduling(t, db), startScheduling(t, db)}

	for i := range schedules {
		put(t, nodes[i%3], fmt.Sprintf("s%d", i), "* * * * * *")
	}

	for i := range schedules {
		name := fmt.Sprintf("s%d", i)
		awaitSchedule(t, nodes[0], name, func(s Schedule) bool { return s.Fired >= 4 })
		requireConsecutive(t, firedTicks(t, db, name))
	}
}

func requireConsecutive(t testing.TB, ticks []firedTick) {
	t.Helper()

	for i, tick := range ticks[1:] {
		require.Equal(t, time.Second, tick.tick.Sub(ticks[i].tick), "after %s", ticks[i].tick)
	}
}

// A node that is stopped in the middle of its transaction holds nobody up for long, and one that dies not at all.
func TestAStoppedNodesClaimPasses(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	asked := startInserter(t, db)
	put(t, asked, "held", "0 0 1 1 *")
	overdue(t, db, "held", time.Second)

	tx, err := db.Pool.Begin(t.Context())
	require.NoError(t, err)

	defer func() { _ = tx.Rollback(context.Background()) }()

	stopped := newScheduler(db.Pool, asked.accept, asked.log)

	var claimed []*firing

	_, err = stopped.claim(t.Context(), tx, 10, &claimed)
	require.NoError(t, err)
	require.Len(t, claimed, 1)

	startScheduling(t, db)
	awaitSchedule(t, asked, "held", func(s Schedule) bool { return s.Fired == 1 })
	require.Error(t, fireAll(t.Context(), tx, claimed), "the late one must not fire again")
	require.Len(t, firedTicks(t, db, "held"), 1)
}

func TestRunNow(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	s := startScheduling(t, db)
	put(t, s, "yearly", "@yearly", func(spec *ScheduleSpec) { spec.Paused = true })

	for range 2 {
		job, err := s.RunSchedule(t.Context(), "yearly")
		require.NoError(t, err)
		require.JSONEq(t, `{"n": 1}`, string(await(t, db, job.ID, StateCompleted).Input))

		schedule, err := s.Schedule(t.Context(), "yearly")
		require.NoError(t, err)
		require.Equal(t, job.ID, schedule.LastJobID)
		require.Nil(t, schedule.LastTick)
		require.Zero(t, schedule.Fired)
		require.True(t, schedule.Paused)
	}

	_, err := s.RunSchedule(t.Context(), "none")
	require.ErrorIs(t, err, ErrNoSchedule)
}
