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
// other, and beside it how late a timer of this process is for the same times: that is the machine's part. The clocks
// are one.
func timers(ctx context.Context, opt options) error {
	return withCluster(ctx, func(c *postgres.Cluster) error {
		var mu sync.Mutex
		var late, bare []float64
		var left sync.WaitGroup
		tell := func(to *[]float64, at time.Time) {
			ms := float64(time.Since(at).Microseconds()) / 1000
			mu.Lock()
			defer mu.Unlock()
			*to = append(*to, ms)
			left.Done()
		}
		register := func(app *millrace.App) {
			millrace.Handle(app, "bench.due", func(_ context.Context, in due) (any, error) {
				tell(&late, in.At)
				return nil, nil
			})
		}
		return withApp(ctx, c, 100, register, func(app *millrace.App) error {
			n, length := opt.size(timerJobs, 50), opt.length(timerLength)
			heading(fmt.Sprintf("From due to started, %d jobs over %s", n, length), "round", "p50 / p99 ms", "early", "of a bare timer, p50 / p99 ms")
			var all []float64
			for round := range opt.rounds {
				late, bare = late[:0], bare[:0]
				left.Add(2 * n)
				first := time.Now().Add(timerLead).Truncate(time.Millisecond)
				times := make([]time.Time, n)
				for i := range times {
					times[i] = first.Add(length * time.Duration(i) / time.Duration(n))
					time.AfterFunc(time.Until(times[i]), func() { tell(&bare, times[i]) })
				}
				if err := submitDue(ctx, app, times); err != nil {
					return err
				}
				left.Wait()
				early := 0
				for _, ms := range late {
					if ms < 0 {
						early++
					}
				}
				fmt.Printf("| %d | %s | %d | %s |\n", round+1, tail(late), early, tail(bare))
				all = append(all, late...)
			}
			atMost("p99 of start − due", percentile(all, 99), 50, "ms")
			return nil
		})
	})
}

// submitDue submits a job for each of the times.
func submitDue(ctx context.Context, app *millrace.App, times []time.Time) error {
	subs := make([]jobs.Submission, len(times))
	for i, at := range times {
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
