package fault_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/apiclient"
)

// runAgainWithin is how long a job of a dead instance waits at most for its next start.
const runAgainWithin = 15 * time.Second

// feed submits jobs at an even rate, each at whichever instance there is, until ctx ends. A submission that was not
// acknowledged is made again under its key. It returns the ids of all.
func feed(ctx context.Context, t *testing.T, f *fleet, every time.Duration) []int64 {
	t.Helper()
	var (
		wg  sync.WaitGroup
		mu  sync.Mutex
		ids []int64
	)
	patient := within(t, time.Hour)
	for n := 0; ctx.Err() == nil; n++ {
		wg.Go(func() {
			input, _ := json.Marshal(workInput{Milliseconds: 20 + rand.IntN(300)})
			for {
				job, err := submitOnce(patient, f.any(), input, fmt.Sprint("job ", n))
				if err == nil {
					mu.Lock()
					defer mu.Unlock()
					ids = append(ids, job.ID)
					return
				}
				if patient.Err() != nil {
					t.Errorf("job %d: %v", n, err)
					return
				}
			}
		})
		select {
		case <-ctx.Done():
		case <-time.After(every):
		}
	}
	wg.Wait()
	return ids
}

// submitOnce gives up soon.
func submitOnce(ctx context.Context, in *instance, input json.RawMessage, key string) (apiclient.Job, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	select {
	case <-in.ended: // about to be replaced
		time.Sleep(10 * time.Millisecond)
		return apiclient.Job{}, context.Canceled
	default:
		return in.client.Submit(ctx, "work", input, apiclient.Options{IdempotencyKey: key})
	}
}

// TestJobsOfKilledInstancesRunAgain kills one of three instances under load, again and again. Whatever was
// acknowledged succeeds once, and what the dead ones were running starts again in time.
func TestJobsOfKilledInstancesRunAgain(t *testing.T) {
	t.Parallel()
	const every = 3 * time.Second
	kills := 2
	if *full {
		kills = 100
	}
	inst := install(t)
	inst.keepHistory(t)
	_, err := inst.db.Pool.Exec(t.Context(), "create table public.killed (node text not null, at timestamptz not null default clock_timestamp())")
	require.NoError(t, err)
	f := &fleet{}
	for n := range 3 {
		f.list = append(f.list, inst.app(t, fmt.Sprint("app-", n)))
	}
	load, stopLoad := context.WithCancel(t.Context())
	var ids []int64
	var wg sync.WaitGroup
	wg.Go(func() { ids = feed(load, t, f, 20*time.Millisecond) })
	names := []string{"app-0", "app-1", "app-2"}
	for kill := range kills {
		select {
		case <-time.After(every):
		case <-t.Context().Done():
		}
		victim := rand.IntN(len(names))
		inst.awaitSpan(t, names[victim])
		f.list[victim].kill()
		_, err := inst.db.Pool.Exec(t.Context(), "insert into public.killed values ($1)", names[victim])
		require.NoError(t, err)
		names[victim] = fmt.Sprintf("app-%d-%d", victim, kill)
		f.replace(victim, inst.app(t, names[victim]))
	}
	stopLoad()
	wg.Wait()
	const left = `select count(*) from millrace.river_job where state <> 'completed'`
	require.Eventually(t, func() bool { return inst.count(t, left) == 0 }, 60*time.Second, 100*time.Millisecond)
	inst.requireOneSuccess(t, ids)
	inst.requireRunAgain(t, len(ids), kills)
}

// awaitCount returns when a statement counts that many.
func (i *installation) awaitCount(t *testing.T, sql string, n int, args ...any) {
	t.Helper()
	require.Eventually(t, func() bool { return i.count(t, sql, args...) == n }, 60*time.Second, 5*time.Millisecond)
}

// awaitSpan returns when the instance runs something.
func (i *installation) awaitSpan(t *testing.T, node string) {
	t.Helper()
	require.Eventually(t, func() bool {
		return i.count(t, "select count(*) from public.span where node = $1 and ended is null", node) > 0
	}, 60*time.Second, time.Millisecond, "%s gets no job", node)
}

// requireRunAgain looks at the starts that have no end, on instances that were killed: each is followed by another of
// the same job, but for those whose success was recorded before the function's own last line was.
func (i *installation) requireRunAgain(t *testing.T, jobs, kills int) {
	t.Helper()
	const again = `
select count(*), count(next), coalesce(max(extract(epoch from next - at)), 0)::float8,
    coalesce(percentile_cont(array[0.5, 0.99]) within group (order by extract(epoch from next - at)), '{0,0}')::float8[]
from (
    select k.at, (select min(n.began) from public.span n where n.job = s.job and n.attempt > s.attempt) as next
    from public.span s join public.killed k using (node)
    where s.ended is null
) t`
	var lost, found int
	var worst float64
	var p50p99 []float64
	require.NoError(t, i.db.Pool.QueryRow(t.Context(), again).Scan(&lost, &found, &worst, &p50p99))
	t.Logf("%d jobs acknowledged, %d instances killed with %d running jobs, which started again after %.1f s (p50), %.1f s (p99), %.1f s (worst)",
		jobs, kills, lost, p50p99[0], p50p99[1], worst)
	require.Equal(t, lost, found, "jobs of dead instances that did not start again")
	require.GreaterOrEqual(t, lost, kills)
	if *full { // else it shares its machine with other tests
		require.Less(t, worst, runAgainWithin.Seconds())
	}
}

// TestALateInstanceRecordsNothing stops instances that run a job for longer than their lease. Others run the jobs
// meanwhile, and that outcome stands when the late ones go on, and end what they began.
func TestALateInstanceRecordsNothing(t *testing.T) {
	t.Parallel()
	late, rounds := 2, 1
	if *full {
		late, rounds = 5, 10
	}
	inst := install(t)
	inst.keepHistory(t)
	for round := range rounds {
		victims := make([]*instance, late)
		names := make([]string, late)
		for n := range victims {
			names[n] = fmt.Sprintf("late-%d-%d", round, n)
			victims[n] = inst.app(t, names[n])
		}
		for submitted := 0; inst.count(t, "select count(distinct node) from public.span where node = any ($1)", names) < late; submitted++ {
			require.Less(t, submitted, appSlots*late, "some instance runs nothing")
			victims[0].submit(t.Context(), t, "held", struct{}{})
			inst.awaitCount(t, "select count(*) from public.span where node = any ($1)", submitted+1, names)
		}
		inst.outlast(t, victims, names)
	}
	t.Logf("%d late instances have recorded nothing", late*rounds)
}

// outlast stops the instances until another has done their jobs, lets them go on, and compares.
func (i *installation) outlast(t *testing.T, late []*instance, names []string) {
	t.Helper()
	const held = `select coalesce(array_agg(distinct job), '{}') from public.span where node = any ($1)`
	var ids []int64
	require.NoError(t, i.db.Pool.QueryRow(t.Context(), held, names).Scan(&ids))
	for _, in := range late {
		require.NoError(t, in.cmd.Process.Signal(syscall.SIGSTOP))
	}
	other := i.app(t, "other of "+names[0])
	const done = `select count(*) from millrace.river_job where id = any ($1) and state = 'completed'`
	require.Eventually(t, func() bool { return i.count(t, done, ids) == len(ids) }, 60*time.Second, 20*time.Millisecond)
	rows := i.rows(t, ids)

	_, err := i.db.Pool.Exec(t.Context(), "insert into public.released select unnest($1::text[])", names)
	require.NoError(t, err)
	for _, in := range late {
		require.NoError(t, in.cmd.Process.Signal(syscall.SIGCONT))
	}
	const unended = `select count(*) from public.span where node = any ($1) and ended is null`
	require.Eventually(t, func() bool { return i.count(t, unended, names) == 0 }, 60*time.Second, 20*time.Millisecond,
		"late functions do not end")
	// It is done with a job when its heartbeat says that it holds none.
	const idle = `select count(*) from millrace.node where name = any ($1) and info ->> 'running' = '0' and heartbeat_at > now() - interval '5 seconds'`
	require.Eventually(t, func() bool { return i.count(t, idle, names) == len(names) }, 60*time.Second, 20*time.Millisecond,
		"late instances hold jobs that are others'")
	require.Equal(t, rows, i.rows(t, ids))
	i.requireOneSuccess(t, ids)
	for _, in := range append(late, other) {
		in.stop(t)
	}
}

// rows are the jobs' whole rows as text.
func (i *installation) rows(t *testing.T, ids []int64) (text string) {
	t.Helper()
	const all = `select string_agg(j::text, E'\n' order by id) from millrace.river_job j where id = any ($1)`
	require.NoError(t, i.db.Pool.QueryRow(t.Context(), all, ids).Scan(&text))
	return text
}
