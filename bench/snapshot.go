package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/millrace-dev/millrace"
	"github.com/millrace-dev/millrace/internal/postgres"
)

const (
	snapshotRows  = 1_000_000
	snapshotBatch = 10_000
	snapshotIdle  = 10 * time.Second

	snapshotSettle = 4 * time.Second
)

// heldSnapshot measures the empty look into the outbox that an idle server
// takes a few times a second, while a snapshot stays open over a million rows
// that went through: none of them can be vacuumed away. It is compared with the
// same look at an outbox that nothing went through, and with the look that one
// would write first, which does not know how far everything was taken.
func heldSnapshot(ctx context.Context, opt options) error {
	settings := map[string]string{"shared_preload_libraries": "pg_stat_statements", "pg_stat_statements.track": "all"}
	return withClusterOf(ctx, settings, func(c *postgres.Cluster) error {
		if err := execute(ctx, c, "create extension pg_stat_statements with schema public"); err != nil {
			return fmt.Errorf("the statement statistics of Postgres' contrib package are needed: %w", err)
		}
		return withApp(ctx, c, 10, func(*millrace.App) {}, func(*millrace.App) error {
			rows, idle := opt.size(snapshotRows, 20_000), opt.length(snapshotIdle)
			if opt.quick {
				idle = 2 * time.Second // some looks
			}
			heading(fmt.Sprintf("Looking into the empty outbox while a snapshot is held over %d rows that went through it", rows),
				"outbox", "look of the idle server: mean / max ms", "look that starts at the first id, p50 ms")
			fresh, err := looks(ctx, c, idle)
			if err != nil {
				return err
			}
			plain, err := plainLook(ctx, c)
			if err != nil {
				return err
			}
			fmt.Printf("| nothing went through it | %.3f / %.3f | %.3f |\n", fresh.mean, fresh.worst, plain)
			return withSnapshot(ctx, c, func() error { return looksBehind(ctx, c, rows, idle) })
		})
	})
}

// looksBehind lets rows go through the outbox and looks again.
func looksBehind(ctx context.Context, c *postgres.Cluster, rows int, idle time.Duration) error {
	if err := throughOutbox(ctx, c, rows); err != nil {
		return err
	}
	held, err := looks(ctx, c, idle)
	if err != nil {
		return err
	}
	plain, err := plainLook(ctx, c)
	if err != nil {
		return err
	}
	fmt.Printf("| %d rows went through, snapshot held | %.3f / %.3f | %.3f |\n", rows, held.mean, held.worst, plain)
	atMost("Mean empty look under the held snapshot", held.mean, 1, "ms")
	return nil
}

// withSnapshot runs f while a repeatable-read transaction is open.
func withSnapshot(ctx context.Context, c *postgres.Cluster, f func() error) error {
	return withConn(ctx, c, func(conn *pgx.Conn) error {
		if _, err := conn.Exec(ctx, "begin isolation level repeatable read; select count(*) from millrace.channel"); err != nil {
			return err
		}
		err := f()
		_, endErr := conn.Exec(ctx, "commit")
		return errors.Join(err, endErr)
	})
}

// throughOutbox publishes rows from SQL and waits until all were taken.
func throughOutbox(ctx context.Context, c *postgres.Cluster, rows int) error {
	return withConn(ctx, c, func(conn *pgx.Conn) error {
		const publish = `select count(millrace.publish('snapshot-' || n % 64, '{"pad":"xxxxxxxxxxxxxxxx"}'::text)) from generate_series(1, $1) n`
		for done := 0; done < rows; done += snapshotBatch {
			if _, err := conn.Exec(ctx, publish, min(snapshotBatch, rows-done)); err != nil {
				return err
			}
		}
		_, _, err := drainOutbox(ctx, c)
		return err
	})
}

// look is what Postgres says of the statements on the outbox, in milliseconds.
type look struct{ mean, worst float64 }

// looks watches the idle server's own looks. The first seconds are left out: in
// them the server falls asleep, and finds out how far everything was taken.
func looks(ctx context.Context, c *postgres.Cluster, idle time.Duration) (l look, err error) {
	time.Sleep(snapshotSettle)
	if err := execute(ctx, c, "select public.pg_stat_statements_reset()"); err != nil {
		return l, err
	}
	time.Sleep(idle)
	return l, withConn(ctx, c, func(conn *pgx.Conn) error {
		const mine = `
			select coalesce(sum(calls), 0)::bigint, coalesce(sum(total_exec_time) / sum(calls), 0), coalesce(max(max_exec_time), 0)
			from public.pg_stat_statements
			where query like '%millrace.outbox%' and query not like '%outbox_id_seq%' and query not like '%pg_stat_statements%'`
		var calls int64
		if err := conn.QueryRow(ctx, mine).Scan(&calls, &l.mean, &l.worst); err != nil {
			return err
		}
		if calls == 0 {
			return fmt.Errorf("the server did not look into its outbox within %s", idle)
		}
		return nil
	})
}

// plainLook is the median of looks that begin at the first id.
func plainLook(ctx context.Context, c *postgres.Cluster) (float64, error) {
	const times = 20
	var lat []float64
	err := withConn(ctx, c, func(conn *pgx.Conn) error {
		if _, err := conn.Exec(ctx, "set enable_seqscan = off"); err != nil {
			return err
		}
		for range times {
			var found bool
			begin := time.Now()
			err := conn.QueryRow(ctx, "select exists (select from millrace.outbox where shard = 0 and id > 0)").Scan(&found)
			if err != nil {
				return err
			}
			lat = append(lat, float64(time.Since(begin).Microseconds())/1000)
		}
		return nil
	})
	return median(lat), err
}
