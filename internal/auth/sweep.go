package auth

import (
	"context"
	_ "embed"
	"fmt"
	"maps"
	"slices"
	"time"
)

const (
	// sweepEvery keeps the promise of five seconds without any NOTIFY.
	sweepEvery   = 3 * time.Second
	sweepTimeout = 2 * time.Second
	// useEvery is how often the uses since then are written, one statement for all keys.
	useEvery = 10 * time.Second
	// useGrain is how exact last_used_at is: it is not written again within this time.
	useGrain = time.Minute
)

var (
	//go:embed sql/ended.sql
	endedSQL string
	//go:embed sql/key_used.sql
	keyUsedSQL string
)

// sweep tells of the keys and sessions that ended since the last successful look. A failed look keeps the watermark,
// so nothing is skipped by an outage.
func (s *Store) sweep(ctx context.Context) {
	var since *time.Time
	var recent map[Revoked]struct{} // told in the last round, which the overlap shows again
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		at, ended, err := s.endedSince(ctx, since)
		switch {
		case err == nil:
			told := make(map[Revoked]struct{}, len(ended))
			for _, what := range ended {
				if _, before := recent[what]; !before {
					s.end(what)
				}
				told[what] = struct{}{}
			}
			since, recent = &at, told
		case ctx.Err() == nil:
			s.log.WarnContext(ctx, "auth: look for ended keys and sessions", "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (s *Store) end(what Revoked) {
	if what.Key != "" {
		s.endKey(what.Key)
	} else {
		s.endSession(what.Session)
	}
}

func (s *Store) endedSince(ctx context.Context, since *time.Time) (at time.Time, ended []Revoked, err error) {
	ctx, cancel := context.WithTimeout(ctx, sweepTimeout)
	defer cancel()
	var keys, sessions []string
	if err := s.pool.QueryRow(ctx, endedSQL, since).Scan(&at, &keys, &sessions); err != nil {
		return time.Time{}, nil, fmt.Errorf("read ended keys and sessions: %w", err)
	}
	for _, id := range keys {
		ended = append(ended, Revoked{Key: id})
	}
	for _, name := range sessions {
		ended = append(ended, Revoked{Session: name})
	}
	return at, ended, nil
}

// touch notes that a key was used.
func (s *Store) touch(id string) {
	s.mu.Lock()
	s.used[id] = struct{}{}
	s.mu.Unlock()
}

// recordUse writes last_used_at from time to time, and what is left when the store stops.
func (s *Store) recordUse(ctx context.Context) {
	tick := time.NewTicker(useEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			s.flushUse(context.WithoutCancel(ctx))
			return
		case <-tick.C:
			s.flushUse(ctx)
		}
	}
}

func (s *Store) flushUse(ctx context.Context) {
	s.mu.Lock()
	ids := slices.Sorted(maps.Keys(s.used)) // sorted: two nodes lock rows in one order
	clear(s.used)
	s.mu.Unlock()
	if len(ids) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, sweepTimeout)
	defer cancel()
	if _, err := s.pool.Exec(ctx, keyUsedSQL, ids, useGrain.Seconds()); err != nil {
		s.log.WarnContext(ctx, "auth: write last use of keys", "err", err)
	}
}
