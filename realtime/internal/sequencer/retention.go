package sequencer

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// How history is cleaned up, on the owner's instance and through the pool, so
// that no publish waits for it.
const (
	trimEach  = 15 * time.Second
	leastAge  = 15 * time.Second // of what is deleted: see trim.sql
	sweepEach = time.Second
	sweepPage = 200
	trimTime  = 20 * time.Second
)

// written are the channels that were published to since the last trim, with
// their tops.
type written struct {
	mu   sync.Mutex
	tops map[string]uint64
}

func (w *written) add(tops map[string]*top) {
	if len(tops) == 0 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.tops == nil {
		w.tops = make(map[string]uint64, len(tops))
	}
	for channel, t := range tops {
		w.tops[channel] = t.offset
	}
}

func (w *written) swap() map[string]uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	tops := w.tops
	w.tops = nil
	return tops
}

// retain trims busy channels by size every 15 s and walks over all channels a
// page a second for what is too old: the walk meets each of them, whoever wrote
// it. What a history no longer shows is hidden from readers at once, so a late
// deletion costs space and nothing else.
func (s *Sequencer) retain(ctx context.Context) {
	tick := time.NewTicker(sweepEach)
	defer tick.Stop()
	var aged map[string]uint64 // written before the last trim
	clean := newCleared()
	trimmed, cursor := time.Now(), ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if !s.owner.Load() {
			aged, clean = nil, newCleared()
			s.written.swap()
			continue
		}
		var err error
		if time.Since(trimmed) >= trimEach {
			trimmed = time.Now()
			err = errors.Join(s.trim(ctx, aged, clean), s.expireKeys(ctx))
			aged = s.written.swap()
		}
		if err == nil {
			cursor, err = s.sweep(ctx, cursor, clean)
		}
		if err != nil && ctx.Err() == nil {
			s.log.Warn("history cannot be trimmed", "err", err)
		}
	}
}

// sweep cleans up the channels after cursor and returns the next cursor, which
// is empty at the end.
func (s *Sequencer) sweep(ctx context.Context, cursor string, clean *cleared) (string, error) {
	page, names, err := s.sweepPage(ctx, cursor)
	if err != nil {
		return cursor, err
	}
	if len(names) > 0 {
		cursor = names[len(names)-1]
	}
	if err := s.trim(ctx, page, clean); err != nil {
		return cursor, err
	}
	ctx, cancel := context.WithTimeout(ctx, trimTime)
	defer cancel()
	if _, err := s.cfg.Pool.Exec(ctx, sqlExpireChannels, names, thisShard); err != nil {
		return cursor, fmt.Errorf("forget unused channels: %w", err)
	}
	if len(names) == sweepPage {
		return cursor, nil
	}
	if _, err := s.cfg.Pool.Exec(ctx, sqlFreshEpoch, thisShard); err != nil {
		return "", fmt.Errorf("replace the epoch of new channels: %w", err)
	}
	if _, err := s.cfg.Pool.Exec(ctx, sqlExpireTerms); err != nil {
		return "", fmt.Errorf("forget old terms: %w", err)
	}
	return "", nil
}

// sweepPage reads the next channels: their tops, and their names in order.
func (s *Sequencer) sweepPage(ctx context.Context, cursor string) (tops map[string]uint64, names []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, trimTime)
	defer cancel()
	rows, err := s.cfg.Pool.Query(ctx, sqlSweepPage, cursor, sweepPage)
	if err == nil {
		tops = make(map[string]uint64, sweepPage)
		var name string
		var top uint64
		_, err = pgx.ForEachRow(rows, []any{&name, &top}, func() error {
			tops[name], names = top, append(names, name)
			return nil
		})
	}
	if err != nil {
		return nil, nil, fmt.Errorf("walk over the channels: %w", err)
	}
	return tops, names, nil
}

// expireKeys deletes the idempotency keys whose ten minutes are over.
func (s *Sequencer) expireKeys(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, trimTime)
	defer cancel()
	for {
		tag, err := s.cfg.Pool.Exec(ctx, sqlExpireKeys, trimRows)
		if err != nil {
			return fmt.Errorf("expire idempotency keys: %w", err)
		}
		if tag.RowsAffected() < trimRows {
			return nil
		}
	}
}
