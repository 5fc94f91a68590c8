package jobs

import (
	"context"
	_ "embed"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/millrace-dev/millrace/internal/service"
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
	// promoteGap bounds how often hints make a node look, and how soon it looks again for rows that others hold.
	promoteGap = 20 * time.Millisecond

	farAway = 100 * 365 * 24 * time.Hour
)

// promoter makes scheduled and retrying jobs available at their time: it sleeps until the next one is due. River's
// own scheduler runs each five seconds, and stays as a second pair of eyes.
type promoter struct {
	service.Base

	pool *pgxpool.Pool
	log  *slog.Logger

	mu    sync.Mutex
	until time.Time // when the loop looks next; the future's end while it looks
	wake  chan struct{}
}

func newPromoter(pool *pgxpool.Pool, log *slog.Logger) *promoter {
	return &promoter{pool: pool, log: log, wake: make(chan struct{}, 1)}
}

// Start begins to promote.
func (p *promoter) Start(ctx context.Context) error {
	if _, err := p.Begin(ctx); err != nil {
		return err //nolint:wrapcheck // the service group names the part
	}

	p.Go(p.loop)

	return nil
}

// expect tells that a job will be due after delay. It is called once the job's row is committed; 0 means that the
// time is not known.
func (p *promoter) expect(delay time.Duration) {
	p.mu.Lock()
	sooner := time.Now().Add(delay).Before(p.until)
	p.mu.Unlock()

	if !sooner {
		return
	}

	select {
	case p.wake <- struct{}{}:
	default:
	}
}

func (p *promoter) loop(ctx context.Context) {
	for failing := false; ; {
		p.looking()

		wait, err := p.run(ctx)
		if err != nil {
			if !failing && ctx.Err() == nil {
				p.log.WarnContext(ctx, "jobs: waiting jobs cannot be promoted", "err", err)
			}

			wait = promotePoll
		}

		failing = err != nil

		if !p.sleep(ctx, wait) {
			return
		}
	}
}

// looking has everything wake the loop that is told from now on: a look that is under way may have missed it.
func (p *promoter) looking() {
	p.mu.Lock()
	defer p.mu.Unlock()

	p.until = time.Now().Add(farAway)
}

// sleep waits, or until it is told of something nearer, and reports false when the service stops.
func (p *promoter) sleep(ctx context.Context, wait time.Duration) bool {
	p.mu.Lock()
	p.until = time.Now().Add(wait)
	p.mu.Unlock()

	timer := time.NewTimer(wait)
	defer timer.Stop()

	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	case <-p.wake:
	}

	select {
	case <-ctx.Done():
		return false
	case <-time.After(promoteGap):
		return true
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
		return promoteGap, nil // others hold them
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
