package process

import (
	"fmt"
	"maps"

	"slices"
	"time"

	"github.com/millrace-dev/millrace/functions/runtimes"
	"github.com/millrace-dev/millrace/functions/runtimes/internal/spawn"
)

const (
	patrolEvery = 200 * time.Millisecond // of processes with calls
	idleEvery   = time.Second            // of the others
)

// patrol looks after the processes while there are any: what they use, whether their event loops turn, and which have
// been without calls for too long.
func (r *Runner) patrol() {
	tick := time.NewTicker(patrolEvery)
	defer tick.Stop()

	for idle := time.Now(); ; {
		select {
		case <-r.ctx.Done():
			return
		case <-tick.C:
		}

		children := r.children()
		if len(children) == 0 && r.offDuty() {
			return
		}
		r.inspect(children)
		if time.Since(idle) >= idleEvery {
			idle = time.Now()
			r.endIdle()
		}
	}
}

func (r *Runner) children() []*child {
	r.mu.Lock()
	defer r.mu.Unlock()

	return slices.Collect(maps.Keys(r.watch))
}

// offDuty ends the patrol, unless there is something to look after again.
func (r *Runner) offDuty() bool {
	r.mu.Lock()
	defer r.mu.Unlock()

	r.patrols = len(r.watch)+len(r.pools) > 0

	return !r.patrols
}

func (r *Runner) unwatched(c *child) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.watch, c)
}

// inspect looks at the processes with calls.
func (r *Runner) inspect(children []*child) {
	busy := slices.DeleteFunc(children, func(c *child) bool { return !c.busy() })
	if len(busy) == 0 {
		return
	}

	at := spawn.Look()
	for _, c := range busy {
		r.measure(c, at)
		if c.program.config.Mode == runtimes.ModeAsync {
			c.listen()
		}
	}
}

func (c *child) busy() bool {
	c.mu.Lock()
	defer c.mu.Unlock()

	return len(c.calls) > 0
}

// slack is how far above its limit a process may be seen: the kernel counts what it shares with others too, and keeps
// the limit of what is its own by itself.
func slack(limit int64) int64 { return limit/8 + 32<<20 }

// measure ends a process that uses too much, together with what it started.
func (r *Runner) measure(c *child, at spawn.Snapshot) {
	usage := c.process.Usage(at)
	limit := c.program.memory

	switch {
	case usage.Processes > r.config.MaxProcesses:
		c.condemn(c.current(), failf(CodeProcessLimit,
			"the function started more than %d processes (the limit is Config.MaxProcesses of the instance)", r.config.MaxProcesses))
	case usage.Memory > limit+slack(limit):
		what := ""
		if usage.Processes > 1 {
			what = fmt.Sprintf(" in %d processes", usage.Processes)
		}
		c.condemn(c.current(), memoryLimit(limit, what))
	}
}

// listen asks the event loop for a sign of life, and ends a process whose loop gives none for too long.
func (c *child) listen() {
	c.mu.Lock()
	since := c.pinged
	if since.IsZero() {
		c.pinged, c.notified = time.Now(), false
	}
	first := !c.notified
	c.mu.Unlock()

	limits := c.runner.config
	switch blocked := time.Since(since); {
	case since.IsZero():
		c.stdin.send(signal{Type: "ping"})
	case blocked > limits.BlockedLimit:
		c.condemn(c.current(), failf(CodeBlocked, "the function kept the event loop of its process for more than %s (the limit is "+
			"Config.BlockedLimit of the instance; make it `def`, or await asyncio.to_thread for what blocks)", limits.BlockedLimit))
	case blocked > limits.BlockedNotice && first:
		c.mu.Lock()
		c.notified = true
		c.mu.Unlock()
		c.stdin.send(signal{Type: "where"})
		c.noticeBlocked(blocked)
	}
}

// answered notes that the event loop turns.
func (c *child) answered() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pinged = time.Time{}
}

// noticeBlocked says in the log of the job that is to blame that the loop is blocked.
func (c *child) noticeBlocked(d time.Duration) {
	c.tell(or(c.current(), c.anyone()), "warn", fmt.Sprintf("the function has kept the event loop of its process for %s, and every "+
		"other call in it waits (make it `def`, or await asyncio.to_thread for what blocks; the process is ended after %s, "+
		"Config.BlockedLimit)", seconds(d), c.runner.config.BlockedLimit))
}

// blockedAt says where.
func (c *child) blockedAt(where string) {
	if r := c.find(c.current()); r != nil && where != "" {
		r.host.Log("warn", "the event loop is kept at "+where, nil)
	}
}

// grown reports whether a process has so much memory that it is better replaced: four fifths of its limit.
func (r *Runner) grown(c *child) bool {
	return spawn.Resident(c.process.Pid()) > c.program.memory/5*4
}

// evictOldest ends the process without calls that was used longest ago, if there is any.
func (r *Runner) evictOldest() {
	var pool *pool
	var oldest *child
	var since time.Time
	for _, p := range r.poolList() {
		if c, idle := p.oldest(); c != nil && (oldest == nil || idle.Before(since)) {
			pool, oldest, since = p, c, idle
		}
	}

	if oldest != nil {
		pool.evict(oldest)
	}
}

func (r *Runner) poolList() []*pool {
	r.mu.Lock()
	defer r.mu.Unlock()

	return slices.Collect(maps.Values(r.pools))
}

// endIdle ends processes that had no calls for long, and drops the pools that have none left.
func (r *Runner) endIdle() {
	for _, p := range r.poolList() {
		for c, idle := p.oldest(); c != nil && time.Since(idle) > r.config.IdleTime; c, idle = p.oldest() {
			p.evict(c)
		}

		if p.drop() {
			r.forget(p)
		}
	}
}

// forget takes a pool off that was dropped.
func (r *Runner) forget(p *pool) {
	r.mu.Lock()
	defer r.mu.Unlock()

	if r.pools[p.program.key()] == p {
		delete(r.pools, p.program.key())
	}
}
