package js

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/millrace-dev/millrace/functions/runtimes/internal/budget"
)

// isolation says what isolated runs.
type isolation struct {
	function string        // for the operator
	share    string        // of the budget, which is the function's own or buildShare
	memory   int64         // of the VM, in bytes
	limit    time.Duration // from when it begins; 0 means until ctx ends
}

// buildShare is the share of the budget that all builds have together, so that a function that uses up its own can be
// deployed anew.
const buildShare = ""

// isolated runs f, which uses a VM of memory bytes, on a goroutine of its own as soon as the budget allows, and waits
// for it until Grace after the end of its time. What f writes may be read only if there is no error.
func (r *Runner) isolated(ctx context.Context, in isolation, f func(ctx context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(r.ctx, func() { cancel(ErrClosed) })()

	switch err := r.budget.Admit(ctx, in.share, in.memory); {
	case errors.Is(err, budget.ErrTooLarge):
		return err
	case err != nil:
		return waitedInVain(ctx)
	}

	if in.limit > 0 {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(ctx, in.limit)
		defer stop()
	}

	run := &isolatedRun{result: make(chan error, 1)}
	started := r.start(func() {
		defer r.budget.Release(in.share, in.memory)
		r.end(run, recovered(ctx, f), in.function)
	})
	if !started {
		r.budget.Release(in.share, in.memory)
		return ErrClosed
	}

	select {
	case err := <-run.result:
		return err
	case <-ctx.Done():
	}

	timer := time.NewTimer(Grace)
	defer timer.Stop()

	select {
	case err := <-run.result:
		return err
	case <-timer.C:
	}

	return r.abandon(ctx, run, in)
}

// isolatedRun is the meeting point of who waits for a call and the goroutine that runs it.
type isolatedRun struct {
	mu        sync.Mutex
	ended     bool
	abandoned bool
	result    chan error
}

// end hands over what became of a call.
func (r *Runner) end(run *isolatedRun, err error, function string) {
	run.mu.Lock()
	defer run.mu.Unlock()

	run.ended = true
	run.result <- err
	if run.abandoned {
		r.abandoned.Add(-1)
		r.config.Logger.Info("functions: an abandoned call ended after all", "function", function)
	}
}

// abandon gives up waiting for a call.
func (r *Runner) abandon(ctx context.Context, run *isolatedRun, in isolation) error {
	run.mu.Lock()
	defer run.mu.Unlock()

	if run.ended {
		return <-run.result
	}

	run.abandoned = true
	r.config.Logger.Error("functions: a call cannot be interrupted and is left to itself; until it ends it keeps a processor busy and its share of the memory budget",
		"function", in.function, "memory", in.memory, "abandoned", r.abandoned.Add(1))

	return ended(ctx)
}

// start runs f on the crew unless the runner is closed.
func (r *Runner) start(f func()) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()

	if r.ctx.Err() != nil {
		return false
	}
	r.crew.run(f)

	return true
}

// recovered turns a panic of the engine into an error. The VM is dropped with it, as after every call.
func recovered(ctx context.Context, f func(context.Context) error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true)) // memory outside the Go heap: a fault is the engine's, not ours
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the JavaScript engine panicked: %v\n%s", p, debug.Stack())
		}
	}()

	return f(ctx)
}
