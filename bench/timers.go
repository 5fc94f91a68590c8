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
	timerJobs   = 1_000
	timerLength = time.Minute
	timerLead   = 2 * time.Second // from the submission to the first that is due
)

// due is when a job shall start.
type due struct {
	At time.Time `json:"at"`
}

// timers measures from the time that a job is due to the function's first line, of jobs that are due one after the
// other. The clocks are one: that of this machine.
func timers(ctx context.Context, opt options) error {
	return withCluster(ctx, func(c *postgres.Cluster) error {
		var mu sync.Mutex
		var late []float64
		var left sync.WaitGroup
		register := func(app *millrace.App) {
			millrace.Handle(app, "bench.due", func(_ context.Context, in due) (any, error) {
				ms := float64(time.Since(in.At).Microseconds()) / 1000
				mu.Lock()
				defer mu.Unlock()
				late = append(late, ms)
				left.Done()
				return nil, nil
			})
		}
		return withApp(ctx, c, 100, register, func(app *millrace.App) error {
			n, length := opt.size(timerJobs, 50), opt.length(timerLength)
			heading(fmt.Sprintf("From due to started, %d jobs over %s", n, length), "round", "p50 / p99 ms", "early")
			var all []float64
			for round := range opt.rounds {
				late = late[:0]
				left.Add(n)
				if err := submitDue(ctx, app, n, length); err != nil {
					return err
				}
				left.Wait()
				early := 0
				for _, ms := range late {
					if ms < 0 {
						early++
					}
				}
				fmt.Printf("| %d | %s | %d |\n", round+1, tail(late), early)
				all = append(all, late...)
			}
			atMost("p99 of start − due", percentile(all, 99), 50, "ms")
			return nil
		})
	})
}

// submitDue submits n jobs that are due at even distances.
func submitDue(ctx context.Context, app *millrace.App, n int, length time.Duration) error {
	first := time.Now().Add(timerLead).Truncate(time.Millisecond)
	subs := make([]jobs.Submission, n)
	for i := range subs {
		at := first.Add(length * time.Duration(i) / time.Duration(n))
		subs[i] = jobs.Submission{
			Function: "bench.due", Input: fmt.Appendf(nil, `{"at":%q}`, at.Format(time.RFC3339Nano)), Options: jobs.Options{RunAt: at},
		}
	}
	answers, err := app.Jobs().SubmitMany(ctx, subs)
	if err != nil {
		return err
	}
	for _, answer := range answers {
		if answer.Err != nil {
			return answer.Err
		}
	}
	return nil
}
