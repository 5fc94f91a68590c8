package reader

import "sync"

// buffer is between the listener's goroutine and the dispatcher. It is bounded
// in bytes; when it is full, all of it is dropped and overflowed is set, which
// leads to a repair from the tables.
type buffer struct {
	limit int
	ready chan struct{}

	mu         sync.Mutex
	payloads   []string
	bytes      int
	overflowed bool
}

func newBuffer(limit int) buffer { return buffer{limit: limit, ready: make(chan struct{}, 1)} }

func (b *buffer) add(payload string) {
	b.mu.Lock()
	if b.bytes+len(payload) > b.limit {
		b.payloads, b.bytes, b.overflowed = nil, 0, true
	} else {
		b.payloads, b.bytes = append(b.payloads, payload), b.bytes+len(payload)
	}
	b.mu.Unlock()
	select {
	case b.ready <- struct{}{}:
	default:
	}
}

// takeAll empties the buffer. If it overflowed, the payloads are those that came
// after that.
func (b *buffer) takeAll() (payloads []string, overflowed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	payloads, overflowed = b.payloads, b.overflowed
	b.payloads, b.bytes, b.overflowed = nil, 0, false
	return payloads, overflowed
}
