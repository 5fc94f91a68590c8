package web

import "sync"

const (
	// groupItems and groupBytes bound what is inserted at once, and with it what waits to be.
	groupItems = 500
	groupBytes = 8 << 20
)

// batchQueue is between the goroutine that reads lines and the one that inserts them: what has come in during one
// insert is the next group. A reader that is faster waits.
type batchQueue[T any] struct {
	mu     sync.Mutex
	change sync.Cond
	items  []batchItem[T]
	bytes  int
	closed bool // by the reader: there are no more
	failed bool // by the inserter: no more are wanted
}

func newBatchQueue[T any]() *batchQueue[T] {
	q := &batchQueue[T]{}
	q.change.L = &q.mu
	return q
}

// put waits while a whole group is waiting, and reports whether more are wanted.
func (q *batchQueue[T]) put(item batchItem[T], size int) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for !q.failed && (len(q.items) >= groupItems || q.bytes >= groupBytes) {
		q.change.Wait()
	}
	if q.failed {
		return false
	}
	q.items = append(q.items, item)
	q.bytes += size
	q.change.Broadcast()
	return true
}

// take waits for at least one item and returns all there are; none after the last.
func (q *batchQueue[T]) take() []batchItem[T] {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.items) == 0 && !q.closed {
		q.change.Wait()
	}
	group := q.items
	q.items, q.bytes = nil, 0
	q.change.Broadcast()
	return group
}

// close says that there are no more items.
func (q *batchQueue[T]) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.change.Broadcast()
}

// fail says that no more items are wanted.
func (q *batchQueue[T]) fail() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.failed = true
	q.change.Broadcast()
}
