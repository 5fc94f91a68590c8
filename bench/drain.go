package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/millrace-dev/millrace"
	"github.com/millrace-dev/millrace/internal/postgres"
	"github.com/millrace-dev/millrace/jobs"
)

const (
	drainJobs  = 20_000
	drainSlots = 1000
)

// drain compares how fast a backlog of no-op jobs is worked off: from the first
// start to the last row that is finished.
func drain(ctx context.Context, opt options) error {
	return withCluster(ctx, func(c *postgres.Cluster) error {
		var ours, theirs []float64
		for range opt.rounds {
			a, err := drainGraphile(ctx, c, opt)
			if err != nil {
				return err
			}
			b, err := drainMillrace(ctx, c)
			if err != nil {
				return err
			}
			theirs, ours = append(theirs, a), append(ours, b)
		}
		heading(fmt.Sprintf("Draining %d no-op jobs, one process", drainJobs),
			"graphile-worker tuned, jobs/s", "millrace, jobs/s", "ratio of medians")
		fmt.Printf("| %.0f | %.0f | %.2f |\n", median(theirs), median(ours), median(ours)/median(theirs))
		return nil
	})
}

// drainMillrace fills a queue while nobody works on it, then starts an App.
func drainMillrace(ctx context.Context, c *postgres.Cluster) (rate float64, err error) {
	if err := fill(ctx, c); err != nil {
		return 0, err
	}
	var first, ran atomic.Int64
	register := func(app *millrace.App) {
		millrace.Handle(app, "bench.drain", func(context.Context, json.RawMessage) (any, error) {
			first.CompareAndSwap(0, time.Now().UnixNano())
			ran.Add(1)
			return nil, nil
		})
	}
	var took time.Duration
	err = withApp(ctx, c, drainSlots, register, func(*millrace.App) error {
		err := waitDrained(ctx, c, func() bool { return ran.Load() >= drainJobs })
		took = time.Since(time.Unix(0, first.Load()))
		return err
	})
	if err == nil && ran.Load() != drainJobs {
		err = fmt.Errorf("%d jobs ran %d times", drainJobs, ran.Load())
	}
	return drainJobs / took.Seconds(), err
}

// waitDrained returns when every job has run and its row says so.
func waitDrained(ctx context.Context, c *postgres.Cluster, allRan func() bool) error {
	conn, err := postgres.Connect(ctx, c.URL(), "bench")
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
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
}

// fill submits the backlog through an App that works on another queue.
func fill(ctx context.Context, c *postgres.Cluster) error {
	conn, err := postgres.Connect(ctx, c.URL(), "bench")
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()

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
	batch := make([]jobs.Submission, drainJobs)
	for i := range batch {
		batch[i] = jobs.Submission{Function: "bench.drain", Input: json.RawMessage(`{"pad":"` + strings.Repeat("x", 64) + `"}`)}
	}
	if _, err = conn.Exec(ctx, "truncate millrace.river_job cascade"); err == nil {
		_, err = app.Jobs().SubmitMany(ctx, batch)
	}
	if err == nil {
		_, err = conn.Exec(ctx, "vacuum analyze millrace.river_job")
	}
	return errors.Join(err, app.Stop(ctx))
}

// drainGraphile runs the peer's own program, which prints its rate as JSON.
func drainGraphile(ctx context.Context, c *postgres.Cluster, opt options) (float64, error) {
	cmd := exec.CommandContext(ctx, "node", filepath.Join(opt.peers, "graphile", "drain.mjs"), c.TCPURL(), strconv.Itoa(drainJobs))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return 0, fmt.Errorf("run graphile-worker: %w: %s", err, stderr.String())
	}
	var result struct {
		Rate float64 `json:"rate"`
	}
	if err := json.Unmarshal(out, &result); err != nil {
		return 0, fmt.Errorf("read graphile-worker's figure: %w", err)
	}
	return result.Rate, nil
}
