// Package queue holds what waits for the next commit.
//
// # Promise
//
// A queue is bounded by the weight of what was pushed and not yet released,
// whether it still waits or is being worked on. Push blocks while there is no
// room, first come first served. Nothing is dropped.
//
// It imports golang.org/x/sync.
package queue

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sync/semaphore"
)

// Queue is a first-in first-out queue with one consumer and any number of
// producers.
type Queue[T any] struct {
	limit int64
	room  *semaphore.Weighted
	ready chan struct{}

	mu    sync.Mutex
	items []T
}

// New makes a queue that holds items of together limit weight.
func New[T any](limit int64) *Queue[T] {
	return &Queue[T]{limit: limit, room: semaphore.NewWeighted(limit), ready: make(chan struct{}, 1)}
}

// Push appends items of together that weight, next to each other. It returns
// ctx's error if ctx ends before there is room, and then none of them is in the
// queue. An item heavier than the whole queue counts as one that fills it; it
// is pushed alone.
func (q *Queue[T]) Push(ctx context.Context, weight int64, items ...T) error {
	if err := q.room.Acquire(ctx, min(weight, q.limit)); err != nil {
		return fmt.Errorf("wait for room in the queue: %w", err)
	}
	q.mu.Lock()
	q.items = append(q.items, items...)
	q.mu.Unlock()
	q.Signal()
	return nil
}

// Return puts items that were taken back to the front.
func (q *Queue[T]) Return(items []T) {
	if len(items) == 0 {
		return
	}
	q.mu.Lock()
	q.items = append(slices.Clip(items), q.items...)
	q.mu.Unlock()
	q.Signal()
}

// Limits bound what Take removes, in items and in their size. Where Together is
// not nil, two neighbours for which it is true are taken at the same time.
type Limits[T any] struct {
	Items, Size int
	SizeOf      func(T) int
	Together    func(a, b T) bool
}

// Take removes items from the front: as many as come within the limits, and if
// there is any then at least the first one with those that belong to it.
func (q *Queue[T]) Take(l Limits[T]) []T {
	q.mu.Lock()
	defer q.mu.Unlock()
	n, total := 0, 0
	for i, item := range q.items {
		if i > 0 && (l.Together == nil || !l.Together(q.items[i-1], item)) {
			n = i // it may end here
		}
		total += l.SizeOf(item)
		if n > 0 && (i >= l.Items || total > l.Size) {
			break
		}
		if i == len(q.items)-1 {
			n = len(q.items)
		}
	}
	taken := q.items[:n:n]
	q.items = q.items[n:]
	if len(q.items) > 0 {
		q.Signal()
	} else {
		q.items = nil
	}
	return taken
}

// Release gives back the room of an item that was taken.
func (q *Queue[T]) Release(weight int64) { q.room.Release(min(weight, q.limit)) }

// Ready delivers after items came in. It may deliver once more than needed.
func (q *Queue[T]) Ready() <-chan struct{} { return q.ready }

// Signal makes Ready deliver.
func (q *Queue[T]) Signal() {
	select {
	case q.ready <- struct{}{}:
	default:
	}
}
