package fault_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/apiclient"
)

// The size of TestEachTickFiresOnceWhileInstancesDie: MILLRACE_SCHEDULES (how many, one tick a second each) and
// MILLRACE_SCHEDULES_FOR (how long). The whole of what is promised is 100 for 10m.
const (
	schedulesInTest    = 20
	schedulesInTestFor = 12 * time.Second
)

func scheduleSize(t *testing.T) (schedules int, length time.Duration) {
	t.Helper()
	schedules, length = schedulesInTest, schedulesInTestFor
	var err error
	if text := os.Getenv("MILLRACE_SCHEDULES"); text != "" {
		schedules, err = strconv.Atoi(text)
		require.NoError(t, err)
	}
	if text := os.Getenv("MILLRACE_SCHEDULES_FOR"); text != "" {
		length, err = time.ParseDuration(text)
		require.NoError(t, err)
	}
	return schedules, length
}

// TestEachTickFiresOnceWhileInstancesDie has schedules tick every second on three instances, of which a random one is
// killed every five seconds. Counted are the rows of jobs: each second of each schedule has one. The jobs go to a queue
// that nobody works on, so that the machine is busy with nothing else.
func TestEachTickFiresOnceWhileInstancesDie(t *testing.T) {
	t.Parallel()
	const killEvery = 5 * time.Second
	schedules, length := scheduleSize(t)
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

	// Ticks of now may be on their way; those of three seconds ago are not, unless they are late.
	ended := time.Now().Add(-3 * time.Second)
	requireEveryTick(t, inst, schedules, ended)
	t.Logf("%d schedules for %s, %d instances killed", schedules, length, kills)
}

// requireEveryTick looks at the jobs' own rows.
func requireEveryTick(t *testing.T, inst *installation, schedules int, until time.Time) {
	t.Helper()
	const ticks = `
with tick as (
    select metadata ->> 'schedule' as schedule, (metadata ->> 'tick')::timestamptz as at, created_at
    from millrace.river_job
), each as (
    select schedule, count(*) as jobs, count(distinct at) as ticks, min(at) as first, max(at) as last
    from tick group by schedule
)
select count(*), coalesce(sum(jobs), 0), coalesce(sum(jobs - ticks), 0), coalesce(sum(extract(epoch from last - first)::bigint + 1 - ticks), 0),
    count(*) filter (where e.first > s.created_at + interval '2.5 seconds' or e.last < $1),
    (select max(missed + skipped) from millrace.schedule)
from each e left join millrace.schedule s on s.name = e.schedule`
	var seen, jobs, twice, never, short, missed int
	require.NoError(t, inst.db.Pool.QueryRow(t.Context(), ticks, until).Scan(&seen, &jobs, &twice, &never, &short, &missed))
	require.Equal(t, schedules, seen)
	require.Zero(t, twice, "ticks that fired twice")
	require.Zero(t, never, "ticks that did not fire")
	require.Zero(t, short, "schedules that began late or ended early")
	require.Zero(t, missed)

	const lateness = `
select percentile_cont(array[0.5, 0.95, 0.99, 1]) within group (order by extract(epoch from created_at - (metadata ->> 'tick')::timestamptz) * 1000)
from millrace.river_job`
	var late []float64
	require.NoError(t, inst.db.Pool.QueryRow(t.Context(), lateness).Scan(&late))
	t.Logf("%d ticks fired once; late by %.1f ms (p50), %.1f (p95), %.1f (p99), %.1f (worst)", jobs, late[0], late[1], late[2], late[3])
	require.GreaterOrEqual(t, jobs, schedules)
}
