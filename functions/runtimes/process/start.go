package process

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/millrace-dev/millrace/functions/runtimes"
	"github.com/millrace-dev/millrace/jobs"
)

// newChild starts a process for a pool, as soon as there is memory for it.
func (r *Runner) newChild(ctx context.Context, p *pool) (*child, error) {
	if err := r.admit(ctx, p.program); err != nil {
		return nil, err
	}

	c, err := r.ready(p)
	if err == nil {
		return c, nil
	}
	r.budget.Release(p.program.function, p.program.memory)

	if r.ctx.Err() != nil { // whatever it looks like
		err = ErrClosed
	}

	return nil, err
}

// evictEvery is the time between two looks for a process to end, while another one waits for its memory.
const evictEvery = 10 * time.Millisecond

// admit waits for memory, and ends processes without calls for it, those that were not used for longest first.
func (r *Runner) admit(ctx context.Context, p *program) error {
	admitted := make(chan error, 1)
	go func() { admitted <- r.budget.Admit(ctx, p.function, p.memory) }()

	tick := time.NewTicker(evictEvery)
	defer tick.Stop()

	for {
		select {
		case err := <-admitted:
			return err
		case <-tick.C:
		}

		if r.budget.Crowded() {
			r.evictOldest()
		}
	}
}

// ready starts a process and has it load the function.
func (r *Runner) ready(p *pool) (*child, error) {
	root, err := p.files()
	if err != nil {
		return nil, err
	}

	c, err := r.launchChild(p.program, root)
	if err != nil {
		return nil, err
	}
	c.pool = p

	m, err := c.begin(r.loadOf(p.program, root, c))
	if err != nil {
		if failure, is := errors.AsType[*jobs.Failure](err); is {
			return nil, failure
		}

		return nil, fmt.Errorf("start a process: %w: %s", err, cut(c.stderr.String()))
	}

	if m.Type == "failed" {
		c.dispose()
		return nil, &jobs.Failure{Code: jobs.CodeException, Message: "loading the function: " + cut(m.Message), Stack: cut(m.Stack), Retryable: true}
	}
	c.capacity = max(1, min(m.Concurrency, runtimes.MaxCalls))

	if !r.adopt(c) {
		c.dispose()
		return nil, ErrClosed
	}

	return c, nil
}

// adopt reads what the child says from now on.
func (r *Runner) adopt(c *child) bool {
	r.mu.Lock()
	defer r.mu.Unlock()

	if r.closed {
		return false
	}
	r.watch[c] = struct{}{}
	r.wg.Go(c.read)
	if !r.patrols {
		r.patrols = true
		r.wg.Go(r.patrol)
	}

	return true
}

func (r *Runner) loadOf(p *program, root string, c *child) load {
	return load{
		Type: "load", Protocol: protocol, Function: p.function, Root: root, Entry: p.entry, Mode: p.config.Mode,
		Threads: p.config.Threads, Calls: p.config.Calls, Memory: p.memory, Network: p.config.Network, Marker: c.marker(),
	}
}
