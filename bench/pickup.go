package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/millrace-dev/millrace"
	"github.com/millrace-dev/millrace/internal/postgres"
	"github.com/millrace-dev/millrace/jobs"
)

const (
	pickupRate = 20 * time.Millisecond // 50 jobs/s
	pickupJobs = 500
)

type stamp struct {
	Sent int64 `json:"sent"` // nanoseconds of the wall clock
}

// pickup measures from the enqueue call's start to the function's first line.
func pickup(ctx context.Context, opt options) error {
	return withCluster(ctx, func(c *postgres.Cluster) error {
		var mu sync.Mutex
		var lat []float64
		var done sync.WaitGroup
		register := func(app *millrace.App) {
			millrace.Handle(app, "bench.pickup", func(_ context.Context, in stamp) (any, error) {
				ms := float64(time.Now().UnixNano()-in.Sent) / 1e6
				mu.Lock()
				lat = append(lat, ms)
				mu.Unlock()
				done.Done()
				return nil, nil
			})
		}
		return withApp(ctx, c, 100, register, func(app *millrace.App) error {
			heading("Pickup at 50 jobs/s, from the enqueue call to the function's first line", "round", "p50 ms", "p99 ms")
			for round := range opt.rounds {
				lat = lat[:0]
				if err := pace(ctx, app, &done); err != nil {
					return err
				}
				fmt.Printf("| %d | %.2f | %.2f |\n", round+1, percentile(lat, 50), percentile(lat, 99))
			}
			return nil
		})
	})
}

func pace(ctx context.Context, app *millrace.App, done *sync.WaitGroup) error {
	tick := time.NewTicker(pickupRate)
	defer tick.Stop()
	errs := make(chan error, pickupJobs)
	for range pickupJobs {
		<-tick.C
		done.Add(1)
		go func() {
			in := fmt.Appendf(nil, `{"sent":%d}`, time.Now().UnixNano())
			_, err := app.Jobs().Submit(ctx, jobs.Submission{Function: "bench.pickup", Input: in})
			errs <- err
		}()
	}
	for range pickupJobs {
		if err := <-errs; err != nil {
			return err
		}
	}
	done.Wait()
	return nil
}
