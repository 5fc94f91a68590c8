package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/millrace-dev/millrace"
	"github.com/millrace-dev/millrace/internal/postgres"
	"github.com/millrace-dev/millrace/jobs"
)

const (
	finishedRows  = 10_000_000
	finishedQuick = 20_000
	finishedBatch = 500_000

	finishedReads = 200 // of each kind
	finishedDrain = 10_000
)

// finished measures what a long history costs: reading jobs over HTTP while 10 million finished ones are kept, and
// pickup and drain beside the same on an empty table. The two databases take turns in each round.
func finished(ctx context.Context, opt options) error {
	return withCluster(ctx, func(empty *postgres.Cluster) error {
		return withCluster(ctx, func(full *postgres.Cluster) error {
			rows := opt.size(finishedRows, finishedQuick)
			if err := errors.Join(ensureKey(ctx, empty), ensureKey(ctx, full), keepFinished(ctx, full, rows)); err != nil {
				return err
			}
			if err := readFinished(ctx, full, opt, rows); err != nil {
				return err
			}
			return runBehind(ctx, empty, full, opt, rows)
		})
	})
}

// keepFinished fills a table with jobs that ended over the last twelve hours, so that none is old enough
// to be deleted: of 40 functions and 5 queues, one in twenty
// failed, one in a hundred cancelled.
func keepFinished(ctx context.Context, c *postgres.Cluster, rows int) error {
	const insert = `
		insert into millrace.river_job
			(kind, args, queue, state, attempt, max_attempts, priority, created_at, scheduled_at, attempted_at, finalized_at,
			attempted_by, tags, metadata, errors)
		select 'orders.step' || n % 40, jsonb_build_object('order', n, 'pad', repeat('x', 40)), 'queue' || n % 5,
			(case when n % 100 = 7 then 'cancelled' when n % 20 = 3 then 'discarded' else 'completed' end)::millrace.river_job_state,
			1, 5, 2, t, t, t, t + interval '2 seconds', '{bench}', array['customer' || n % 1000]::varchar(255)[],
			jsonb_build_object('output', jsonb_build_object('ok', true)),
			case when n % 20 = 3 then array[jsonb_build_object('at', t, 'attempt', 1, 'error', 'card ' || n || ' was declined', 'trace', '')] end
		from generate_series($1::bigint, $2::bigint) n,
			lateral (select now() - interval '12 hours' * (1 - n::float8 / $3)) as x (t)`
	return withConn(ctx, c, func(conn *pgx.Conn) error {
		for from := 1; from <= rows; from += finishedBatch {
			if _, err := conn.Exec(ctx, insert, from, min(from+finishedBatch-1, rows), rows); err != nil {
				return fmt.Errorf("fill the table of jobs: %w", err)
			}
		}
		_, err := conn.Exec(ctx, "vacuum analyze millrace.river_job")
		return err
	})
}

// question is a path that is asked for; one says that the id of a job follows.
type question struct {
	name, path string
	one        bool
}

var questions = []question{
	{name: "the newest 50", path: "/v1/jobs?limit=50"},
	{name: "a job", path: "/v1/jobs/", one: true},
	{name: "failed ones", path: "/v1/jobs?state=failed"},
	{name: "a function's", path: "/v1/jobs?function=orders.step7"},
	{name: "a function's failed ones", path: "/v1/jobs?function=orders.step3&state=failed"},
	{name: "a queue's", path: "/v1/jobs?queue=queue2"},
	{name: "with a tag", path: "/v1/jobs?tag=customer77"},
	{name: "of a function that has none", path: "/v1/jobs?function=nobody.there"},
	{name: "overview", path: "/v1/stats"},
}

// readFinished asks a server what a person looks at, each question many times, from another place in the list each.
func readFinished(ctx context.Context, c *postgres.Cluster, opt options, rows int) error {
	server, err := startServer(ctx, c, opt, nil)
	if err != nil {
		return err
	}
	heading(fmt.Sprintf("Reading jobs over HTTP beside %d finished ones", rows), "question", "p50 / p95 ms")
	worst := 0.0
	for _, q := range questions {
		lat, err := ask(ctx, server.base, q, opt.size(finishedReads, 20), rows)
		if err != nil {
			return errors.Join(err, server.stop())
		}
		p95 := percentile(lat, 95)
		worst = max(worst, p95)
		fmt.Printf("| %s | %.1f / %.1f |\n", q.name, percentile(lat, 50), p95)
	}
	atMost("p95 of the slowest question", worst, 100, "ms")
	return server.stop()
}

// ask returns how many milliseconds each answer took. A path of one job gets another id each time.
func ask(ctx context.Context, base string, q question, times, rows int) ([]float64, error) {
	lat := make([]float64, times)
	for i := range lat {
		path := q.path
		if q.one {
			path += strconv.Itoa(1 + i*7919%rows)
		}
		begin := time.Now()
		if _, err := call(ctx, http.MethodGet, base+path, benchKey, "", nil); err != nil {
			return nil, err
		}
		lat[i] = float64(time.Since(begin).Microseconds()) / 1000
	}
	return lat, nil
}

// side is a table to work beside.
type side struct {
	name   string
	c      *postgres.Cluster
	config millrace.Config
	wait   []float64
	rates  []float64
}

// runBehind lets jobs run on both databases in turns, and at last while the old jobs are being deleted.
func runBehind(ctx context.Context, empty, full *postgres.Cluster, opt options, rows int) error {
	slots := map[string]int{"default": drainSlots}
	old := jobs.Retention{Completed: time.Minute, Failed: time.Minute, Cancelled: time.Minute}
	none := &side{name: "empty", c: empty, config: millrace.Config{Queues: slots}}
	many := &side{name: fmt.Sprintf("%d finished jobs", rows), c: full, config: millrace.Config{Queues: slots}}
	fewer := &side{name: "the same, while they are being deleted", c: full, config: millrace.Config{Queues: slots, Retention: old}}
	for range opt.rounds {
		if err := errors.Join(work(ctx, none, opt.size(finishedDrain, 500)), work(ctx, many, opt.size(finishedDrain, 500))); err != nil {
			return err
		}
	}
	if err := work(ctx, fewer, opt.size(finishedDrain, 500)); err != nil {
		return err
	}
	heading("Working beside them, "+opt.roundsText(), "table", "pickup p50 / p99 ms", "drain: jobs/s")
	for _, s := range []*side{none, many, fewer} {
		fmt.Printf("| %s | %s | %.0f |\n", s.name, tail(s.wait), median(s.rates))
	}
	atLeast("Drain, of that on an empty table", median(many.rates)/median(none.rates), 0.9, "times")
	return nil
}

// forget deletes what ran. The newest rows are all it has to look at.
const forget = `delete from millrace.river_job where kind like 'bench.%'
	and id > (select coalesce(max(id), 0) - 100000 from millrace.river_job)`

// work measures how fast a backlog is worked off, then pickup at 50 jobs/s. What ran is deleted again.
func work(ctx context.Context, s *side, n int) error {
	var paced sync.WaitGroup
	var mu sync.Mutex
	var first, ran atomic.Int64
	register := func(app *millrace.App) {
		millrace.Handle(app, "bench.pickup", func(_ context.Context, in stamp) (any, error) {
			mu.Lock()
			defer mu.Unlock()
			s.wait = append(s.wait, float64(time.Now().UnixNano()-in.Sent)/1e6)
			paced.Done()
			return nil, nil
		})
		millrace.Handle(app, "bench.drain", func(context.Context, json.RawMessage) (any, error) {
			first.CompareAndSwap(0, time.Now().UnixNano())
			ran.Add(1)
			return nil, nil
		})
	}
	if err := backlog(ctx, s.c, n); err != nil {
		return err
	}
	err := withAppOf(ctx, s.c, s.config, register, func(app *millrace.App) error {
		if err := waitIdle(ctx, s.c, func() bool { return ran.Load() >= int64(n) }); err != nil {
			return err
		}
		s.rates = append(s.rates, float64(n)/time.Since(time.Unix(0, first.Load())).Seconds())
		return pace(ctx, app, &paced)
	})
	return errors.Join(err, execute(ctx, s.c, forget))
}

// backlog puts jobs into the queue while nobody works on it.
func backlog(ctx context.Context, c *postgres.Cluster, n int) error {
	const insert = `insert into millrace.river_job (kind, args, queue, max_attempts, priority, metadata)
		select 'bench.drain', jsonb_build_object('pad', repeat('x', 64)), 'default', 5, 2, '{}' from generate_series(1, $1)`
	return withConn(ctx, c, func(conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, insert, n)
		return err
	})
}

// waitIdle returns when all has run and no row says that it runs.
func waitIdle(ctx context.Context, c *postgres.Cluster, allRan func() bool) error {
	return withConn(ctx, c, func(conn *pgx.Conn) error {
		for ctx.Err() == nil {
			if allRan() {
				var running bool
				const look = "select exists (select from millrace.river_job where state = 'running')"
				if err := conn.QueryRow(ctx, look).Scan(&running); err != nil || !running {
					return err
				}
			}
			time.Sleep(2 * time.Millisecond)
		}
		return ctx.Err()
	})
}
