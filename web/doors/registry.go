package doors

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// defaultClaimTimeout is how long a connection may take to be upgraded once its handler has returned. Its place is
// given back then: a server does not tell when it could not write the answer and never runs the hijack handler.
const defaultClaimTimeout = 5 * time.Second

// registry counts connections against a limit and ends them.
type registry struct {
	limit        int
	claimTimeout time.Duration

	mu       sync.Mutex
	places   map[*place]struct{}
	stopping bool
	// empty is closed when stopping and the last place is left.
	empty chan struct{}
}

// place is one connection's entry.
type place struct {
	in *registry
	// All of it is guarded by in.mu. end asks the connection to end with a code, cut closes what is under it; nil
	// while not upgraded.
	end func(code uint32, reason string)
	cut func()
	// unclaimed runs when the connection is never upgraded; nil until it is expected to be.
	unclaimed *time.Timer
}

// admit takes a place for a connection whose handler is at work.
func (r *registry) admit() (*place, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.stopping:
		return nil, ErrStopping
	case len(r.places) >= r.limit:
		return nil, ErrFull
	}
	if r.places == nil {
		r.places = make(map[*place]struct{})
	}
	p := &place{in: r}
	r.places[p] = struct{}{}
	return p, nil
}

// expect comes before the handler returns: the place is given back and unused called if claim is not called
// within claimTimeout.
func (p *place) expect(unused func()) {
	p.in.mu.Lock()
	defer p.in.mu.Unlock()
	p.unclaimed = time.AfterFunc(p.in.claimTimeout, func() { p.leave(); unused() })
}

// claim makes the place that of an upgraded connection. It reports false when the place is gone, or the doors
// are stopping: the caller then ends the connection itself.
func (p *place) claim(end func(code uint32, reason string), cut func()) bool {
	p.in.mu.Lock()
	defer p.in.mu.Unlock()
	if !p.unclaimed.Stop() {
		return false
	}
	p.end, p.cut = end, cut
	return !p.in.stopping
}

// leave gives the place back; again does nothing.
func (p *place) leave() {
	p.in.mu.Lock()
	defer p.in.mu.Unlock()
	if _, there := p.in.places[p]; !there {
		return
	}
	delete(p.in.places, p)
	if p.unclaimed != nil {
		p.unclaimed.Stop()
	}
	if p.in.stopping && len(p.in.places) == 0 {
		close(p.in.empty)
	}
}

func (r *registry) size() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.places)
}

func (r *registry) drain(ctx context.Context, code uint32, reason string) error {
	for _, p := range r.stop() {
		p.end(code, reason)
	}
	select {
	case <-r.empty:
		return nil
	case <-ctx.Done():
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for p := range r.places {
		if p.cut != nil {
			p.cut()
		}
	}
	return fmt.Errorf("drain %d connections: %w", len(r.places), ctx.Err())
}

// stop admits nobody any more and returns the upgraded connections.
func (r *registry) stop() []*place {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.stopping {
		r.stopping = true
		r.empty = make(chan struct{})
		if len(r.places) == 0 {
			close(r.empty)
		}
	}
	var upgraded []*place
	for p := range r.places {
		if p.end != nil {
			upgraded = append(upgraded, p)
		}
	}
	return upgraded
}
