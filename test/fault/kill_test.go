package fault_test

import (
	"context"
	"encoding/json"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/apiclient"
)

// acknowledged collects the ids of the submissions that were answered.
type acknowledged struct {
	mu  sync.Mutex
	ids map[int64]bool
}

func (a *acknowledged) add(id int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ids[id] = true
}

func (a *acknowledged) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.ids)
}

// submitUntil submits through an instance until ctx ends or the instance does.
func (a *acknowledged) submitUntil(ctx context.Context, in *instance) {
	for ctx.Err() == nil {
		job, err := in.client.Submit(ctx, "slow", json.RawMessage(`{}`), apiclient.Options{})
		if err != nil {
			select {
			case <-in.ended:
				return
			default:
				continue
			}
		}
		a.add(job.ID)
	}
}

// TestKillNineLosesNoAcknowledgedJob kills one of two instances under load.
// Whatever was acknowledged is there and completes; what the dead one was
// running runs again within the lease.
func TestKillNineLosesNoAcknowledgedJob(t *testing.T) {
	t.Parallel()
	inst := install(t)
	a, b := inst.serve(t, "--queues", "default=8"), inst.serve(t, "--queues", "default=8")
	a.deploy(t, "slow", `export default async function () { await new Promise((ok) => setTimeout(ok, 20)); return 1; }`)

	acked := &acknowledged{ids: map[int64]bool{}}
	load, stopLoad := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for i := range 12 {
		in := a
		if i%2 == 1 {
			in = b
		}
		wg.Go(func() { acked.submitUntil(load, in) })
	}
	require.Eventually(t, func() bool { return acked.count() > 300 }, 30*time.Second, 10*time.Millisecond)
	b.kill()
	atKill := acked.count()
	require.Eventually(t, func() bool { return acked.count() > atKill+100 }, 30*time.Second, 10*time.Millisecond)
	stopLoad()
	wg.Wait()

	ids := make([]int64, 0, acked.count())
	for id := range acked.ids {
		ids = append(ids, id)
	}
	const left = `
select count(*) filter (where j.id is null), count(*) filter (where j.state is distinct from 'completed')
from unnest($1::bigint[]) want (id) left join millrace.river_job j on j.id = want.id`
	var lost, unfinished int
	require.Eventually(t, func() bool {
		if err := inst.db.Pool.QueryRow(t.Context(), left, ids).Scan(&lost, &unfinished); err != nil {
			t.Error(err)
			return true
		}
		return unfinished == 0
	}, 60*time.Second, 200*time.Millisecond, "%d acknowledged", len(ids))
	require.Zero(t, lost, "acknowledged jobs are missing")
	t.Logf("%d acknowledged, %d of them when the instance was killed; all completed", len(ids), atKill)
}
