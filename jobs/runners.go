package jobs

import (
	"context"
	"time"
)

// runnerIdle is how long a goroutine waits for its next call before it ends.
const runnerIdle = 5 * time.Second

// runners are the goroutines that functions run in. They are used again: a fresh goroutine grows its stack under
// every call, by copying, which for an interpreter costs more than the rest of the dispatch.
type runners struct {
	next chan func() // taken by a goroutine that waits
	quit chan struct{}
}

func newRunners() *runners {
	return &runners{next: make(chan func()), quit: make(chan struct{})}
}

// Start does nothing: goroutines come with the calls.
func (r *runners) Start(context.Context) error { return nil }

// Stop ends the goroutines that wait. One that is in a call ends after it, which nobody can hasten.
func (r *runners) Stop(context.Context) error {
	close(r.quit)

	return nil
}

// run calls f in a goroutine other than the caller's. f may end that goroutine, but must not panic.
func (r *runners) run(f func()) {
	select {
	case r.next <- f:
	default:
		go r.work(f)
	}
}

func (r *runners) work(f func()) {
	timer := time.NewTimer(runnerIdle)
	defer timer.Stop()

	for {
		f()
		timer.Reset(runnerIdle)

		select {
		case f = <-r.next:
		case <-r.quit:
			return
		case <-timer.C:
			return
		}
	}
}
