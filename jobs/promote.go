package jobs

import (
	"context"
	_ "embed"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/millrace-dev/millrace/internal/service"
	"github.com/millrace-dev/millrace/jobs/internal/alarm"
)

var (
	//go:embed sql/promote.sql
	promoteSQL string
	//go:embed sql/next_due.sql
	nextDueSQL string
)

const (
	promoteBatch   = 500
	promoteTimeout = 10 * time.Second // of one batch
	// promotePoll is how long a waiting job may stay unseen whose hint was lost, for instance because the node
	// that made it wait died.
	promotePoll = 5 * time.Second

	farAway = 100 * 365 * 24 * time.Hour
)

// promoter makes scheduled and retrying jobs available at their time: it sleeps until the next one is due. River's
// own scheduler runs each five seconds, and stays as a second pair of eyes.
type promoter struct {
	service.Base
	alarm.Alarm

	pool *pgxpool.Pool
	log  *slog.Logger
}

func newPromoter(pool *pgxpool.Pool, log *slog.Logger) *promoter {
	return &promoter{Alarm: alarm.New(), pool: pool, log: log}
}

// Start begins to promote.
func (p *promoter) Start(ctx context.Context) error {
	if _, err := p.Begin(ctx); err != nil {
		return err //nolint:wrapcheck // the service group names the part
	}

	p.Go(p.loop)

	return nil
}

func (p *promoter) loop(ctx context.Context) {
	for failing := false; ; {
		p.Looking()

		wait, err := p.run(ctx)
		if err != nil {
			if !failing && ctx.Err() == nil {
				p.log.WarnContext(ctx, "jobs: waiting jobs cannot be promoted", "err", err)
			}

			wait = promotePoll
		}

		failing = err != nil

		if !p.Sleep(ctx, wait) {
			return
		}
	}
}

// run promotes all that is due, however much that is, and returns how long to wait.
func (p *promoter) run(ctx context.Context) (time.Duration, error) {
	for {
		if wait, err := p.step(ctx); wait > 0 || err != nil {
			return wait, err
		}
	}
}

// step promotes one batch and returns 0, or how long to wait when there is nothing to promote.
func (p *promoter) step(ctx context.Context) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, promoteTimeout)
	defer cancel()

	var due *float64
	if err := p.pool.QueryRow(ctx, nextDueSQL).Scan(&due); err != nil {
		return 0, fmt.Errorf("look for the next waiting job: %w", err)
	}

	if due == nil {
		return promotePoll, nil
	}

	if wait := time.Duration(*due * float64(time.Millisecond)); wait > 0 {
		return min(wait, promotePoll), nil
	}

	n, err := p.promote(ctx)
	if err == nil && n == 0 {
		return alarm.Gap, nil // others hold them
	}

	return 0, err
}

// promote makes one batch available, and tells the queues and the watchers.
func (p *promoter) promote(ctx context.Context) (int, error) {
	var (
		hints  []hint
		queues = make(map[string]struct{})
	)

	err := pgx.BeginFunc(ctx, p.pool, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, promoteSQL, promoteBatch)
		if err != nil {
			return err //nolint:wrapcheck // below
		}

		h := hint{kind: hintState, state: StateQueued}

		var queue string

		_, err = pgx.ForEachRow(rows, []any{&h.id, &h.attempt, &h.function, &queue}, func() error {
			hints = append(hints, h)
			queues[queue] = struct{}{}

			return nil
		})
		if err != nil || len(hints) == 0 {
			return err //nolint:wrapcheck // below
		}

		return notify(ctx, tx, hints, slices.Sorted(maps.Keys(queues)))
	})
	if err != nil {
		return 0, fmt.Errorf("promote waiting jobs: %w", err)
	}

	return len(hints), nil
}
