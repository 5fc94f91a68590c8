package millrace

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/millrace-dev/millrace/functions"
	"github.com/millrace-dev/millrace/internal/auth"
	"github.com/millrace-dev/millrace/jobs"
	"github.com/millrace-dev/millrace/jobs/callbacks"
	"github.com/millrace-dev/millrace/jobs/schedules"
	"github.com/millrace-dev/millrace/jobs/statistics"
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

	lifecycle sync.Mutex // held by Start and Stop
	// Nil before Start and after Stop. Functions reach for the parts while the App starts and while it drains, so
	// that looking takes no lock.
	parts atomic.Pointer[parts]
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
	a.lifecycle.Lock()
	defer a.lifecycle.Unlock()

	if a.parts.Load() != nil {
		return errors.New("start millrace: it runs already")
	}
	p, err := assemble(ctx, a.cfg, a.natives)
	if err != nil {
		return fmt.Errorf("start millrace: %w", err)
	}
	a.parts.Store(p) // jobs may run before the last part is up
	if err := p.start(ctx); err != nil {
		a.parts.Store(nil)
		return fmt.Errorf("start millrace: %w", err)
	}
	a.cfg.Logger.InfoContext(ctx, "millrace is ready", "addr", p.web.Addr(), "node", p.nodeID)
	return nil
}

// Stop drains and stops the App. Jobs that still run when ctx ends or
// DrainTimeout is over are handed back and run elsewhere. Functions may use the
// App to the end of the drain.
func (a *App) Stop(ctx context.Context) error {
	a.lifecycle.Lock()
	defer a.lifecycle.Unlock()

	p := a.parts.Load()
	if p == nil {
		return nil
	}
	a.cfg.Logger.InfoContext(ctx, "millrace is stopping", "node", p.nodeID)
	err := p.stop(ctx)
	a.parts.Store(nil)
	if err != nil {
		return fmt.Errorf("stop millrace: %w", err)
	}
	return nil
}

// Addr is the HOST:PORT that is served, known after Start.
func (a *App) Addr() string { return a.running().web.Addr() }

// Jobs is the jobs service: submit, wait, list. It may be used after Start.
func (a *App) Jobs() *jobs.Service { return a.running().jobs }

// Schedules keeps schedules: put, pause, run. It may be used after Start.
func (a *App) Schedules() *schedules.Service { return a.running().schedules }

// Callbacks tells what became of the callbacks of jobs, and rotates the secret
// that signs them. It may be used after Start.
func (a *App) Callbacks() *callbacks.Service { return a.running().callbacks }

// Statistics is what became of attempts, and the groups of failures. It may be
// used after Start.
func (a *App) Statistics() *statistics.Service { return a.running().statistics }

// Functions is the functions service: deploy, versions, rollback. It may be
// used after Start.
func (a *App) Functions() *functions.Service { return a.running().functions }

// Realtime is the hub: publish, history. It may be used after Start.
func (a *App) Realtime() *realtime.Hub { return a.running().hub }

// Auth keeps keys and sessions; it is for the command line's dev server.
func (a *App) Auth() *auth.Store { return a.running().auth }

func (a *App) running() *parts {
	p := a.parts.Load()
	if p == nil {
		panic("millrace: the App was not started, or was stopped")
	}
	return p
}

// register keeps what Start tells the functions service. It panics once the App has started.
func (a *App) register(native func(*functions.Service) error) {
	a.lifecycle.Lock()
	defer a.lifecycle.Unlock()

	if a.parts.Load() != nil {
		panic("millrace: Handle after Start")
	}
	a.natives = append(a.natives, native)
}
