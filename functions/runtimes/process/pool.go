package process

import (
	"context"
	"errors"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/millrace-dev/millrace/functions/runtimes"
)

// pool is the processes of one version of a function.
type pool struct {
	runner  *Runner
	program *program

	once sync.Once // makes root
	root string    // folder with the version's files
	err  error

	mu       sync.Mutex
	children []*child
	starting int
	waiting  []*waiter
	cancel   context.CancelFunc // of starts that still wait for memory
	queueing context.Context
	dropped  bool // is no pool of the runner's any more
}

// errDropped is what acquire says of a pool that was dropped meanwhile: the runner has, or makes, another one.
var errDropped = errors.New("the pool was dropped")

// waiter waits for room in a child.
type waiter struct{ found chan found }

type found struct {
	child *child
	err   error
}

func newPool(r *Runner, p *program) *pool {
	pool := &pool{runner: r, program: p}
	pool.queueing, pool.cancel = context.WithCancel(r.ctx)

	return pool
}

// files writes the version's files, once, and returns their folder.
func (p *pool) files() (string, error) {
	p.once.Do(func() {
		if p.root, p.err = os.MkdirTemp(p.runner.dir, "version-"); p.err == nil {
			p.err = p.program.bundle.materialise(p.root, p.runner.config.Folder)
		}
	})

	return p.root, p.err
}

// acquire waits for a child with room, and starts one if none has any. The call must end with release.
func (p *pool) acquire(ctx context.Context) (*child, error) {
	w, c, err := p.enqueue()
	if c != nil || err != nil {
		return c, err
	}

	select {
	case f := <-w.found:
		return f.child, f.err
	case <-ctx.Done():
	}

	if f, handed := p.leave(w); handed {
		if f.child != nil {
			p.release(f.child, false)
		}
	}

	return nil, waitedInVain(ctx)
}

func (p *pool) enqueue() (*waiter, *child, error) {
	p.mu.Lock()
	defer p.mu.Unlock()

	if p.dropped {
		return nil, nil, errDropped
	}

	if len(p.waiting) == 0 {
		if c := p.roomiest(); c != nil {
			c.taken++
			return nil, c, nil
		}
	}

	w := &waiter{found: make(chan found, 1)}
	p.waiting = append(p.waiting, w)
	p.grow()

	return w, nil, nil
}

// roomiest is the child with room that was used last, so that those that are not needed become old; nil if there is none.
func (p *pool) roomiest() *child {
	for _, c := range slices.Backward(p.children) {
		if !c.retired && c.taken < c.capacity {
			return c
		}
	}

	return nil
}

// grow starts as many children as the waiting calls need, up to what the function may have.
func (p *pool) grow() {
	most := processes(p.program.config, p.program.shared())
	each := 1
	switch p.program.config.Mode {
	case runtimes.ModeAsync:
		each = p.program.config.Calls
	case runtimes.ModeThreads:
		each = p.program.config.Threads
	}

	for p.serving()+p.starting < most && p.starting*each < len(p.waiting) {
		p.starting++
		ctx := p.queue()
		if !p.runner.start(func() { p.startChild(ctx) }) {
			p.starting--
			p.fail(ErrClosed)

			return
		}
	}
}

// queue is the context of starts that wait for memory, which ends when nobody waits for a child any more.
func (p *pool) queue() context.Context {
	if p.queueing.Err() != nil {
		p.queueing, p.cancel = context.WithCancel(p.runner.ctx)
	}

	return p.queueing
}

func (p *pool) serving() int {
	n := 0
	for _, c := range p.children {
		if !c.retired {
			n++
		}
	}

	return n
}

// leave gives a wait up. What was handed over at that moment is returned.
func (p *pool) leave(w *waiter) (found, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()

	if i := slices.Index(p.waiting, w); i >= 0 {
		p.waiting = slices.Delete(p.waiting, i, i+1)
		if len(p.waiting) == 0 {
			p.cancel()
		}

		return found{}, false
	}

	return <-w.found, true
}

// fail tells those who wait that no child comes.
func (p *pool) fail(err error) {
	for _, w := range p.waiting {
		w.found <- found{err: err}
	}
	p.waiting = nil
}

// startChild makes a child and hands it to those who wait.
func (p *pool) startChild(queueing context.Context) {
	c, err := p.runner.newChild(queueing, p)

	p.mu.Lock()
	defer p.mu.Unlock()

	p.starting--
	switch {
	case errors.Is(err, context.Canceled) && queueing.Err() != nil:
		if p.runner.ctx.Err() != nil {
			p.fail(ErrClosed)
		}
		p.grow() // somebody may have come since the last one left
	case err != nil:
		if p.starting == 0 && p.serving() == 0 {
			p.fail(err)
		}
	default:
		c.idle = time.Now()
		p.children = append(p.children, c)
		p.hand(c)
	}
}

// hand gives room in a child to those who wait longest.
func (p *pool) hand(c *child) {
	for !c.retired && c.taken < c.capacity && len(p.waiting) > 0 {
		w := p.waiting[0]
		p.waiting = p.waiting[1:]
		c.taken++
		w.found <- found{child: c}
	}
}

// release gives room back that acquire gave. served says whether a call was run.
func (p *pool) release(c *child, served bool) {
	p.mu.Lock()
	defer p.mu.Unlock()

	c.taken--
	c.idle = time.Now()
	if served {
		c.served++
	}

	if c.served >= p.runner.config.MaxJobs || c.taken == 0 && p.runner.grown(c) {
		c.retired = true
	}
	p.hand(c)
	if c.taken == 0 && (c.retired || p.runner.budget.Crowded()) {
		p.retire(c)
	}
}

// shun is release of a child that turned out to have ended: it is not to be found again, though it may be in the pool yet.
func (p *pool) shun(c *child) {
	p.mu.Lock()
	c.retired = true
	p.mu.Unlock()

	p.release(c, false)
}

// retire tells a child without calls to end.
func (p *pool) retire(c *child) {
	c.retired = true
	c.stdin.finish()
	time.AfterFunc(Grace, c.process.Kill)
	p.grow()
}

// lost takes a child off that has ended.
func (p *pool) lost(c *child) {
	p.mu.Lock()
	c.retired = true
	p.children = slices.DeleteFunc(p.children, func(other *child) bool { return other == c })
	p.grow()
	p.mu.Unlock()

	p.runner.budget.Release(p.program.function, p.program.memory)
	p.runner.unwatched(c)
}

// oldest is the child without calls that was used longest ago, and since when; nil if there is none.
func (p *pool) oldest() (*child, time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()

	var oldest *child
	for _, c := range p.children {
		if c.taken == 0 && !c.retired && (oldest == nil || c.idle.Before(oldest.idle)) {
			oldest = c
		}
	}

	if oldest == nil {
		return nil, time.Time{}
	}

	return oldest, oldest.idle
}

// evict ends a child if it has no calls.
func (p *pool) evict(c *child) {
	p.mu.Lock()
	defer p.mu.Unlock()

	if c.taken == 0 && !c.retired {
		p.retire(c)
	}
}

// drop gives up a pool that nobody uses, with the version's files, and reports whether it did.
func (p *pool) drop() bool {
	p.mu.Lock()
	defer p.mu.Unlock()

	if len(p.children)+len(p.waiting)+p.starting > 0 {
		return false
	}
	p.dropped = true
	p.cancel()
	if p.root != "" {
		_ = os.RemoveAll(p.root) // what is left goes with the runner's folder
	}

	return true
}
