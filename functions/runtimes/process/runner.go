package process

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/millrace-dev/millrace/functions/runtimes"
	"github.com/millrace-dev/millrace/functions/runtimes/internal/budget"
	"github.com/millrace-dev/millrace/functions/runtimes/internal/spawn"
	"github.com/millrace-dev/millrace/jobs"
)

// Runner runs functions in child processes.
type Runner struct {
	config  Config
	contain containment
	budget  *budget.Admission
	spawner *spawn.Spawner
	dir     string // everything of this runner's on the disk
	finder  finder

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu      sync.Mutex
	closed  bool
	pools   map[string]*pool
	watch   map[*child]struct{}
	patrols bool // while the patrol runs
}

var (
	_ runtimes.Runner  = (*Runner)(nil)
	_ runtimes.Builder = (*Runner)(nil)
)

//go:embed hosts/host.py
var pythonHost []byte

//go:embed hosts/host.mjs
var nodeHost []byte

// New makes a Runner. Every mistake in config is in the error. No process is started before a function is built or
// called, and nothing is written to the disk.
func New(config Config) (*Runner, error) {
	config = config.withDefaults()
	if err := config.validate(); err != nil {
		return nil, err
	}

	r := &Runner{config: config, budget: budget.New(config.Budget), pools: map[string]*pool{}, watch: map[*child]struct{}{}}
	r.finder = finder{config: config}
	r.ctx, r.cancel = context.WithCancel(context.Background())

	return r, nil
}

// prepare makes what the first process needs.
func (r *Runner) prepare() (err error) {
	r.mu.Lock()
	defer r.mu.Unlock()

	if r.closed {
		return ErrClosed
	}

	if r.dir != "" {
		return nil
	}

	if r.contain = r.config.contain; !r.contain.known {
		r.contain = contained()
	}
	r.config.Logger.Info("functions: processes are shut in", "by", r.contain.String(), "sandbox", r.config.Sandbox, "complete", r.contain.complete())

	dir, err := os.MkdirTemp("", "millrace-process-")
	if err != nil {
		return fmt.Errorf("make a folder for processes: %w", err)
	}

	for name, text := range map[string][]byte{"host.py": pythonHost, "host.mjs": nodeHost} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			return errors.Join(fmt.Errorf("write a host: %w", err), os.RemoveAll(dir))
		}
	}
	r.dir, r.spawner = dir, spawn.New()

	return nil
}

// Prepare reads a stored version. Its processes start with its first call.
func (r *Runner) Prepare(_ context.Context, version runtimes.Version) (runtimes.Program, error) {
	p, err := r.programOf(version)
	if err != nil {
		return nil, fmt.Errorf("prepare %s: %w", version.Function, err)
	}

	return p, nil
}

// Invoke calls the function in one of its processes, see the package's documentation.
func (r *Runner) Invoke(ctx context.Context, prepared runtimes.Program, call runtimes.Call, host runtimes.Host) (json.RawMessage, error) {
	p, ok := prepared.(*program)
	if !ok {
		return nil, fmt.Errorf("invoke %s: %T is no program of this runtime", call.Function, prepared)
	}

	if err := r.prepare(); err != nil {
		return nil, err
	}

	output, err := r.invoke(ctx, p, call, host)
	if failure, is := errors.AsType[*jobs.Failure](err); is {
		return nil, failure
	}

	if err != nil {
		return nil, fmt.Errorf("run %s: %w", p.function, err)
	}

	return output, nil
}

// attempts bounds how often a call is given to another child because the one that it had was ending.
const attempts = 5

func (r *Runner) invoke(ctx context.Context, p *program, call runtimes.Call, host runtimes.Host) (json.RawMessage, error) {
	for range attempts {
		pool := r.poolOf(p)
		c, err := pool.acquire(ctx)
		if errors.Is(err, errDropped) {
			r.forget(pool)
			continue
		}

		if err != nil {
			return nil, err
		}

		output, err := c.serve(ctx, call, host)
		if !errors.Is(err, errNotTaken) {
			pool.release(c, true)
			return output, err
		}
		pool.shun(c)
	}

	return nil, errNotTaken
}

func (r *Runner) poolOf(p *program) *pool {
	r.mu.Lock()
	defer r.mu.Unlock()

	existing, ok := r.pools[p.key()]
	if !ok {
		existing = newPool(r, p)
		r.pools[p.key()] = existing
	}

	return existing
}

// start runs f on a goroutine that Close waits for, unless the runner is closed.
func (r *Runner) start(f func()) bool {
	r.mu.Lock()
	defer r.mu.Unlock()

	if r.closed {
		return false
	}
	r.wg.Go(f)

	return true
}

// enter makes Close wait for a call of wg.Done, unless the runner is closed.
func (r *Runner) enter() bool {
	r.mu.Lock()
	defer r.mu.Unlock()

	if !r.closed {
		r.wg.Add(1)
	}

	return !r.closed
}

// Close refuses new calls, ends the processes and waits for them as long as ctx allows.
func (r *Runner) Close(ctx context.Context) error {
	r.mu.Lock()
	first := !r.closed
	r.closed = true
	r.cancel()
	for c := range r.watch {
		c.process.Kill()
	}
	r.mu.Unlock()

	done := make(chan struct{})
	go func() {
		defer close(done)
		r.wg.Wait()
		if first && r.spawner != nil {
			r.spawner.Close()
		}
	}()

	select {
	case <-done:
	case <-ctx.Done():
		return fmt.Errorf("close the process runtime: %w", ctx.Err())
	}

	if r.dir == "" {
		return nil
	}

	if err := os.RemoveAll(r.dir); err != nil {
		return fmt.Errorf("close the process runtime: %w", err)
	}

	return nil
}
