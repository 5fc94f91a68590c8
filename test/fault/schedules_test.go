package fault_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/apiclient"
)

// TestEachTickFiresOnceWhileInstancesDie has schedules tick every second on three instances, of which a random one is
// killed every five seconds. Counted are the rows of jobs: each second of each schedule has one. The jobs go to a queue
// that nobody works on, so that the machine is busy with nothing else.
func TestEachTickFiresOnceWhileInstancesDie(t *testing.T) {
	t.Parallel()
	const killEvery = 5 * time.Second
	schedules, length := 20, 12*time.Second
	if *full {
		schedules, length = 100, 10*time.Minute
	}
	inst := install(t)
	nodes := []*instance{inst.serve(t), inst.serve(t), inst.serve(t)}
	nodes[0].deploy(t, "tick", `export default async () => 1`)
	for i := range schedules {
		cron := "* * * * * *"
		if i%2 == 1 {
			cron = "@every 1s"
		}
		_, err := nodes[i%3].client.PutSchedule(t.Context(), apiclient.ScheduleSpec{
			Name: fmt.Sprintf("s%d", i), Function: "tick", Input: json.RawMessage(strconv.Itoa(i)), Cron: cron,
			Options: apiclient.ScheduleOptions{Queue: "nobody"},
		})
		require.NoError(t, err)
	}

	kills := 0
	for end := time.Now().Add(length); time.Now().Before(end); kills++ {
		select {
		case <-t.Context().Done():
			return
		case <-time.After(min(killEvery, time.Until(end))):
		}
		victim := rand.IntN(len(nodes))
		nodes[victim].kill()
		nodes[victim] = inst.serve(t)
	}

	requireEveryTick(t, inst, schedules)
	t.Logf("%d schedules for %s, %d instances killed", schedules, length, kills)
}

// requireEveryTick looks at the jobs' own rows, once all ticks until now had the time to fire: lateness is measured, and
// depends on the machine.
func requireEveryTick(t *testing.T, inst *installation, schedules int) {
	t.Helper()
	pool, until := inst.db.Pool, time.Now()
	const behind = `select count(*) from millrace.schedule where last_tick_at is null or last_tick_at < $1`
	require.Eventually(t, func() bool {
		n := -1
		return pool.QueryRow(t.Context(), behind, until).Scan(&n) == nil && n == 0
	}, 30*time.Second, 100*time.Millisecond, "schedules do not tick any more")

	const lateness = `
select percentile_cont(array[0.5, 0.95, 0.99, 1]) within group (order by extract(epoch from created_at - (metadata ->> 'tick')::timestamptz) * 1000)
from millrace.river_job`
	var late []float64
	require.NoError(t, pool.QueryRow(t.Context(), lateness).Scan(&late))

	const ticks = `
with tick as (
    select metadata ->> 'schedule' as schedule, (metadata ->> 'tick')::timestamptz as at from millrace.river_job
), each as (
    select schedule, count(*) as jobs, count(distinct at) as ticks, min(at) as first, max(at) as last from tick group by schedule
)
select count(*), sum(jobs), sum(jobs - ticks), sum(extract(epoch from last - first)::bigint + 1 - ticks),
    count(*) filter (where first <> anchor + interval '1 second'), max(missed + skipped)
from each join millrace.schedule s on s.name = each.schedule`
	var seen, jobs, twice, never, begun, missed int
	require.NoError(t, pool.QueryRow(t.Context(), ticks).Scan(&seen, &jobs, &twice, &never, &begun, &missed))
	t.Logf("%d ticks; late by %.1f ms (p50), %.1f (p95), %.1f (p99), %.1f (worst)", jobs, late[0], late[1], late[2], late[3])
	require.Equal(t, schedules, seen)
	require.Zero(t, twice, "ticks that fired twice")
	require.Zero(t, never, "ticks that did not fire")
	require.Zero(t, begun, "schedules whose first tick is missing")
	require.Zero(t, missed)
}
