package functions

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/millrace-dev/millrace/functions/runtimes"
	"github.com/millrace-dev/millrace/functions/runtimes/js"
	"github.com/millrace-dev/millrace/functions/runtimes/native"
	"github.com/millrace-dev/millrace/functions/runtimes/process"
	"github.com/millrace-dev/millrace/internal/postgres"
	"github.com/millrace-dev/millrace/internal/service"
	"github.com/millrace-dev/millrace/jobs"
)

// Publisher sends data to a channel; it returns once that is committed.
type Publisher interface {
	Publish(ctx context.Context, channel string, data []byte) error
}

// Enqueuer submits a job; it returns its id once that is committed.
type Enqueuer interface {
	Enqueue(ctx context.Context, function string, input json.RawMessage, opts jobs.Options) (id int64, err error)
}

// JSConfig is how much the JavaScript runtime may use.
type JSConfig = js.Config

// ProcessConfig is what functions in child processes may use.
type ProcessConfig = process.Config

// Config is what a Service needs. Pool, Publisher and Enqueuer are required.
type Config struct {
	Pool *pgxpool.Pool
	// Listener makes deploys travel at once; it must not be started yet. Without one they take a second.
	Listener  *postgres.Listener
	Publisher Publisher
	Enqueuer  Enqueuer
	JS        JSConfig
	Process   ProcessConfig
	// Logger is for operators; functions log to their jobs. nil means slog.Default().
	Logger *slog.Logger
}

// Service knows the functions and runs them. It is safe for concurrent use.
type Service struct {
	service.Base

	pool      *pgxpool.Pool
	log       *slog.Logger
	publisher Publisher
	enqueuer  Enqueuer
	started   time.Time
	poll      time.Duration // pollEvery

	js        *js.Runner
	processes *process.Runner
	goes      *native.Runner
	builders  map[string]runtimes.Builder // by runtime

	native   map[string]nativeFunction // not changed after Start
	programs programConsumers          // as well
	live     *live
	others   *elsewhere
	loader   *loader
}

var _ jobs.Executor = (*Service)(nil)

// New makes a Service. Every mistake in config is in the error.
func New(config Config) (*Service, error) {
	if config.Logger == nil {
		config.Logger = slog.Default()
	}

	if config.JS.Logger == nil {
		config.JS.Logger = config.Logger
	}

	if config.Process.Logger == nil {
		config.Process.Logger = config.Logger
	}

	var mistakes []error
	for what, missing := range map[string]bool{
		"Pool": config.Pool == nil, "Publisher": config.Publisher == nil, "Enqueuer": config.Enqueuer == nil,
	} {
		if missing {
			mistakes = append(mistakes, fmt.Errorf("%s is required", what))
		}
	}

	script, err := js.New(config.JS)
	mistakes = append(mistakes, err)
	processes, err := process.New(config.Process)
	if err := errors.Join(append(mistakes, err)...); err != nil {
		return nil, fmt.Errorf("configure functions: %w", err)
	}

	s := &Service{
		pool: config.Pool, log: config.Logger, publisher: config.Publisher, enqueuer: config.Enqueuer,
		started: time.Now(), poll: pollEvery, js: script, processes: processes, goes: native.New(), native: map[string]nativeFunction{},
		live:   newLive(config.Pool),
		others: newElsewhere(config.Pool),
		builders: map[string]runtimes.Builder{
			runtimeJS: script, process.Python: processes, process.Node: processes, process.Command: processes,
		},
		loader: newLoader(config.Pool, map[string]runtimes.Runner{
			runtimeJS: script, process.Python: processes, process.Node: processes, process.Command: processes,
		}),
	}
	if config.Listener != nil {
		config.Listener.Handle(notifyChannel, s.live.notified, func(context.Context) { s.live.notified("") })
	}

	return s, nil
}

// Start reads which functions are live and follows deploys from now on.
func (s *Service) Start(ctx context.Context) error {
	if _, err := s.Begin(ctx); err != nil {
		return fmt.Errorf("start functions: %w", err)
	}

	if err := errors.Join(s.live.refresh(ctx), s.storeNative(ctx)); err != nil {
		return errors.Join(fmt.Errorf("start functions: %w", err), s.Stop(context.WithoutCancel(ctx)))
	}
	s.Go(s.follow)

	if len(s.native) > 0 {
		s.Go(s.stay)
	}

	return nil
}

// Stop ends following deploys and the runtimes, and interrupts the calls under way. Drain the jobs first.
func (s *Service) Stop(ctx context.Context) error {
	return errors.Join(s.Base.Stop(ctx), s.loader.Stop(ctx), s.js.Close(ctx), s.processes.Close(ctx), s.goes.Close(ctx))
}
