package auth

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

const (
	// CacheTTL is how long an answer of the database is used: the longest time for which a node that heard
	// nothing goes on accepting an ended key.
	CacheTTL = 4 * time.Second
	// maxCached bounds the memory of each cache. When it is full the dead entries go, or else all of them:
	// the next request of each reads its row again.
	maxCached = 10_000
	// loadTimeout bounds the look-up that several waiting requests share.
	loadTimeout = 5 * time.Second
)

// cache keeps found rows for CacheTTL. What is not found is not kept: a key made on another node works at
// once, and strangers cannot fill it.
type cache[V any] struct {
	mu      sync.Mutex
	entries map[string]entry[V]
	// changes counts invalidations, so that a row read before one is not stored after it.
	changes uint64
	flight  singleflight.Group
	now     func() time.Time
}

type entry[V any] struct {
	value V
	until time.Time
}

func newCache[V any](now func() time.Time) *cache[V] {
	return &cache[V]{entries: map[string]entry[V]{}, now: now}
}

// get answers from memory or through load, once for all who ask at the same time.
func (c *cache[V]) get(ctx context.Context, id string, load func(context.Context) (V, error)) (V, error) {
	c.mu.Lock()
	found, ok := c.entries[id]
	c.mu.Unlock()
	if ok && c.now().Before(found.until) {
		return found.value, nil
	}
	answer := c.flight.DoChan(id, func() (any, error) { return c.load(ctx, id, load) })
	select {
	case result := <-answer:
		value, _ := result.Val.(V)
		return value, result.Err
	case <-ctx.Done():
		var none V
		return none, context.Cause(ctx)
	}
}

func (c *cache[V]) load(ctx context.Context, id string, load func(context.Context) (V, error)) (V, error) {
	// The one who happened to ask first must not take the others down with its own deadline.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), loadTimeout)
	defer cancel()
	c.mu.Lock()
	changes := c.changes
	c.mu.Unlock()
	until := c.now().Add(CacheTTL) // counted from before the read
	value, err := load(ctx)
	if err != nil {
		return value, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if changes == c.changes {
		c.makeRoom()
		c.entries[id] = entry[V]{value: value, until: until}
	}
	return value, nil
}

func (c *cache[V]) makeRoom() {
	if len(c.entries) < maxCached {
		return
	}
	now := c.now()
	for id, e := range c.entries {
		if !now.Before(e.until) {
			delete(c.entries, id)
		}
	}
	if len(c.entries) >= maxCached {
		clear(c.entries)
	}
}

// forget drops one entry and whatever is being read for it at this moment.
func (c *cache[V]) forget(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.changes++
	delete(c.entries, id)
	c.flight.Forget(id)
}

// forgetAll is for when notices may have been missed.
func (c *cache[V]) forgetAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.changes++
	clear(c.entries)
}
