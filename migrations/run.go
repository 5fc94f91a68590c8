package migrations

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	schema = "millrace"

	// lockKey is the advisory lock that keeps migrations to one instance:
	// "mill" in ASCII.
	lockKey = 0x6d696c6c

	lockPoll = 100 * time.Millisecond

	lockedConns = 2 // the lock's, and one for the migrations
)

// ErrUnknownVersion is returned by Down for a version that does not exist.
var ErrUnknownVersion = errors.New("no such migration")

// Status is one migration and when it was applied here.
type Status struct {
	Version   int        `json:"version"`
	Name      string     `json:"name"`
	AppliedAt *time.Time `json:"applied_at"` // nil while pending
}

// Pending reports whether the migration has not been applied.
func (s Status) Pending() bool { return s.AppliedAt == nil }

// Up applies every pending migration and returns those that it applied, the
// oldest first. It waits while another instance migrates. The pool must be able
// to give two connections.
func Up(ctx context.Context, pool *pgxpool.Pool) ([]Status, error) {
	var done []Status
	err := locked(ctx, pool, func(list []migration) error {
		applied, err := readApplied(ctx, pool)
		if err != nil {
			return err
		}
		for _, m := range list {
			if _, ok := applied[m.version]; ok {
				continue
			}
			at, err := apply(ctx, pool, m)
			if err != nil {
				return err
			}
			done = append(done, Status{m.version, m.name, &at})
		}
		return nil
	})
	return done, err
}

// Down reverts every migration newer than target, the newest first, and
// returns those that it reverted. Target 0 removes the schema.
func Down(ctx context.Context, pool *pgxpool.Pool, target int) ([]Status, error) {
	var done []Status
	err := locked(ctx, pool, func(list []migration) error {
		if newest := list[len(list)-1].version; target < 0 || target > newest {
			return fmt.Errorf("%w: %d; there are 1 to %d, and 0 for none", ErrUnknownVersion, target, newest)
		}
		applied, err := readApplied(ctx, pool)
		if err != nil {
			return err
		}
		for _, m := range slices.Backward(list) {
			at, ok := applied[m.version]
			if !ok || m.version <= target {
				continue
			}
			if err := revert(ctx, pool, m); err != nil {
				return err
			}
			done = append(done, Status{m.version, m.name, &at})
		}
		if target > 0 {
			return nil
		}
		if _, err := pool.Exec(ctx, "drop table millrace.migration; drop schema millrace"); err != nil {
			return fmt.Errorf("drop the schema: %w", err)
		}
		return nil
	})
	return done, err
}

// List returns every migration that this binary knows, the oldest first, with
// the time at which it was applied to the database. It changes nothing.
func List(ctx context.Context, pool *pgxpool.Pool) ([]Status, error) {
	list, err := load(files)
	if err != nil {
		return nil, err
	}
	applied := map[int]time.Time{}
	var there bool
	if err := pool.QueryRow(ctx, "select pg_catalog.to_regclass('millrace.migration') is not null").Scan(&there); err != nil {
		return nil, fmt.Errorf("look for the schema: %w", err)
	}
	if there {
		if applied, err = readApplied(ctx, pool); err != nil {
			return nil, err
		}
	}
	out := make([]Status, len(list))
	for i, m := range list {
		out[i] = Status{Version: m.version, Name: m.name}
		if at, ok := applied[m.version]; ok {
			out[i].AppliedAt = &at
		}
	}
	return out, nil
}

// locked runs f while it holds the migration lock.
func locked(ctx context.Context, pool *pgxpool.Pool, f func([]migration) error) error {
	list, err := load(files)
	if err != nil {
		return err
	}
	if pool.Config().MaxConns < lockedConns { // f would wait for its own for ever
		return fmt.Errorf("migrate: the pool gives %d connections, and %d are needed", pool.Config().MaxConns, lockedConns)
	}
	lock, err := takeLock(ctx, pool)
	if err != nil {
		return err
	}
	defer func() { _ = lock.Rollback(context.WithoutCancel(ctx)) }() // or it ends with its connection
	if err := bootstrap(ctx, pool); err != nil {
		return err
	}
	return f(list)
}

// takeLock returns a transaction that holds the lock: one of the session would be owned by nobody behind a
// transaction-pooling proxy. It holds back no vacuum. It polls, which a blocked pg_advisory_lock would not do
// without holding back vacuum in the whole cluster.
func takeLock(ctx context.Context, pool *pgxpool.Pool) (pgx.Tx, error) {
	for {
		tx, err := tryLock(ctx, pool)
		if tx != nil || err != nil {
			return tx, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for another instance's migration: %w", ctx.Err())
		case <-time.After(lockPoll + rand.N(lockPoll)): //nolint:gosec // jitter
		}
	}
}

// tryLock returns nil when somebody else has the lock.
func tryLock(ctx context.Context, pool *pgxpool.Pool) (_ pgx.Tx, err error) {
	tx, err := pool.Begin(ctx)
	if err != nil {
		return nil, fmt.Errorf("take the migration lock: %w", err)
	}
	var got bool
	const take = `select pg_catalog.pg_try_advisory_xact_lock($1)
from pg_catalog.set_config('idle_in_transaction_session_timeout', '0', true)`
	if err = tx.QueryRow(ctx, take, int64(lockKey)).Scan(&got); err == nil && got {
		return tx, nil
	}
	if err := errors.Join(err, tx.Rollback(context.WithoutCancel(ctx))); err != nil {
		return nil, fmt.Errorf("take the migration lock: %w", err)
	}
	return nil, nil
}

func bootstrap(ctx context.Context, pool *pgxpool.Pool) error {
	const sql = `
create schema if not exists millrace;
create table if not exists millrace.migration (
    version    integer     primary key,
    name       text        not null,
    applied_at timestamptz not null default now()
)`
	if _, err := pool.Exec(ctx, "set client_min_messages = warning;"+sql+";reset client_min_messages"); err != nil {
		return fmt.Errorf("make the schema millrace: %w", err)
	}
	return nil
}

type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

func readApplied(ctx context.Context, q querier) (map[int]time.Time, error) {
	rows, err := q.Query(ctx, "select version, applied_at from millrace.migration")
	if err != nil {
		return nil, fmt.Errorf("read the applied migrations: %w", err)
	}
	applied := map[int]time.Time{}
	var version int
	var at time.Time
	if _, err := pgx.ForEachRow(rows, []any{&version, &at}, func() error { applied[version] = at; return nil }); err != nil {
		return nil, fmt.Errorf("read the applied migrations: %w", err)
	}
	return applied, nil
}

func apply(ctx context.Context, pool *pgxpool.Pool, m migration) (at time.Time, err error) {
	err = stepThenRecord(ctx, pool, m, m.up, func(tx pgx.Tx) error {
		const record = "insert into millrace.migration (version, name) values ($1, $2) returning applied_at"
		return tx.QueryRow(ctx, record, m.version, m.name).Scan(&at)
	})
	if err != nil {
		return at, fmt.Errorf("apply migration %04d_%s: %w", m.version, m.name, err)
	}
	return at, nil
}

func revert(ctx context.Context, pool *pgxpool.Pool, m migration) error {
	err := stepThenRecord(ctx, pool, m, m.down, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "delete from millrace.migration where version = $1", m.version)
		return err //nolint:wrapcheck // named below
	})
	if err != nil {
		return fmt.Errorf("revert migration %04d_%s: %w", m.version, m.name, err)
	}
	return nil
}

// stepThenRecord runs a step and its record in one transaction, or the record
// after the step for a migration that commits by itself.
func stepThenRecord(
	ctx context.Context, pool *pgxpool.Pool, m migration, s step, record func(pgx.Tx) error,
) error {
	if m.alone {
		if err := s(ctx, nil, pool); err != nil {
			return err
		}
		return pgx.BeginFunc(ctx, pool, record) //nolint:wrapcheck // the callers name the migration
	}
	//nolint:wrapcheck // as above
	return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		if err := s(ctx, tx, nil); err != nil {
			return err
		}
		return record(tx)
	})
}
