package jobs

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
)

// worker is River's client as a part of the service: it claims and executes.
type worker struct {
	client   *river.Client[pgx.Tx]
	attempts *attempts
	finisher *finisher

	mu      sync.Mutex
	started bool
}

// releaseTimeout bounds the recording of what a drain interrupted. It is more than drainGrace.
const releaseTimeout = 5 * time.Second

// Start begins to claim. River's contexts keep ctx's values but not its end: Stop is the only way out.
func (w *worker) Start(ctx context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()

	if err := w.client.Start(context.WithoutCancel(ctx)); err != nil {
		return fmt.Errorf("start River: %w", err)
	}

	w.started = true

	return nil
}

// Stop drains. While ctx lasts, attempts run on. Then they are told to stop, and the dispatcher hands back the rows
// of those that did not finish; of those whose goroutine does not even return, after a moment's grace. If Postgres
// does not take that in time, the rows stay running in the name of a node that is gone, and others rescue them.
func (w *worker) Stop(ctx context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()

	if !w.started {
		return nil
	}

	w.started = false

	err := w.client.Stop(ctx)
	if err == nil || !errors.Is(err, ctx.Err()) {
		return wrapStop(err)
	}

	// River fetches no more, but a fetch that was under way may still bring attempts: hence the loop.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
	defer cancel()

	for {
		w.attempts.stopAll(errDraining)

		step, cancelStep := context.WithTimeout(ctx, drainGrace/10)
		err := w.client.Stop(step)

		cancelStep()

		if err == nil || !errors.Is(err, context.DeadlineExceeded) {
			return wrapStop(err)
		}

		if ctx.Err() != nil {
			break
		}
	}

	// Postgres does not answer. Letting go of what waits for it lets River come to its end.
	last, cancelLast := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
	defer cancelLast()

	return errors.Join(w.finisher.Stop(last), wrapStop(w.client.Stop(last)))
}

func wrapStop(err error) error {
	if err != nil {
		return fmt.Errorf("stop River: %w", err)
	}

	return nil
}
