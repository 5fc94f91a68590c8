package reader

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
)

// pollTime bounds one look at the tables.
const pollTime = 5 * time.Second

// state is the writer's count of batches. While it stays the same, no channel
// has moved.
type state struct{ term, seq int64 }

// poll stands in for notifications until ctx ends.
func (r *Reader) poll(ctx context.Context) {
	var last state
	for warned := false; ; {
		now, err := r.look(ctx, last)
		switch {
		case err == nil:
			last, warned = now, false
		case !warned && ctx.Err() == nil: // an outage is one line, not thousands
			r.log.Warn("channels cannot be polled yet", "err", err)
			warned = true
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(r.cfg.Poll*9/10 + rand.N(r.cfg.Poll/10+1)): //nolint:gosec // jitter
		}
	}
}

// look repairs what has moved since last. The count is read before the channels
// are listed: who subscribes after that reads a top that is at least as new.
func (r *Reader) look(ctx context.Context, last state) (now state, err error) {
	ctx, cancel := context.WithTimeout(ctx, pollTime)
	defer cancel()
	if err := r.cfg.Pool.QueryRow(ctx, sqlState).Scan(&now.term, &now.seq); err != nil {
		return last, fmt.Errorf("look for publications: %w", err)
	}
	if now == last {
		return now, nil
	}
	r.cfg.Lost()
	subs, channels, offsets, epochs := r.subs.handed()
	if len(channels) == 0 {
		return now, nil
	}
	rows, err := r.cfg.Pool.Query(ctx, sqlMoved, channels, offsets, epochs)
	if err != nil {
		return last, fmt.Errorf("compare %d channels: %w", len(channels), err)
	}
	moved, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return last, fmt.Errorf("compare %d channels: %w", len(channels), err)
	}
	for _, channel := range moved {
		if sub := subs[channel]; sub.miss() {
			r.repair.add(channel, sub)
		}
	}
	return now, nil
}

// handed returns the channels with a history, and up to where each was handed on.
func (all *subscriptions) handed() (subs map[string]*subscription, channels []string, offsets []int64, epochs []string) {
	all.mu.RLock()
	defer all.mu.RUnlock()
	subs = make(map[string]*subscription, len(all.byName))
	for channel, sub := range all.byName {
		if !sub.stored {
			continue
		}
		sub.mu.Lock()
		subs[channel] = sub
		channels, offsets, epochs = append(channels, channel), append(offsets, int64(sub.handed.Offset)), append(epochs, sub.handed.Epoch) //nolint:gosec // offsets are below 2^63
		sub.mu.Unlock()
	}
	return subs, channels, offsets, epochs
}
