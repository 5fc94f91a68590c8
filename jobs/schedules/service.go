package schedules

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace-dev/millrace/internal/postgres"
	"github.com/millrace-dev/millrace/jobs"
)

// hintChannel is the NOTIFY channel of this package: its payload says nothing, schedules changed.
const hintChannel = "millrace_schedules"

// Config is what New needs. Pool and Jobs are required; the other fields' zero values are the documented defaults.
type Config struct {
	Pool *pgxpool.Pool
	// Jobs checks what the schedules submit, and knows the functions.
	Jobs *jobs.Service
	// Listener brings the hints of changes. Without one they may stay unseen for two seconds. It is started by the caller,
	// after New.
	Listener *postgres.Listener
	// Metrics gets the service's Prometheus metrics; nil means that nobody sees them.
	Metrics prometheus.Registerer
	// Logger defaults to silence.
	Logger *slog.Logger
}

// Service keeps schedules and fires them. Make one with New. What is not started fires nothing, and keeps
// schedules all the same.
type Service struct {
	pool      *pgxpool.Pool
	jobs      *jobs.Service
	scheduler *scheduler
}

// New makes a service from a configuration. It registers with cfg.Listener, which must not have been started.
func New(cfg Config) (*Service, error) {
	if cfg.Pool == nil || cfg.Jobs == nil {
		return nil, errors.New("schedules configuration: pool and jobs are required")
	}

	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}

	meters := newMeters()

	if cfg.Metrics != nil {
		if err := errors.Join(cfg.Metrics.Register(meters.fired), cfg.Metrics.Register(meters.late)); err != nil {
			return nil, fmt.Errorf("register the metrics of schedules: %w", err)
		}
	}

	s := &Service{pool: cfg.Pool, jobs: cfg.Jobs, scheduler: newScheduler(cfg.Pool, cfg.Jobs.Prepare, meters, cfg.Logger)}

	if cfg.Listener != nil {
		cfg.Listener.Handle(hintChannel, func(string) { s.scheduler.Expect(0) }, nil)
	}

	return s, nil
}

// Start begins to fire.
func (s *Service) Start(ctx context.Context) error { return s.scheduler.Start(ctx) }

// Stop ends after the transaction that is under way; other nodes fire what is due.
func (s *Service) Stop(ctx context.Context) error { return s.scheduler.Stop(ctx) }
