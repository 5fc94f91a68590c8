package js

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace-dev/millrace/functions/runtimes"
	"github.com/millrace-dev/millrace/functions/runtimes/internal/budget"
	"github.com/millrace-dev/millrace/jobs"
)

// Defaults of Config.
const (
	DefaultMemoryLimit = 64 << 20
	DefaultMaxMemory   = 512 << 20
	DefaultBuildTime   = 5 * time.Second
	DefaultBundleTime  = 30 * time.Second
)

// Grace is how long Invoke waits, after its context has ended, for the engine to notice. The engine looks between
// its own instructions, but not within some built-in functions.
const Grace = time.Second

// ErrClosed is returned by a Runner after Close.
var ErrClosed = errors.New("the JavaScript runtime is closed")

// Config is how much the JavaScript runtime may use. Its zero value is the documented default.
type Config struct {
	// MemoryLimit is what one call may use unless its function's config says otherwise, in bytes; 0 means 64 MiB.
	MemoryLimit int64
	// MaxMemory is the most that a function's config may ask for, in bytes; 0 means 512 MiB, or MemoryLimit if that
	// is more.
	MaxMemory int64
	// Budget bounds the sum of the limits of all calls under way, in bytes; further calls wait their turn, see
	// package budget. 0 means half of the memory that this process may use, and 512 MiB at least. The engine's memory lies
	// outside the Go heap, so GOMEMLIMIT knows nothing of it.
	Budget int64
	// BuildTime bounds how long the top level of a function's file may run at deploy; 0 means 5 s.
	BuildTime time.Duration
	// BundleTime bounds how long making one script of a function's files may take before; 0 means 30 s.
	BundleTime time.Duration
	// Logger gets what operators must know; nil means slog.Default().
	Logger *slog.Logger
}

// Runner runs JavaScript and TypeScript functions.
type Runner struct {
	config Config
	engine engine
	own    func() (ownScripts, error)
	budget *budget.Admission
	crew   *crew
	builds chan struct{} // holds a token for each bundle that is made

	ctx       context.Context // ends with Close
	cancel    context.CancelFunc
	mu        sync.RWMutex // held to read while a call enters, so that none does after Close
	abandoned atomic.Int64
}

var (
	_ runtimes.Runner  = (*Runner)(nil)
	_ runtimes.Builder = (*Runner)(nil)
)

// New makes a Runner. Every mistake in config is in the error.
func New(config Config) (*Runner, error) {
	if config.Logger == nil {
		config.Logger = slog.Default()
	}

	if config.BuildTime == 0 {
		config.BuildTime = DefaultBuildTime
	}

	if config.BundleTime == 0 {
		config.BundleTime = DefaultBundleTime
	}

	if config.MemoryLimit == 0 {
		config.MemoryLimit = DefaultMemoryLimit
	}

	if config.MaxMemory == 0 {
		config.MaxMemory = max(DefaultMaxMemory, config.MemoryLimit)
	}

	if config.Budget == 0 {
		config.Budget = max(budget.Default(), config.MaxMemory)
	}

	var mistakes []error
	if config.MemoryLimit < runtimes.MinMemory {
		mistakes = append(mistakes, fmt.Errorf("MemoryLimit must be at least %d bytes", runtimes.MinMemory))
	}

	if config.MaxMemory < config.MemoryLimit {
		mistakes = append(mistakes, errors.New("MaxMemory must not be less than MemoryLimit"))
	}

	if config.Budget < config.MaxMemory {
		mistakes = append(mistakes, errors.New("at least MaxMemory is needed for Budget"))
	}

	if config.BuildTime < 0 || config.BundleTime < 0 {
		mistakes = append(mistakes, errors.New("a negative BuildTime or BundleTime leaves no time"))
	}

	if err := errors.Join(mistakes...); err != nil {
		return nil, fmt.Errorf("configure the JavaScript runtime: %w", err)
	}

	r := &Runner{
		config: config, engine: quickJS{}, budget: budget.New(config.Budget),
		crew: newCrew(), builds: make(chan struct{}, runtime.GOMAXPROCS(0)),
	}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	r.own = sync.OnceValues(func() (ownScripts, error) { return compileOwnScripts(r.engine) })

	return r, nil
}

// Prepare compiles a version.
func (r *Runner) Prepare(_ context.Context, version runtimes.Version) (runtimes.Program, error) {
	p, err := r.compile(version)
	if err != nil {
		return nil, err
	}

	return p, nil
}

// Invoke calls the function once in a VM of its own, see the package's documentation.
func (r *Runner) Invoke(ctx context.Context, prepared runtimes.Program, call runtimes.Call, host runtimes.Host) (json.RawMessage, error) {
	p, ok := prepared.(*program)
	if !ok {
		return nil, fmt.Errorf("invoke %s: %T is no program of this runtime", call.Function, prepared)
	}

	var output json.RawMessage
	err := r.isolated(ctx, isolation{p.function, p.function, p.memory, 0}, func(ctx context.Context) (err error) {
		output, err = r.serve(ctx, p, call, host)
		return err
	})

	var failure *jobs.Failure
	switch {
	case err == nil:
		return output, nil
	case errors.As(err, &failure):
		return nil, failure
	}

	return nil, fmt.Errorf("run %s: %w", p.function, err)
}

// Abandoned is how many calls outlived their context because the engine could not be interrupted, and still run.
func (r *Runner) Abandoned() int { return int(r.abandoned.Load()) }

// Close refuses new calls, interrupts those under way and waits for them as long as ctx allows.
func (r *Runner) Close(ctx context.Context) error {
	r.mu.Lock()
	r.cancel()
	r.mu.Unlock()

	select {
	case <-r.crew.stop():
		return nil
	case <-ctx.Done():
		return fmt.Errorf("close the JavaScript runtime: %w", ctx.Err())
	}
}
