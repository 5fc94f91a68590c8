package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/millrace-dev/millrace"
	"github.com/millrace-dev/millrace/internal/postgres"
	"github.com/millrace-dev/millrace/jobs"
)

const (
	laneBacklog = 100_000
	laneProbes  = 100                    // first jobs of keys of their own
	laneEvery   = 100 * time.Millisecond // between two of them
	laneWork    = 5 * time.Millisecond   // of each job in the long line
)

// laneInput is a job of a key; those that are measured say when they were sent.
type laneInput struct {
	Key  string `json:"key"`
	Sent int64  `json:"sent"` // nanoseconds of the wall clock; 0 in the long line
}

// lane measures how long the first job of a key waits, without other jobs and beside a key with a long line.
func lane(ctx context.Context, opt options) error {
	return withCluster(ctx, func(c *postgres.Cluster) error {
		var mu sync.Mutex
		var wait []float64
		var left sync.WaitGroup
		register := func(app *millrace.App) {
			millrace.Handle(app, "bench.lane", func(_ context.Context, in laneInput) (any, error) {
				if in.Sent == 0 {
					time.Sleep(laneWork)
					return nil, nil
				}
				mu.Lock()
				defer mu.Unlock()
				wait = append(wait, float64(time.Now().UnixNano()-in.Sent)/1e6)
				left.Done()
				return nil, nil
			}, millrace.Concurrency(2), millrace.ConcurrencyKey("input.key"))
		}
		return withApp(ctx, c, 100, register, func(app *millrace.App) error {
			line, probes := opt.size(laneBacklog, 2_000), opt.size(laneProbes, 10)
			heading("The first job of a key, two at once of each", "beside", "p50 / p99 ms")
			var p99 [2]float64
			for i, beside := range []int{0, line} {
				if err := queueLine(ctx, c, beside); err != nil {
					return err
				}
				wait = wait[:0]
				left.Add(probes)
				if err := probe(ctx, app, fmt.Sprint("beside-", beside), probes); err != nil {
					return err
				}
				left.Wait()
				p99[i] = percentile(wait, 99)
				fmt.Printf("| %d jobs of another key | %s |\n", beside, tail(wait))
			}
			atMost("The long line delays another key's first job by (p99)", p99[1]-p99[0], 100, "ms")
			return nil
		})
	})
}

// queueLine puts n jobs of one key into its lane.
func queueLine(ctx context.Context, c *postgres.Cluster, n int) error {
	const insert = `insert into millrace.river_job (kind, args, max_attempts, priority, metadata)
		select 'bench.lane', args, 5, 2, jsonb_build_object('lane', millrace.lane('bench.lane', args))
		from (select '{"key": "long"}'::jsonb args from generate_series(1, $1)) x`
	return withConn(ctx, c, func(conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, insert, n)
		return err
	})
}

// probe submits the first jobs of n keys of a name, one after the other.
func probe(ctx context.Context, app *millrace.App, name string, n int) error {
	for i := range n {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(laneEvery):
		}
		in := fmt.Appendf(nil, `{"key":"%s-%d","sent":%d}`, name, i, time.Now().UnixNano())
		if _, err := app.Jobs().Submit(ctx, jobs.Submission{Function: "bench.lane", Input: in}); err != nil {
			return err
		}
	}
	return nil
}
