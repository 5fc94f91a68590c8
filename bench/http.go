package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/millrace-dev/millrace/internal/postgres"
)

const benchKey = "bench-key-of-sixteen-or-more"

// parked puts the jobs into a queue that nobody works on, as the baseline does.
const parked = `export const config = { queue: "parked" };
export default async function (input) { return null; }
`

// httpSubmission compares POST with ids against one River Insert a request, at
// 32 and at 256 connections. Both answer with the id alone: millrace is asked
// for its short answer, which leaves out the input.
func httpSubmission(ctx context.Context, opt options) error {
	return withCluster(ctx, func(c *postgres.Cluster) error {
		base, err := startBaseline(ctx, c)
		if err != nil {
			return err
		}
		server, err := startServer(ctx, c, opt, map[string]string{"bench.parked": parked})
		if err != nil {
			return errors.Join(err, base.stop())
		}
		heading("HTTP submission with ids, answered after the commit",
			"connections", "River Insert a request: req/s, p50 / p99 ms", "millrace: req/s, p50 / p99 ms", "ratio of medians")
		for _, conns := range []int{32, 256} {
			err = errors.Join(err, compareHTTP(ctx, opt, conns, base.base+"/jobs", server.base+"/v1/functions/bench.parked/jobs"))
		}
		return errors.Join(err, server.stop(), base.stop())
	})
}

func compareHTTP(ctx context.Context, opt options, conns int, a, b string) error {
	var rates [2][]float64
	var lats [2][]float64
	body := `{"pad":"` + strings.Repeat("x", 64) + `"}`
	for range opt.rounds {
		for side, url := range []string{a, b} {
			l := load{url: url, body: body, conns: conns, warm: 500 * time.Millisecond, length: 2 * time.Second}
			if side == 1 {
				l.key = benchKey
			}
			r := drive(ctx, l)
			if r.failed > 0 {
				return fmt.Errorf("%s: %d requests failed: %s", url, r.failed, r.failure)
			}
			rates[side] = append(rates[side], r.rate)
			lats[side] = append(lats[side], r.latencies...)
		}
	}
	cell := func(side int) string {
		return fmt.Sprintf("%.0f, %.1f / %.1f", median(rates[side]), percentile(lats[side], 50), percentile(lats[side], 99))
	}
	fmt.Printf("| %d | %s | %s | %.1f |\n", conns, cell(0), cell(1), median(rates[1])/median(rates[0]))
	return nil
}

func startBaseline(ctx context.Context, c *postgres.Cluster) (*child, error) {
	conn, err := postgres.Connect(ctx, c.URL(), "bench")
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close(ctx) }()
	if _, err := conn.Exec(ctx, "create database baseline"); err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	url := strings.TrimSuffix(c.TCPURL(), "/millrace") + "/baseline"
	return program{
		path: self, args: []string{"baseline"},
		env: []string{"BENCH_DATABASE_URL=" + url, "BENCH_ADDR={addr}"}, ready: answers("/ready"),
	}.start(ctx)
}

// startServer starts bin/millrace with an admin key and the given functions.
func startServer(ctx context.Context, c *postgres.Cluster, opt options, functions map[string]string) (*child, error) {
	if err := ensureKey(ctx, c); err != nil {
		return nil, err
	}
	s, err := program{
		path: opt.binary, args: []string{"serve", "--addr", "{addr}", "--database-url", c.TCPURL(), "--log-level", "warn"},
		ready: answers("/readyz"),
	}.start(ctx)
	if err != nil {
		return nil, err
	}
	for name, source := range functions {
		if _, err := call(ctx, "PUT", s.base+"/v1/functions/"+name, benchKey, "text/typescript", []byte(source)); err != nil {
			return nil, errors.Join(err, s.stop())
		}
	}
	return s, nil
}
