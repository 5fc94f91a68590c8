package reader

import "sync"

// flights join reads of the same thing, as they come when many clients return at
// once. A read is joined until it begins and not after: who comes later needs a
// snapshot that is later than its subscription. So there are at most two of a
// kind, the one that is under way and the one that waits for its end.
type flights struct {
	mu              sync.Mutex
	waiting, flying map[flightKey]*flight
}

// flightKey says what is read.
type flightKey struct {
	channel string
	limit   int
	reverse bool
	whole   bool   // all up to the top: one read does for every since
	since   uint64 // of the others
}

// flight is one read.
type flight struct {
	since uint64 // the lowest that somebody asked for
	done  chan struct{}

	list []*Publication // not to be changed
	top  Position
	err  error
}

// do returns a read of key that began after the call did, from since or below.
func (f *flights) do(key flightKey, since uint64, read func(since uint64) ([]*Publication, Position, error)) *flight {
	f.mu.Lock()
	if joined := f.waiting[key]; joined != nil {
		joined.since = min(joined.since, since)
		f.mu.Unlock()
		<-joined.done
		return joined
	}
	mine := &flight{since: since, done: make(chan struct{})}
	f.waiting[key] = mine
	before := f.flying[key]
	f.mu.Unlock()
	if before != nil {
		<-before.done
	}

	f.mu.Lock()
	delete(f.waiting, key)
	f.flying[key] = mine
	since = mine.since
	f.mu.Unlock()
	mine.list, mine.top, mine.err = read(since)
	f.mu.Lock()
	if f.flying[key] == mine {
		delete(f.flying, key)
	}
	f.mu.Unlock()
	close(mine.done)
	return mine
}
