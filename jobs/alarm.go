package jobs

import (
	"context"
	"sync"
	"time"
)

// alarmGap is how long an alarm waits after it was woken, so that many who wake it make one look.
const alarmGap = 20 * time.Millisecond

// alarm lets one loop sleep until the next thing is due, and others tell it of something nearer.
type alarm struct {
	mu    sync.Mutex
	until time.Time // when the loop looks next; the future's end while it looks
	wake  chan struct{}
}

func newAlarm() alarm { return alarm{wake: make(chan struct{}, 1)} }

// expect tells that something will be due after delay. It is called once that is committed; 0 means that the time is
// not known.
func (a *alarm) expect(delay time.Duration) {
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

// looking has everything wake the loop that is told from now on: a look that is under way may have missed it.
func (a *alarm) looking() {
	a.mu.Lock()
	defer a.mu.Unlock()

	a.until = time.Now().Add(farAway)
}

// sleep waits, or until it is told of something nearer, and reports false when ctx ends.
func (a *alarm) sleep(ctx context.Context, wait time.Duration) bool {
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
	case <-time.After(alarmGap):
		return true
	}
}
