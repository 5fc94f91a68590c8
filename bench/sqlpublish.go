package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/millrace-dev/millrace"
	"github.com/millrace-dev/millrace/internal/postgres"
)

const (
	loneCount   = 150
	busyRate    = 1000 // transactions a second
	busyConns   = 16
	busyLength  = 5 * time.Second
	heardWithin = 10 * time.Second
)

// sqlSide is one way to publish from a transaction: what is called in it, and
// what was heard of it.
type sqlSide struct {
	name, call string
	mu         sync.Mutex
	lat        []float64
	got        atomic.Int64
}

func (s *sqlSide) hear(ms float64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lat = append(s.lat, ms)
	s.got.Add(1)
}

// sqlPublish measures from before the begin of a transaction that inserts a
// row and publishes, to the subscriber's WebSocket, beside a NOTIFY in the
// transaction and a bare listening connection. One after the other with pauses,
// and 1,000 transactions a second.
func sqlPublish(ctx context.Context, opt options) error {
	return withSubscriber(ctx, func(c *postgres.Cluster, app *millrace.App) error {
		ours := &sqlSide{name: "millrace.publish", call: "select millrace.publish('sql', $1)"}
		bare := &sqlSide{name: "NOTIFY to a listening connection", call: "select pg_notify('bench_sql', $1)"}
		sub, err := subscribe(ctx, millraceRoom(app.Addr(), "sql"), func(frame []byte) error {
			stamps(frame, ours.hear)
			return nil
		}, nil)
		if err != nil {
			return err
		}
		defer sub.stop()
		listener, err := listenTo(ctx, c.URL(), "bench_sql", func(payload []byte) { stamps(payload, bare.hear) })
		if err != nil {
			return err
		}
		return errors.Join(compareSQL(ctx, opt, c, ours, bare), listener.stop())
	})
}

// withSubscriber runs f beside an App in this process and a table of the user's.
func withSubscriber(ctx context.Context, f func(c *postgres.Cluster, app *millrace.App) error) error {
	return withCluster(ctx, func(c *postgres.Cluster) error {
		const table = "create table public.bench_order (id bigint generated always as identity primary key, note text not null)"
		if err := errors.Join(ensureKey(ctx, c), execute(ctx, c, table)); err != nil {
			return err
		}
		return withApp(ctx, c, 10, func(*millrace.App) {}, func(app *millrace.App) error { return f(c, app) })
	})
}

func compareSQL(ctx context.Context, opt options, c *postgres.Cluster, ours, bare *sqlSide) error {
	count, length := opt.size(loneCount, 10), opt.length(busyLength)
	heading(fmt.Sprintf("A publish in a transaction, from before its begin to the receiver: lone (%d of them, one each 20 to 300 ms) and %d/s on %d connections for %s; %s",
		count, busyRate, busyConns, length, opt.roundsText()), "how", "lone, p50 / p99 ms", fmt.Sprintf("%d/s, p50 / p99 ms", busyRate))
	var lone, busy [2][]float64
	for range opt.rounds {
		for i, side := range []*sqlSide{ours, bare} {
			lat, err := side.measure(func() (int64, error) { return side.pauses(ctx, c, count) })
			if err != nil {
				return err
			}
			lone[i] = append(lone[i], lat...)
			lat, err = side.measure(func() (int64, error) { return side.busy(ctx, c, length) })
			if err != nil {
				return err
			}
			busy[i] = append(busy[i], lat...)
		}
	}
	for i, side := range []*sqlSide{ours, bare} {
		fmt.Printf("| %s | %s | %s |\n", side.name, tail(lone[i]), tail(busy[i]))
	}
	atMost("p99 of a lone millrace.publish", percentile(lone[0], 99), 15, "ms")
	atMost(fmt.Sprintf("p99 of millrace.publish at %d/s", busyRate), percentile(busy[0], 99), 25, "ms")
	return nil
}

// measure returns the latencies of what publish publishes, once all was heard.
func (s *sqlSide) measure(publish func() (int64, error)) ([]float64, error) {
	s.mu.Lock()
	s.lat = nil
	s.mu.Unlock()
	s.got.Store(0)
	sent, err := publish()
	if err != nil {
		return nil, err
	}
	for deadline := time.Now().Add(heardWithin); s.got.Load() < sent; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("%s: %d of %d were heard within %s", s.name, s.got.Load(), sent, heardWithin)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lat, nil
}

// pauses publishes one after the other with pauses that let everybody sleep.
func (s *sqlSide) pauses(ctx context.Context, c *postgres.Cluster, count int) (int64, error) {
	const shortest, spread = 20 * time.Millisecond, 280 * time.Millisecond
	return int64(count), withConn(ctx, c, func(conn *pgx.Conn) error {
		for range count {
			time.Sleep(shortest + rand.N(spread))
			if err := s.transaction(ctx, conn); err != nil {
				return err
			}
		}
		return nil
	})
}

// busy publishes at busyRate over busyConns connections.
func (s *sqlSide) busy(ctx context.Context, c *postgres.Cluster, length time.Duration) (int64, error) {
	conns := make(chan *pgx.Conn, busyConns)
	for range busyConns {
		conn, err := postgres.Connect(ctx, c.URL(), "bench")
		if err != nil {
			return 0, err
		}
		defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
		conns <- conn
	}
	return evenly(ctx, busyRate, length, func() error {
		conn := <-conns
		defer func() { conns <- conn }()
		return s.transaction(ctx, conn)
	})
}

// transaction inserts a row of the user's and publishes.
func (s *sqlSide) transaction(ctx context.Context, conn *pgx.Conn) error {
	data := string(message())
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "insert into public.bench_order (note) values ('paid')"); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, s.call, data)
		return err
	})
}
