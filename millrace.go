package millrace

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/millrace-dev/millrace/functions"
	"github.com/millrace-dev/millrace/internal/auth"
	"github.com/millrace-dev/millrace/jobs"
	"github.com/millrace-dev/millrace/realtime"
)

// ErrPublicWithoutKeys is returned by Start for an address that others can
// reach on a database that holds no API key yet.
var ErrPublicWithoutKeys = errors.New("refusing to serve on a public address before there is an API key")

// App is one instance of millrace. Make it with New, register Go functions with
// Handle, then Run it, or Start and Stop it.
type App struct {
	cfg     Config
	natives []func(*functions.Service) error // what Handle registered

	mu    sync.Mutex
	parts *parts // nil before Start and after Stop
}

// New checks the configuration, reporting all mistakes at once. Nothing is
// connected before Start.
func New(cfg Config) (*App, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	return &App{cfg: cfg}, nil
}

// Run starts the App, serves until ctx ends, and stops it. It returns nil after
// a clean stop.
func (a *App) Run(ctx context.Context) error {
	if err := a.Start(ctx); err != nil {
		return err
	}
	<-ctx.Done()
	return a.Stop(context.WithoutCancel(ctx))
}

// Start brings everything up and returns when work can be done, or with the
// reason why it cannot; whatever had started is stopped again then.
func (a *App) Start(ctx context.Context) error {
	a.mu.Lock()
	defer a.mu.Unlock()

	if a.parts != nil {
		return errors.New("start millrace: it runs already")
	}
	p, err := assemble(ctx, a.cfg, a.natives)
	if err != nil {
		return fmt.Errorf("start millrace: %w", err)
	}
	if err := p.start(ctx); err != nil {
		return fmt.Errorf("start millrace: %w", err)
	}
	a.parts = p
	a.cfg.Logger.InfoContext(ctx, "millrace is ready", "addr", p.web.Addr(), "node", p.nodeID)
	return nil
}

// Stop drains and stops the App. Jobs that still run when ctx ends or
// DrainTimeout is over are handed back and run elsewhere.
func (a *App) Stop(ctx context.Context) error {
	a.mu.Lock()
	defer a.mu.Unlock()

	if a.parts == nil {
		return nil
	}
	a.cfg.Logger.InfoContext(ctx, "millrace is stopping", "node", a.parts.nodeID)
	err := a.parts.stop(ctx)
	a.parts = nil
	if err != nil {
		return fmt.Errorf("stop millrace: %w", err)
	}
	return nil
}

// Addr is the HOST:PORT that is served, known after Start.
func (a *App) Addr() string { return a.running().web.Addr() }

// Jobs is the jobs service: submit, wait, list. It may be used after Start.
func (a *App) Jobs() *jobs.Service { return a.running().jobs }

// Functions is the functions service: deploy, versions, rollback. It may be
// used after Start.
func (a *App) Functions() *functions.Service { return a.running().functions }

// Realtime is the hub: publish, history. It may be used after Start.
func (a *App) Realtime() *realtime.Hub { return a.running().hub }

// Auth keeps keys and sessions; it is for the command line's dev server.
func (a *App) Auth() *auth.Store { return a.running().auth }

func (a *App) running() *parts {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.parts == nil {
		panic("millrace: the App was not started, or was stopped")
	}
	return a.parts
}
