package jobs

import (
	"sync"
	"time"
)

const (
	// followGap is the time between two looks, and followFor how long they go on after the last hint: well beyond the
	// time that a commit takes.
	followGap = 10 * time.Millisecond
	followFor = 100 * time.Millisecond
)

// follower looks again and again, for a short time, at what transactions of users have enqueued. Of those that commit
// at about the same time only one tells (millrace.enqueue_gate), and the others may be visible a moment after the look
// that it caused. What commits later than that is found by the polls.
type follower struct {
	queues map[string]int // that this node works on
	wake   func(queue string)
	expect func(delay time.Duration) // the promoter's

	mu    sync.Mutex
	until map[string]time.Time // of what is being followed; "" is the jobs that wait for their time
}

func newFollower(queues map[string]int, wake func(string), expect func(time.Duration)) *follower {
	return &follower{queues: queues, wake: wake, expect: expect, until: make(map[string]time.Time)}
}

// follow begins to look at a queue, or goes on for longer.
func (f *follower) follow(queue string) {
	if _, ours := f.queues[queue]; !ours && queue != "" {
		return
	}

	f.mu.Lock()
	defer f.mu.Unlock()

	_, under := f.until[queue]
	f.until[queue] = time.Now().Add(followFor)

	if !under {
		time.AfterFunc(followGap, func() { f.look(queue) })
	}
}

func (f *follower) look(queue string) {
	f.mu.Lock()

	if time.Now().Before(f.until[queue]) {
		time.AfterFunc(followGap, func() { f.look(queue) })
	} else {
		delete(f.until, queue)
	}

	f.mu.Unlock()

	if queue == "" {
		f.expect(0)
	} else {
		f.wake(queue)
	}
}
