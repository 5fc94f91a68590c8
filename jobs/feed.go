package jobs

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"sync"
	"time"
)

const (
	feedJobs   = 50                     // jobs of a snapshot, and of one message of changes
	feedEvery  = 200 * time.Millisecond // between two messages of changes
	feedCounts = time.Second            // between two counts
	feedMemory = 1_000                  // ended attempts that are remembered
)

// feed collects what happens to all jobs while somebody on this node watches the channel jobs. Changes are coalesced:
// the last state of a job counts, and what does not fit into a message is only counted.
type feed struct {
	mu       sync.Mutex
	on       bool
	again    bool   // send a snapshot: something may be missing
	snapshot []byte // the last one sent, until something else was; a listener that polls asks for many
	changes  map[int64]summary
	order    []int64       // ids of changes in the order of their last one
	more     int           // jobs whose change found no room
	ended    map[int64]int // job to the newest attempt that is known to be over
	before   map[int64]int // the same, older
	counts   map[State]int // as told last
	toldAt   time.Time     // of the last message
	countsAt time.Time
	recount  bool // something changed after the last count
}

func newFeed() feed {
	return feed{changes: make(map[int64]summary), ended: make(map[int64]int)}
}

func (f *feed) watched() bool {
	f.mu.Lock()
	defer f.mu.Unlock()

	return f.on
}

func (f *feed) watch(on bool) {
	f.mu.Lock()
	defer f.mu.Unlock()

	f.on, f.again, f.counts, f.snapshot = on, false, nil, nil
	clear(f.changes)
	f.order, f.more = nil, 0
}

// refresh has the next message be a snapshot.
func (f *feed) refresh() {
	f.mu.Lock()
	defer f.mu.Unlock()

	f.again = f.on
}

// add notes a change. That an attempt runs is told apart from its end, and may come after it: then it is old news.
func (f *feed) add(h hint, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()

	over := max(f.ended[h.id], f.before[h.id])
	if h.state == StateRunning && over >= h.attempt {
		return
	}

	if h.state != StateRunning && h.attempt > over {
		if len(f.ended) >= feedMemory {
			f.before, f.ended = f.ended, make(map[int64]int)
		}

		f.ended[h.id] = h.attempt
	}

	if _, known := f.changes[h.id]; !known {
		if len(f.order) >= feedJobs {
			delete(f.changes, f.order[0])
			f.order = f.order[1:]
			f.more++
		}

		f.order = append(f.order, h.id)
	}

	f.recount = true
	f.changes[h.id] = summary{ID: h.id, Function: h.function, State: h.state, Attempt: h.attempt, At: now.UTC()}
}

// wait is how long the loop may sleep before the feed has something to say.
func (f *feed) wait(now time.Time) time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()

	switch {
	case !f.on:
		return time.Hour
	case f.again || len(f.order) > 0:
		return max(feedEvery-now.Sub(f.toldAt), time.Millisecond)
	case f.recount:
		return max(feedCounts-now.Sub(f.countsAt), feedEvery)
	}

	return max(repairEvery-now.Sub(f.countsAt), feedEvery)
}

// due returns what has to be told now: changes, a new snapshot, or counts.
func (f *feed) due(now time.Time) (changes feedChanges, snapshot, counts bool) {
	f.mu.Lock()
	defer f.mu.Unlock()

	if !f.on || now.Sub(f.toldAt) < feedEvery {
		return changes, false, false
	}

	changes = feedChanges{Type: "changes", Jobs: make([]summary, 0, len(f.order)), More: f.more}
	for _, id := range f.order {
		changes.Jobs = append(changes.Jobs, f.changes[id])
	}

	snapshot, f.again = f.again, false
	stale := now.Sub(f.countsAt)

	if counts = f.recount && stale >= feedCounts || stale >= repairEvery; counts {
		f.recount = false
	}

	clear(f.changes)
	f.order, f.more = nil, 0

	return changes, snapshot, counts
}

// counted notes fresh counts and reports whether they differ from those told last.
func (f *feed) counted(counts map[State]int, now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()

	f.countsAt = now
	if maps.Equal(counts, f.counts) {
		return false
	}

	f.counts = counts

	return true
}

// same reports whether a snapshot is what everybody was told last, and remembers it.
func (f *feed) same(snapshot []byte) bool {
	f.mu.Lock()
	defer f.mu.Unlock()

	same := bytes.Equal(snapshot, f.snapshot)
	f.snapshot = snapshot

	return same
}

func (f *feed) told(now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()

	f.toldAt = now
}

// tellFeed delivers what the feed has gathered.
func (w *watcher) tellFeed(ctx context.Context) error {
	now := time.Now()

	changes, snapshot, counts := w.feed.due(now)

	ctx, cancel := context.WithTimeout(ctx, watchTimeout)
	defer cancel()

	if snapshot {
		data, err := w.feedSnapshot(ctx)
		if err != nil {
			w.feed.refresh()

			return fmt.Errorf("repair the feed of jobs: %w", err)
		}

		if !w.feed.same(data) {
			w.deliver(feedChannel, data)
		}

		w.feed.told(now)

		return nil
	}

	if counts {
		fresh, err := countStates(ctx, w.pool)
		if err == nil && w.feed.counted(fresh, now) {
			changes.Counts = fresh
		}
	}

	if len(changes.Jobs) > 0 || changes.Counts != nil {
		w.feed.same(nil)
		w.deliver(feedChannel, encode(changes))
		w.feed.told(now)
	}

	return nil
}
