package jobs

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/millrace-dev/millrace/internal/service"
)

var (
	//go:embed sql/retention_groups.sql
	retentionGroupsSQL string
	//go:embed sql/retention_begin.sql
	retentionBeginSQL string
	//go:embed sql/retention_take.sql
	retentionTakeSQL string
	//go:embed sql/retention_step.sql
	retentionStepSQL string
	//go:embed sql/retention_save.sql
	retentionSaveSQL string
	//go:embed sql/retention_forget.sql
	retentionForgetSQL string
	//go:embed sql/operation_forget.sql
	operationForgetSQL string
)

const (
	retentionEvery   = 5 * time.Second
	retentionTimeout = 10 * time.Second // of one step
	retentionStep    = 1_000            // jobs that one transaction looks at
	retentionRest    = 100 * time.Millisecond
	retentionForget  = time.Minute

	// retentionLeast is how long every job is kept: for whoever waits for its end, and because a row comes into view
	// some moments after the time that it says it finished at.
	retentionLeast = 5 * time.Second
)

// pass is one way along the finished jobs of a state: those of some functions, or those of all others, that are kept
// equally long.
type pass struct {
	name      string
	state     string // the row's
	keep      time.Duration
	functions []string
	others    bool // the functions are those that it leaves to other passes
}

// retention deletes finished jobs when their time is over, instead of River's cleaner, which knows no functions, and
// deletes failed jobs as if nobody had to look at them. Each pass goes along the index of finished jobs by time and
// keeps its place in a table, so that a job is looked at once in each pass and no index is needed that every job would
// pay for. A step is a short transaction that waits for no row; nodes share the steps.
type retention struct {
	service.Base

	pool     *pgxpool.Pool
	defaults Retention
	every    time.Duration
	least    time.Duration
	log      *slog.Logger
}

func newRetention(cfg *Config) *retention {
	return &retention{
		pool: cfg.Pool, defaults: cfg.Retention.withDefaults(), every: retentionEvery, least: retentionLeast, log: cfg.Logger,
	}
}

// Start begins to delete.
func (r *retention) Start(ctx context.Context) error {
	if _, err := r.Begin(ctx); err != nil {
		return err //nolint:wrapcheck // the service group names the part
	}

	r.Go(r.loop)

	return nil
}

func (r *retention) loop(ctx context.Context) {
	forgot := time.Now()

	for failing := false; ; {
		err := r.sweep(ctx)
		if err != nil && !failing && ctx.Err() == nil {
			r.log.WarnContext(ctx, "jobs: old jobs cannot be deleted", "err", err)
		}

		failing = err != nil

		if time.Since(forgot) > retentionForget && !failing {
			_, _ = r.pool.Exec(ctx, retentionForgetSQL) // the next time will do as well
			_, _ = r.pool.Exec(ctx, operationForgetSQL)
			forgot = time.Now()
		}

		select {
		case <-ctx.Done():
			return
		case <-time.After(r.every*9/10 + rand.N(r.every/5)): //nolint:gosec // jitter, so that nodes take turns
		}
	}
}

// sweep brings every pass up to date.
func (r *retention) sweep(ctx context.Context) error {
	passes, err := r.passes(ctx)
	if err != nil {
		return err
	}

	for i := range passes {
		for {
			began := time.Now()

			more, err := r.step(ctx, &passes[i])
			if err != nil {
				return fmt.Errorf("delete old jobs: %w", err)
			}

			if !more {
				break
			}

			// At least half of the time belongs to others.
			select {
			case <-ctx.Done():
				return ctx.Err() //nolint:wrapcheck // the service stops
			case <-time.After(min(time.Since(began), retentionRest)):
			}
		}
	}

	return nil
}

// passes reads what the functions say. For each state there is one pass more, for all others.
func (r *retention) passes(ctx context.Context) ([]pass, error) {
	ctx, cancel := context.WithTimeout(ctx, retentionTimeout)
	defer cancel()

	rows, err := r.pool.Query(ctx, retentionGroupsSQL)
	if err != nil {
		return nil, fmt.Errorf("read how long functions keep their jobs: %w", err)
	}

	var (
		passes []pass
		p      pass
		ms     int64
		own    = make(map[string][]string) // by state: the functions that have a pass, or need none
	)

	_, err = pgx.ForEachRow(rows, []any{&p.state, &ms, &p.functions}, func() error {
		own[p.state] = append(own[p.state], p.functions...)

		if ms >= 0 {
			p.keep = time.Duration(ms) * time.Millisecond
			passes = append(passes, p)
		}

		p.functions = nil // the next row's is not to be written over it

		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read how long functions keep their jobs: %w", err)
	}

	for _, state := range []State{StateCompleted, StateFailed, StateCancelled} {
		stored := string(state.stored()[0])
		if keep := r.defaults.of(state); keep != KeepForever {
			passes = append(passes, pass{state: stored, keep: keep, functions: append([]string{}, own[stored]...), others: true})
		}
	}

	for i := range passes {
		passes[i].keep = max(passes[i].keep, r.least)
		passes[i].name = passes[i].digest()
	}

	return passes, nil
}

// digest names a pass after everything that it goes by: when that changes, it is another one, which begins at the
// beginning.
func (p *pass) digest() string {
	sum := sha256.Sum256([]byte(strings.Join(p.functions, ",")))

	return fmt.Sprintf("%s %s %t %s", p.state, p.keep, p.others, hex.EncodeToString(sum[:16]))
}

// step looks at the pass's next jobs and reports whether there may be more. Another node that is at the same pass is
// left to it.
func (r *retention) step(ctx context.Context, p *pass) (more bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, retentionTimeout)
	defer cancel()

	if _, err := r.pool.Exec(ctx, retentionBeginSQL, p.name); err != nil {
		return false, err //nolint:wrapcheck // the caller says what was being done
	}

	err = pgx.BeginFunc(ctx, r.pool, func(tx pgx.Tx) error {
		var (
			from       *time.Time
			id         int64
			seen, gone int
		)

		if err := tx.QueryRow(ctx, retentionTakeSQL, p.name).Scan(&from, &id); err != nil {
			if errors.Is(err, pgx.ErrNoRows) {
				return nil
			}

			return err //nolint:wrapcheck // the caller's caller says it
		}

		at, last := from, id
		if err := tx.QueryRow(ctx, retentionStepSQL,
			p.state, p.keep.Milliseconds(), p.functions, p.others, from, id, retentionStep,
		).Scan(&seen, &gone, &at, &last); err != nil {
			return err //nolint:wrapcheck // as above
		}

		if seen == 0 {
			at, last = from, id
		}

		more = seen == retentionStep

		_, err := tx.Exec(ctx, retentionSaveSQL, p.name, at, last)

		return err //nolint:wrapcheck // as above
	})

	return more, err
}
