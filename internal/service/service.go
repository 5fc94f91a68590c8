package service

import (
	"context"
	"errors"
	"sync"
)

// ErrStopped is returned by Begin for a service that was stopped or started before.
var ErrStopped = errors.New("service: already started or stopped")

// Service is a long-lived part of the program.
type Service interface {
	// Start begins the work and returns when the service is ready for use, or
	// with the reason why it cannot be. Cancelling ctx after Start has
	// returned does not stop the service.
	Start(ctx context.Context) error
	// Stop ends the work and returns when no goroutine of the service is left,
	// or when ctx ends, whichever is first; in the latter case it returns
	// ctx.Err() and what is left ends on its own.
	Stop(ctx context.Context) error
}

// Base carries the life cycle for the type that embeds it. The zero value is
// ready for use.
type Base struct {
	mu     sync.Mutex
	state  state
	ctx    context.Context //nolint:containedctx // the run context is what a service is
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

type state int

const (
	idle state = iota
	running
	stopped
)

// Begin moves the service from idle to running and returns the context that
// ends when it is stopped. It keeps ctx's values but not its cancellation.
// ErrStopped is returned if the service is not idle.
func (b *Base) Begin(ctx context.Context) (context.Context, error) {
	b.mu.Lock()
	defer b.mu.Unlock()

	if b.state != idle {
		return nil, ErrStopped
	}
	b.state = running
	b.ctx, b.cancel = context.WithCancel(context.WithoutCancel(ctx))
	return b.ctx, nil
}

// Go runs f in a goroutine that Stop waits for. It reports false, without
// running f, when the service is not running.
func (b *Base) Go(f func(ctx context.Context)) bool {
	b.mu.Lock()
	defer b.mu.Unlock()

	if b.state != running {
		return false
	}
	ctx := b.ctx
	b.wg.Go(func() { f(ctx) })
	return true
}

// Running reports whether the service is between Begin and Stop.
func (b *Base) Running() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.state == running
}

// Stop cancels the run context and waits for every goroutine started with Go.
func (b *Base) Stop(ctx context.Context) error {
	b.mu.Lock()
	if b.cancel != nil {
		b.cancel()
	}
	b.state = stopped
	b.mu.Unlock()

	done := make(chan struct{})
	go func() {
		b.wg.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err() //nolint:wrapcheck // the caller's own context
	}
}
