package callbacks

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace-dev/millrace/internal/postgres"
	"github.com/millrace-dev/millrace/internal/safedial"
)

// hintChannel is the NOTIFY channel of this package: its payload says nothing, something is to be delivered.
const hintChannel = "millrace_callbacks"

// Config is what New needs. Pool is required; the other fields' zero values are the documented defaults.
type Config struct {
	Pool *pgxpool.Pool
	// Listener brings the hints of what ended. Without one a callback waits up to five seconds for a poll. It is started
	// by the caller, after New.
	Listener *postgres.Listener
	// Policy says where callbacks may go; the zero value means https to public addresses. It should be what
	// jobs.Config says.
	Policy safedial.Policy
	// Metrics gets the service's Prometheus metrics; nil means that nobody sees them.
	Metrics prometheus.Registerer
	// Logger defaults to silence.
	Logger *slog.Logger
}

// Service delivers callbacks and tells what became of them. Make one with New. What is not started delivers nothing and
// answers all the same.
type Service struct {
	pool      *pgxpool.Pool
	deliverer *deliverer
}

// New makes a service from a configuration. It registers with cfg.Listener, which must not have been started.
func New(cfg Config) (*Service, error) {
	if cfg.Pool == nil {
		return nil, errors.New("callbacks configuration: pool is missing")
	}

	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}

	attempts := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "millrace_callbacks_attempts_total",
		Help: "Attempts of this instance to deliver callbacks: delivered, pending (will be tried again), failed (given up).",
	}, []string{"outcome"})

	if cfg.Metrics != nil {
		if err := cfg.Metrics.Register(attempts); err != nil {
			return nil, fmt.Errorf("register the metrics of callbacks: %w", err)
		}
	}

	s := &Service{pool: cfg.Pool, deliverer: newDeliverer(cfg.Pool, cfg.Policy, attempts, cfg.Logger)}

	if cfg.Listener != nil {
		cfg.Listener.Handle(hintChannel, func(string) { s.deliverer.Expect(0) }, nil)
	}

	return s, nil
}

// Start begins to deliver.
func (s *Service) Start(ctx context.Context) error { return s.deliverer.Start(ctx) }

// Stop ends the attempts that are under way; other nodes, or the next start, go on with them.
func (s *Service) Stop(ctx context.Context) error { return s.deliverer.Stop(ctx) }
