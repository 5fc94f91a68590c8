package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/millrace-dev/millrace"
	"github.com/millrace-dev/millrace/internal/postgres"
	"github.com/millrace-dev/millrace/jobs"
)

const (
	drainJobs   = 30_000
	drainQuick  = 2_000
	drainSlots  = 1000
	drainResult = 200 // bytes of a stored result
)

// drained is one queue that was worked off.
type drained struct {
	rate float64 // jobs/s, from the first start to the last row that says that its job is done
	jobs int
	used processor
}

// drain compares how fast a backlog of no-op jobs is worked off.
func drain(ctx context.Context, opt options) error {
	return withCluster(ctx, func(c *postgres.Cluster) error {
		sides := []struct {
			name  string
			drain func() (drained, error)
		}{
			{"graphile-worker tuned", func() (drained, error) { return drainGraphile(ctx, c, opt) }},
			{"millrace", func() (drained, error) { return drainMillrace(ctx, c, opt, nil) }},
			{"millrace, results of 200 bytes, every end heard", func() (drained, error) { return drainResults(ctx, c, opt) }},
		}
		seen := make([][]drained, len(sides))
		for range opt.rounds {
			for i, side := range sides {
				d, err := side.drain()
				if err != nil {
					return err
				}
				seen[i] = append(seen[i], d)
			}
		}
		heading(fmt.Sprintf("Draining %d no-op jobs, one process, %s", opt.size(drainJobs, drainQuick), opt.roundsText()),
			"medians", "jobs/s", "of graphile-worker", "its processor us/job", "Postgres' us/job")
		peer := medianOf(seen[0], drained.perSecond)
		for i, side := range sides {
			fmt.Printf("| %s | %.0f | %.2f | %.1f | %.1f |\n", side.name, medianOf(seen[i], drained.perSecond),
				medianOf(seen[i], drained.perSecond)/peer,
				medianOf(seen[i], drained.processMicros), medianOf(seen[i], drained.postgresMicros))
		}
		atLeast("Without results", medianOf(seen[1], drained.perSecond)/peer, 1, "of graphile-worker's rate")
		atLeast("With results", medianOf(seen[2], drained.perSecond)/peer, 0.8, "of graphile-worker's rate")
		return nil
	})
}

func (d drained) perSecond() float64 { return d.rate }
func (d drained) processMicros() float64 {
	return float64(d.used.process.Microseconds()) / float64(d.jobs)
}
func (d drained) postgresMicros() float64 {
	return float64(d.used.postgres.Microseconds()) / float64(d.jobs)
}

func medianOf(all []drained, figure func(drained) float64) float64 {
	figures := make([]float64, len(all))
	for i, d := range all {
		figures[i] = figure(d)
	}
	return median(figures)
}

// drainMillrace fills a queue while nobody works on it, then starts an App. Each job returns result.
func drainMillrace(ctx context.Context, c *postgres.Cluster, opt options, result any) (d drained, err error) {
	n := opt.size(drainJobs, drainQuick)
	postmaster, err := postmasterOf(ctx, c)
	if err == nil {
		err = fill(ctx, c, n)
	}
	if err != nil {
		return drained{}, err
	}
	var first, ran atomic.Int64
	register := func(app *millrace.App) {
		millrace.Handle(app, "bench.drain", func(context.Context, json.RawMessage) (any, error) {
			first.CompareAndSwap(0, time.Now().UnixNano())
			ran.Add(1)
			return result, nil
		})
	}
	before := processorOf(postmaster, os.Getpid())
	d.jobs = n
	err = withApp(ctx, c, drainSlots, register, func(*millrace.App) error {
		err := waitDrained(ctx, c, func() bool { return ran.Load() >= int64(n) })
		d.rate = float64(n) / time.Since(time.Unix(0, first.Load())).Seconds()
		d.used = processorOf(postmaster, os.Getpid()).minus(before)
		return err
	})
	if err == nil && ran.Load() != int64(n) {
		err = fmt.Errorf("%d jobs ran %d times", n, ran.Load())
	}
	return d, err
}

// drainResults is drainMillrace with a result in every row, while another session hears the end of every job.
func drainResults(ctx context.Context, c *postgres.Cluster, opt options) (d drained, err error) {
	var heard atomic.Int64
	ears, err := listenTo(ctx, c.URL(), "millrace_jobs", func(payload []byte) {
		heard.Add(int64(strings.Count(string(payload), " completed ")))
	})
	if err != nil {
		return drained{}, err
	}
	d, err = drainMillrace(ctx, c, opt, strings.Repeat("r", drainResult-2)) // two quotes
	for wait := 0; err == nil && heard.Load() < int64(d.jobs); wait++ {
		if wait == 1000 {
			err = fmt.Errorf("the ends of %d jobs were heard, of %d", heard.Load(), d.jobs)
		}
		time.Sleep(10 * time.Millisecond)
	}
	return d, errors.Join(err, ears.stop())
}

// waitDrained returns when every job has run and its row says so.
func waitDrained(ctx context.Context, c *postgres.Cluster, allRan func() bool) error {
	return withConn(ctx, c, func(conn *pgx.Conn) error {
		for ctx.Err() == nil {
			left := 1
			if allRan() {
				const unfinished = "select count(*) from millrace.river_job where finalized_at is null"
				if err := conn.QueryRow(ctx, unfinished).Scan(&left); err != nil {
					return err
				}
			}
			if left == 0 {
				return nil
			}
			time.Sleep(2 * time.Millisecond)
		}
		return ctx.Err()
	})
}

// fill submits the backlog through an App that works on another queue.
func fill(ctx context.Context, c *postgres.Cluster, n int) error {
	app, err := millrace.New(millrace.Config{
		DatabaseURL: c.URL(), Addr: "127.0.0.1:0", Queues: map[string]int{"elsewhere": 1}, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return err
	}
	millrace.Handle(app, "bench.drain", func(context.Context, json.RawMessage) (any, error) { return nil, nil })
	if err := app.Start(ctx); err != nil {
		return err
	}
	batch := make([]jobs.Submission, n)
	for i := range batch {
		batch[i] = jobs.Submission{Function: "bench.drain", Input: json.RawMessage(`{"pad":"` + strings.Repeat("x", 64) + `"}`)}
	}
	if err = execute(ctx, c, "truncate millrace.river_job cascade"); err == nil {
		_, err = app.Jobs().SubmitMany(ctx, batch)
	}
	if err == nil {
		err = execute(ctx, c, "vacuum analyze millrace.river_job")
	}
	return errors.Join(err, app.Stop(ctx))
}
