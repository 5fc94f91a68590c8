package schedules

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/postgres"
	"github.com/millrace-dev/millrace/internal/testdb"
	"github.com/millrace-dev/millrace/jobs"
	"github.com/millrace-dev/millrace/jobs/internal/jobtest"
)

// put makes a schedule of function f.
func put(t testing.TB, s *Service, name, cron string, change ...func(*Spec)) Schedule {
	t.Helper()

	spec := Spec{Name: name, Function: "f", Input: json.RawMessage(`{"n": 1}`), Cron: cron}
	for _, f := range change {
		f(&spec)
	}

	schedule, _, err := s.Put(t.Context(), spec)
	require.NoError(t, err)

	return schedule
}

// overdue has a schedule's next tick be some time ago, as if nobody had been up; @every counts from there.
func overdue(t testing.TB, db *testdb.DB, name string, ago time.Duration) {
	t.Helper()

	jobtest.Exec(t, db, `update millrace.schedule set next_at = v.at, due_at = v.at, anchor = v.at
		from (select date_trunc('second', now()) - $2::bigint * interval '1 second' as at) v
		where name = $1`, name, int64(ago/time.Second))
}

// awaitSchedule polls until a schedule is as wanted.
func awaitSchedule(t testing.TB, s *Service, name string, wanted func(Schedule) bool) Schedule {
	t.Helper()

	var schedule Schedule

	require.Eventually(t, func() bool {
		var err error
		schedule, err = s.Get(t.Context(), name)

		return err == nil && wanted(schedule)
	}, jobtest.Patience, 5*time.Millisecond)

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

// keeper keeps schedules on a node that runs nothing, for functions f and orders.charge, and fires none itself.
func keeper(t testing.TB, db *testdb.DB) *Service {
	t.Helper()

	functions := testFunctions()
	functions.Deploy("orders.charge", jobtest.Returns(`1`), jobs.Settings{
		Version: "v1", Queue: "money", Priority: 1, MaxAttempts: 9, Timeout: time.Hour,
	})

	s, err := New(Config{Pool: db.Pool, Jobs: jobtest.StartNode(t, db, functions, jobtest.InsertOnly)})
	require.NoError(t, err)

	return s
}

func testFunctions() *jobtest.Functions {
	functions := jobtest.NewFunctions()
	functions.Deploy("f", jobtest.Returns(`1`))

	return functions
}

// startScheduling is a node that fires, with ears; function f is the only one, unless others are given.
func startScheduling(t testing.TB, db *testdb.DB, deployed ...*jobtest.Functions) *Service {
	t.Helper()

	return startFiring(t, db, jobtest.Listener(t, db), deployed...)
}

// startDeaf is one that hears nothing.
func startDeaf(t testing.TB, db *testdb.DB, deployed ...*jobtest.Functions) *Service {
	t.Helper()

	return startFiring(t, db, nil, deployed...)
}

func startFiring(t testing.TB, db *testdb.DB, listener *postgres.Listener, deployed ...*jobtest.Functions) *Service {
	t.Helper()

	functions := testFunctions()
	if len(deployed) > 0 {
		functions = deployed[0]
	}

	node := jobtest.NewNode(t, db, functions, func(cfg *jobs.Config) { cfg.Listener = listener })

	s, err := New(Config{Pool: db.Pool, Jobs: node, Listener: listener})
	require.NoError(t, err)

	if listener != nil {
		require.NoError(t, listener.Start(t.Context()))
	}

	jobtest.Start(t, node)

	return jobtest.Start(t, s)
}

// testScheduler is one whose steps the test takes.
func testScheduler(db *testdb.DB, node *jobs.Service) *scheduler {
	return newScheduler(db.Pool, node.Prepare, newMeters(), slog.New(slog.DiscardHandler))
}

func TestAScheduleFiresOnTime(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	s := startScheduling(t, db)
	put(t, s, "every-second", "* * * * * *", func(spec *Spec) {
		spec.Options = jobs.Options{Priority: 1, MaxAttempts: 7, Timeout: time.Minute, Tags: []string{"abc"}}
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

	job := jobtest.Await(t, s.jobs, schedule.LastJobID, jobs.StateCompleted)
	require.Equal(t, "f", job.Function)
	require.JSONEq(t, `{"n": 1}`, string(job.Input))
	require.Equal(t, []string{"abc"}, job.Tags)
	require.Equal(t, 1, job.Priority)
	require.Equal(t, 7, job.MaxAttempts)
	require.NotNil(t, schedule.LastTick)
	require.NotNil(t, schedule.NextTick)
	require.WithinDuration(t, time.Now(), *schedule.LastJobAt, jobtest.Patience)
	require.Equal(t, "every-second", job.Schedule)
	require.WithinDuration(t, *schedule.LastTick, *job.Tick, 0)
}

// The list by schedule shows a schedule's jobs alone, in pages, and those run by hand.
func TestTheJobsOfASchedule(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	s := keeper(t, db)
	put(t, s, "one", "@yearly")
	put(t, s, "two", "@yearly")

	var want []int64

	for range 5 {
		job, err := s.Run(t.Context(), "one")
		require.NoError(t, err)

		want = append([]int64{job.ID}, want...)
		_, err = s.Run(t.Context(), "two")
		require.NoError(t, err)
		jobtest.Submit(t, s.jobs, "f")
	}

	var got []int64

	query := jobs.ListQuery{Schedule: "one", Function: "f", State: jobs.StateQueued, Limit: 2}
	for {
		page, err := s.jobs.List(t.Context(), query)
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

	jobtest.Exec(t, db, "delete from millrace.river_job where id = $1", want[0])
	page, err := s.jobs.List(t.Context(), jobs.ListQuery{Schedule: "one"})
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
	asked := keeper(t, db) // which fires nothing itself
	startScheduling(t, db)

	jobtest.Within(t, poll/2, func() time.Duration {
		put(t, asked, "soon", "0 0 1 1 *")
		jobtest.Exec(t, db, `update millrace.schedule set due_at = now() + interval '100 milliseconds', next_at = now() where name = 'soon'`)

		began := time.Now()
		before, err := asked.Get(t.Context(), "soon")
		require.NoError(t, err)
		jobtest.Exec(t, db, hintSQL)
		awaitSchedule(t, asked, "soon", func(s Schedule) bool { return s.Fired > before.Fired })

		return time.Since(began)
	})
}

// Nodes that hear nothing fire on time all the same: what they know of, by their own clocks; what is new, by the poll.
func TestADeafNodeFires(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	startDeaf(t, db)

	asked := keeper(t, db)
	put(t, asked, "every-second", "@every 1s")
	awaitSchedule(t, asked, "every-second", func(s Schedule) bool { return s.Fired >= 3 })

	jobtest.Within(t, 500*time.Millisecond, func() time.Duration {
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
	asked := keeper(t, db)
	put(t, asked, "held", "0 0 1 1 *")
	overdue(t, db, "held", time.Second)

	tx, err := db.Pool.Begin(t.Context())
	require.NoError(t, err)

	defer func() { _ = tx.Rollback(context.Background()) }()

	stopped := testScheduler(db, asked.jobs)

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
	put(t, s, "yearly", "@yearly", func(spec *Spec) { spec.Paused = true })

	for range 2 {
		job, err := s.Run(t.Context(), "yearly")
		require.NoError(t, err)
		require.JSONEq(t, `{"n": 1}`, string(jobtest.Await(t, s.jobs, job.ID, jobs.StateCompleted).Input))

		schedule, err := s.Get(t.Context(), "yearly")
		require.NoError(t, err)
		require.Equal(t, job.ID, schedule.LastJobID)
		require.Nil(t, schedule.LastTick)
		require.Zero(t, schedule.Fired)
		require.True(t, schedule.Paused)
	}

	_, err := s.Run(t.Context(), "none")
	require.ErrorIs(t, err, ErrNotFound)
}
