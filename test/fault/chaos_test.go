package fault_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// full runs the tests that have a small size for every day in their whole one.
// Promises of time are measured then alone: else these tests share their machine with others.
var full = flag.Bool("fault.full", false, "run the fault tests in full size (some minutes)") //nolint:gochecknoglobals // a flag

// fleet is the instances that are there at the moment.
type fleet struct {
	mu   sync.Mutex
	list []*instance
}

func (f *fleet) any() *instance {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.list[rand.IntN(len(f.list))]
}

func (f *fleet) replace(i int, in *instance) *instance {
	f.mu.Lock()
	defer f.mu.Unlock()
	old := f.list[i]
	f.list[i] = in
	return old
}

// TestChaos publishes to many channels on three instances while listening backends, the writer's sessions and whole
// instances are killed at random. Each publish is repeated under its key until it is acknowledged, so every channel
// holds each number once, at its own offset; every subscriber sees the offsets one after the other to the last, or is
// told that what it missed is gone.
func TestChaos(t *testing.T) {
	t.Parallel()
	channels, each, pause := 64, 12, 1200*time.Millisecond
	if *full {
		each, pause = 3125, 4*time.Second
	}
	inst := install(t)
	f := &fleet{list: []*instance{inst.serve(t), inst.serve(t), inst.serve(t)}}
	ctx := within(t, 30*time.Minute)

	followers := make([]*follower, channels)
	var wg sync.WaitGroup
	for i := range channels {
		wg.Go(func() { followers[i] = followAny(ctx, fmt.Sprintf("room:chaos-%d", i), f.any) })
	}
	wg.Wait()
	began := time.Now()
	var acked, repeated atomic.Int64
	done := make(chan struct{})
	for _, one := range followers {
		wg.Go(func() {
			for n := range each {
				for publishOnce(ctx, f.any(), one.channel, n) != nil && ctx.Err() == nil {
					repeated.Add(1)
				}
				acked.Add(1)
			}
		})
	}
	go func() { wg.Wait(); close(done) }()
	killed := inst.havoc(t, f, pause, done)
	require.Equal(t, int64(channels*each), acked.Load())
	took := time.Since(began)

	var reloads, resumes int64
	for _, one := range followers {
		require.NoError(t, one.reaches(within(t, time.Minute), each))
		reloads += one.reloads.Load()
		resumes += one.resumes.Load()
	}
	var tops, wrong int
	const check = `
select count(*) filter (where top = $1), count(*) filter (where top <> $1)
from millrace.channel where channel like 'room:chaos-%'`
	require.NoError(t, inst.db.Pool.QueryRow(ctx, check, each).Scan(&tops, &wrong))
	require.Equal(t, []int{channels, 0}, []int{tops, wrong}, "something is stored twice, or not at all")
	t.Logf("%d publications acknowledged in %v (%d tries repeated); killed: %v; %d subscriptions resumed, %d told to reload; no gap, no repeat",
		acked.Load(), took.Round(time.Millisecond), repeated.Load(), killed, resumes, reloads)
}

// publishOnce publishes a number under a key that it has to itself, and gives up soon.
func publishOnce(ctx context.Context, in *instance, channel string, n int) error {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	select {
	case <-in.ended: // about to be replaced
		time.Sleep(10 * time.Millisecond)
		return context.Canceled
	default:
	}
	_, err := in.client.PublishOnce(ctx, channel, json.RawMessage(fmt.Sprint(n)), fmt.Sprintf("%s %d", channel, n))
	return err
}

// havoc kills something after each pause until done, and at least one of each kind.
func (i *installation) havoc(t *testing.T, f *fleet, pause time.Duration, done <-chan struct{}) map[string]int {
	t.Helper()
	killed := map[string]int{}
	for round := 0; ; round++ {
		switch round % 3 {
		case 0:
			killed["listeners"] += i.killListeners(t)
		case 1:
			n := rand.IntN(len(f.list))
			f.any() // the lock orders the look at the list
			f.list[n].kill()
			f.replace(n, i.serve(t))
			killed["instances"]++
		case 2:
			killed["writers"] += i.killWriters(t)
		}
		if round < 3 {
			continue
		}
		select {
		case <-done:
			return killed
		case <-time.After(pause/2 + rand.N(pause)):
		}
	}
}

// killWriters ends the sessions of the writer and of those that would be.
func (i *installation) killWriters(t *testing.T) (n int) {
	t.Helper()
	const kill = `
select count(*) from (
    select pg_catalog.pg_terminate_backend(pid) from pg_catalog.pg_stat_activity
    where datname = current_database() and application_name = 'millrace sequencer'
) t`
	require.NoError(t, i.db.Pool.QueryRow(t.Context(), kill).Scan(&n))
	return n
}

// promised checks a promise of time, see full.
func promised(t *testing.T, took, most time.Duration) {
	t.Helper()
	if *full {
		require.Less(t, took, most)
	}
}
