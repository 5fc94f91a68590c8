// Package alarm lets one loop sleep until the next thing is due, and others tell it of something nearer.
package alarm

import (
	"context"
	"sync"
	"time"
)

// farAway stands for no time at all.
const farAway = 100 * 365 * 24 * time.Hour

// Gap is how long an alarm waits after it was woken, so that many who wake it make one look.
const Gap = 20 * time.Millisecond

// Alarm lets one loop sleep until the next thing is due, and others tell it of something nearer.
type Alarm struct {
	mu    sync.Mutex
	until time.Time // when the loop looks next; the future's end while it looks
	wake  chan struct{}
}

// New makes an alarm that nobody sleeps on yet. It is to be embedded, not copied.
func New() Alarm { return Alarm{wake: make(chan struct{}, 1)} }

// Expect tells that something will be due after delay. It is called once that is committed; 0 means that the time is
// not known.
func (a *Alarm) Expect(delay time.Duration) {
	a.mu.Lock()
	sooner := time.Now().Add(delay).Before(a.until)
	a.mu.Unlock()

	if !sooner {
		return
	}

	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// Looking has everything wake the loop that is told from now on: a look that is under way may have missed it.
func (a *Alarm) Looking() {
	a.mu.Lock()
	defer a.mu.Unlock()

	a.until = time.Now().Add(farAway)
}

// Sleep waits, or until it is told of something nearer, and reports false when ctx ends.
func (a *Alarm) Sleep(ctx context.Context, wait time.Duration) bool {
	a.mu.Lock()
	a.until = time.Now().Add(wait)
	a.mu.Unlock()

	timer := time.NewTimer(wait)
	defer timer.Stop()

	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	case <-a.wake:
	}

	select {
	case <-ctx.Done():
		return false
	case <-time.After(Gap):
		return true
	}
}
