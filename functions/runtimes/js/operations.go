package js

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/millrace-dev/millrace/functions/durable"
	"github.com/millrace-dev/millrace/functions/runtimes"
)

// Bounds of one call. What they bound lies in the Go heap, which the limit of the VM's memory says nothing of.
const (
	// maxInFlight is how many operations run at once. A function that begins more waits inside the call that begins
	// the next one, so that it cannot pile up work faster than it is done.
	maxInFlight = 64
	// maxArguments is how many bytes of JSON the operations that run have as arguments, all together. It is more than
	// the platform takes as a job's input or as a message.
	maxArguments = 8 << 20
	// maxTimers is how many timers run at once; one more is an exception.
	maxTimers = 10_000
)

// settled is an operation that ended, or a timer that is due.
type settled struct {
	id     int
	timer  bool
	result []byte
	err    error

	flushed bool                 // durable operations were written
	ended   []*durable.Operation // those of them that ended
}

// text is the result as JSON, or the error's message.
func (s settled) text() string {
	if s.err != nil {
		return s.err.Error()
	}

	return string(s.result)
}

// operations are the asynchronous operations and timers of one call. start, timer, untimer, next and wait belong to
// the goroutine that owns the VM; each operation runs on a goroutine of its own.
type operations struct {
	ctx    context.Context
	cancel context.CancelFunc
	host   runtimes.Host
	slots  chan struct{}
	room   *semaphore.Weighted // for arguments
	wg     sync.WaitGroup

	timers  map[int]*time.Timer
	pending int // operations that next has not returned yet

	mu    sync.Mutex
	ready []settled
	wake  chan struct{} // holds a token while ready may have something new
}

func newOperations(ctx context.Context, host runtimes.Host) *operations {
	ctx, cancel := context.WithCancel(ctx)

	return &operations{
		ctx: ctx, cancel: cancel, host: host, slots: make(chan struct{}, maxInFlight),
		room: semaphore.NewWeighted(maxArguments), timers: map[int]*time.Timer{}, wake: make(chan struct{}, 1),
	}
}

// start begins an operation. It waits while as many as allowed are under way.
func (o *operations) start(id int, name, arguments string) error {
	size := int64(len(arguments))
	if size > maxArguments {
		return fmt.Errorf("%s: its arguments have %d bytes as JSON, and at most %d are allowed", name, size, maxArguments)
	}

	if err := o.room.Acquire(o.ctx, size); err != nil {
		return err
	}

	select {
	case o.slots <- struct{}{}:
	case <-o.ctx.Done():
		return o.ctx.Err()
	}

	o.pending++
	o.wg.Go(func() {
		result, err := runtimes.Dispatch(o.ctx, o.host, name, []byte(arguments))
		o.room.Release(size)
		<-o.slots
		o.settle(settled{id: id, result: result, err: err})
	})

	return nil
}

// flush writes durable operations.
func (o *operations) flush(run *durable.Run) {
	o.pending++
	o.wg.Go(func() {
		ended, err := run.Flush(o.ctx)
		o.settle(settled{flushed: true, ended: ended, err: err})
	})
}

func (o *operations) settle(s settled) {
	o.mu.Lock()
	o.ready = append(o.ready, s)
	o.mu.Unlock()

	select {
	case o.wake <- struct{}{}:
	default: // a token is there, and whoever takes it sees this one too
	}
}

func (o *operations) timer(id int, delay time.Duration) error {
	if len(o.timers) >= maxTimers {
		return fmt.Errorf("at most %d timers may run at once", maxTimers)
	}
	o.timers[id] = time.AfterFunc(delay, func() { o.settle(settled{id: id, timer: true, result: []byte("null")}) })

	return nil
}

func (o *operations) untimer(id int) {
	if timer := o.timers[id]; timer != nil {
		timer.Stop()
		delete(o.timers, id)
	}
}

// next waits for an operation to end or a timer to fire. It returns false when nothing is under way or ctx ended.
func (o *operations) next() (settled, bool) {
	for {
		s, ok := o.take()
		switch {
		case ok && !s.timer:
			o.pending--
			return s, true
		case ok && o.timers[s.id] != nil:
			delete(o.timers, s.id)
			return s, true
		case ok: // a timer that was cleared after it fired
			continue
		case o.pending == 0 && len(o.timers) == 0:
			return settled{}, false
		}

		select {
		case <-o.wake:
		case <-o.ctx.Done():
			return settled{}, false
		}
	}
}

func (o *operations) take() (settled, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()

	if len(o.ready) == 0 {
		return settled{}, false
	}
	s := o.ready[0]
	o.ready = o.ready[1:]

	return s, true
}

// wait waits until every operation has ended, or ctx, and returns the errors that next has not returned.
func (o *operations) wait() []error {
	var failed []error
	for id := range o.timers {
		o.untimer(id)
	}

	for {
		s, ok := o.next()
		if !ok {
			return failed
		}

		if s.err != nil && !s.flushed { // those have their own way
			failed = append(failed, s.err)
		}
	}
}

// close ends what is left and waits for it.
func (o *operations) close() {
	o.cancel()
	for id := range o.timers {
		o.untimer(id)
	}
	o.wg.Wait()
}
