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

// Push appends an item. It returns ctx's error if ctx ends before there is
// room, and then the item is not in the queue. An item heavier than the whole
// queue counts as one that fills it.
func (q *Queue[T]) Push(ctx context.Context, item T, weight int64) error {
	if err := q.room.Acquire(ctx, min(weight, q.limit)); err != nil {
		return fmt.Errorf("wait for room in the queue: %w", err)
	}
	q.mu.Lock()
	q.items = append(q.items, item)
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

// Take removes up to limit items from the front, fewer when the next one would
// bring their size over maxSize; at least one if there is any.
func (q *Queue[T]) Take(limit int, maxSize int, size func(T) int) []T {
	q.mu.Lock()
	defer q.mu.Unlock()
	n, total := 0, 0
	for n < len(q.items) && n < limit {
		if total += size(q.items[n]); n > 0 && total > maxSize {
			break
		}
		n++
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
