package process

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/millrace-dev/millrace/functions/runtimes"
	"github.com/millrace-dev/millrace/jobs"
)

// Grace is how long a call has to end once it was told to. Then its process is ended.
const Grace = 500 * time.Millisecond

// Bounds of one call. Hosts keep them; they are enforced here too.
const (
	maxOperations = 64      // under way at once
	maxArguments  = 8 << 20 // bytes, of all of these
)

// running is a call under way in a child.
type running struct {
	id     uint64
	ctx    context.Context // of its operations
	host   runtimes.Host
	result chan outcome // receives one

	operations sync.WaitGroup
	under      atomic.Int32
	room       *semaphore.Weighted
	written    atomic.Int64
}

type outcome struct {
	output json.RawMessage
	err    error
}

// errNotTaken is what serve says of a call that its child never began, since it ended before.
var errNotTaken = fmt.Errorf("the process ended before it took the call: %w", jobs.ErrInterrupted)

// serve calls the function once in the child, which has room for it.
func (c *child) serve(ctx context.Context, call runtimes.Call, host runtimes.Host) (json.RawMessage, error) {
	operations, cancel := context.WithCancel(ctx)
	r := &running{ctx: operations, host: host, result: make(chan outcome, 1), room: semaphore.NewWeighted(maxArguments)}
	defer r.operations.Wait()
	defer cancel()

	if !c.enter(r) {
		return nil, errNotTaken
	}
	c.stdin.send(invocationOf(r.id, call))

	select {
	case out := <-r.result:
		return out.output, out.err
	case <-ctx.Done():
	}

	return nil, c.interrupt(ctx, r)
}

// enter gives a call its number.
func (c *child) enter(r *running) bool {
	c.mu.Lock()
	defer c.mu.Unlock()

	if c.ended {
		return false
	}
	c.last++
	r.id = c.last
	c.calls[r.id] = r

	return true
}

// interrupt ends a call whose context has ended: first by asking, then by ending the process.
func (c *child) interrupt(ctx context.Context, r *running) error {
	reason := "cancelled"
	if ctx.Err() == context.DeadlineExceeded {
		reason = "timeout"
	}
	c.stdin.send(signal{Type: "cancel", Call: r.id, Reason: reason})

	timer := time.NewTimer(Grace)
	defer timer.Stop()

	select {
	case <-r.result:
		return ended(ctx, false)
	case <-timer.C:
	}

	if who := c.current(); who != 0 && who != r.id {
		c.condemn(who, failf(CodeBlocked, "the function kept the event loop that it shares from a call whose time was over "+
			"(make it `def`, or await asyncio.to_thread for what blocks)"))
	} else {
		c.condemn(r.id, ended(ctx, true))
	}

	return (<-r.result).err
}

// condemn ends the process because of a call, which fails with reason; those beside it are to be repeated. If nobody knows
// which call it was, 0, all of them fail.
func (c *child) condemn(offender uint64, reason error) {
	c.mu.Lock()
	if c.reason == nil {
		c.offender, c.reason = offender, reason
	}
	c.mu.Unlock()

	c.process.Kill()
}

// settle hands a call its outcome.
func (c *child) settle(id uint64, out outcome) {
	c.mu.Lock()
	r := c.calls[id]
	delete(c.calls, id)
	c.mu.Unlock()

	if r != nil {
		r.result <- out
	}
}

func (c *child) find(id uint64) *running {
	c.mu.Lock()
	defer c.mu.Unlock()

	if id == 0 && len(c.calls) == 1 { // a thread that the function started says something
		for _, r := range c.calls {
			return r
		}
	}

	return c.calls[id]
}

// take acts on a message of the child. Unknown types are ignored, so that hosts may know more than this.
func (c *child) take(m *message) {
	switch m.Type {
	case "result":
		c.settle(m.Call, outcome{output: orNull(m.Output)})
		return
	case "error":
		c.settle(m.Call, outcome{err: c.failure(m)})
		return
	case "pong":
		c.answered()
		return
	case "blocked":
		c.blockedAt(m.Where)
		return
	}

	r := c.find(m.Call)
	if r == nil {
		return
	}

	switch m.Type {
	case "log":
		c.log(r, m)
	case "progress":
		if !math.IsNaN(m.Percent) {
			r.host.Progress(m.Percent, m.Message)
		}
	case "op":
		c.operate(r, m)
	}
}

func (c *child) log(r *running, m *message) {
	if r.written.Add(int64(len(m.Message)+len(m.Fields)+1)) > c.runner.config.MaxOutput {
		c.flooded(r.id)
		return
	}
	r.host.Log(m.Level, m.Message, m.Fields)
}

// flooded ends the process because of a call that wrote more than it may.
func (c *child) flooded(id uint64) {
	c.condemn(id, failf(CodeOutputLimit, "the function wrote more than %d MiB to its log (the limit is Config.MaxOutput of the instance)",
		c.runner.config.MaxOutput>>20))
}

// operate runs an operation on a goroutine of its own.
func (c *child) operate(r *running, m *message) {
	reply := answer{Type: "reply", Call: r.id, Op: m.Op}
	size := int64(len(m.Args))
	if r.under.Add(1) > maxOperations || !r.room.TryAcquire(size) {
		r.under.Add(-1)
		reply.Error = fmt.Sprintf("%s: at most %d operations with %d MiB of arguments may be under way at once", m.Name, maxOperations, maxArguments>>20)
		c.stdin.send(reply)
		return
	}

	r.operations.Go(func() {
		result, err := runtimes.Dispatch(r.ctx, r.host, m.Name, m.Args)
		r.room.Release(size)
		r.under.Add(-1)
		if reply.Result = result; err != nil {
			reply.Error = err.Error()
		}
		c.stdin.send(reply)
	})
}

// failure is what a host says went wrong.
func (c *child) failure(m *message) error {
	switch m.Code {
	case jobs.CodeMemoryLimit:
		return memoryLimit(c.program.memory, "")
	case jobs.CodeInvalidOutput:
		return &jobs.Failure{Code: jobs.CodeInvalidOutput, Message: cut(m.Message)}
	case jobs.CodeCancelled:
		return &jobs.Failure{Code: jobs.CodeCancelled, Message: cut(m.Message)}
	}

	return &jobs.Failure{Code: jobs.CodeException, Message: cut(m.Message), Stack: cut(m.Stack), Retryable: !m.Final}
}
