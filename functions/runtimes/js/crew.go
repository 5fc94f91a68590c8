package js

import (
	"sync"
	"time"
)

// crewIdle is how long a goroutine without work stays: long enough to be there for the next call of a busy server.
const crewIdle = time.Second

// crew runs calls on goroutines that it keeps for a while. The engine recurses deeply, and growing a fresh
// goroutine's stack each time costs a tenth of a short call.
type crew struct {
	work chan func()
	quit chan struct{}
	once sync.Once
	wg   sync.WaitGroup
}

func newCrew() *crew { return &crew{work: make(chan func()), quit: make(chan struct{})} }

// run runs f on a goroutine that it waits for in stop.
func (c *crew) run(f func()) {
	select {
	case c.work <- f:
	default:
		c.wg.Go(func() { c.serve(f) })
	}
}

func (c *crew) serve(f func()) {
	idle := time.NewTimer(crewIdle)
	defer idle.Stop()

	for {
		f()
		idle.Reset(crewIdle)

		select {
		case f = <-c.work:
		case <-idle.C:
			return
		case <-c.quit:
			return
		}
	}
}

// stop lets idle goroutines end and returns a channel that is closed when all have. run must not be called any more.
func (c *crew) stop() <-chan struct{} {
	c.once.Do(func() { close(c.quit) })

	done := make(chan struct{})
	go func() {
		c.wg.Wait()
		close(done)
	}()

	return done
}
