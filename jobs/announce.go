package jobs

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/millrace-dev/millrace/internal/service"
)

// announceAfter is how long an attempt has to last before watchers hear that it runs. A shorter one is told by
// its end alone: a hint for each start would double the notifications of a queue of short jobs.
const announceAfter = 20 * time.Millisecond

const announceTimeout = 5 * time.Second

// announcer sends the hint that an attempt is running, in batches.
type announcer struct {
	service.Base

	pool *pgxpool.Pool
	log  *slog.Logger

	mu    sync.Mutex
	fresh []*attempt
	wake  chan struct{}
}

func newAnnouncer(pool *pgxpool.Pool, log *slog.Logger) *announcer {
	return &announcer{pool: pool, log: log, wake: make(chan struct{}, 1)}
}

// Start begins to send.
func (n *announcer) Start(ctx context.Context) error {
	if _, err := n.Begin(ctx); err != nil {
		return err //nolint:wrapcheck // the service group names the part
	}

	n.Go(n.loop)

	return nil
}

// begun notes an attempt that has just started.
func (n *announcer) begun(a *attempt) {
	n.mu.Lock()
	n.fresh = append(n.fresh, a)
	n.mu.Unlock()

	select {
	case n.wake <- struct{}{}:
	default:
	}
}

func (n *announcer) loop(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-n.wake:
		}

		n.mu.Lock()
		batch := n.fresh
		n.fresh = nil
		n.mu.Unlock()

		select {
		case <-ctx.Done():
			return
		case <-time.After(announceAfter):
		}

		n.send(ctx, batch)
	}
}

func (n *announcer) send(ctx context.Context, batch []*attempt) {
	var hints []hint

	for _, a := range batch {
		if _, ended := a.status(); !ended {
			hints = append(hints, stateHint(a.id, StateRunning, a.number, a.function))
		}
	}

	if len(hints) == 0 {
		return
	}

	ctx, cancel := context.WithTimeout(ctx, announceTimeout)
	defer cancel()

	// A lost hint is healed by the watchers' own polls.
	if _, err := n.pool.Exec(ctx, notifyHintsSQL, packHints(hints)); err != nil {
		n.log.DebugContext(ctx, "jobs: running attempts were not announced", "err", err)
	}
}
