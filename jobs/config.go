package jobs

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace-dev/millrace/internal/postgres"
	"github.com/millrace-dev/millrace/internal/safedial"
	"github.com/millrace-dev/millrace/internal/telemetry"
)

// Config is what New needs. Pool and NodeID are required, Executor and Listener as said; the other fields'
// zero values are the documented defaults.
type Config struct {
	Pool *pgxpool.Pool

	// Listener brings the hints of other nodes. Without one, waiters, watchers and cancellations depend on
	// polls alone and take some seconds. It is started and stopped by the caller: after New, and after Stop.
	Listener *postgres.Listener

	// ListenPool is for River's own listening, where Pool leads through a proxy that pools transactions; nil means
	// Pool. With a Listener that polls, River listens to nothing and polls too.
	ListenPool *pgxpool.Pool

	// Executor runs the functions. Required: submissions ask it for a function's settings too.
	Executor Executor

	// NodeID tells this process from every other one, the earlier ones of this program included: it is half of
	// the fence. At most 100 letters, digits and the like.
	NodeID string
	// NodeName is what people see; empty means NodeID.
	NodeName string

	// Queues are the queues that this node works on, with the number of jobs that it runs at once from each.
	// Empty means {"default": 100}.
	Queues map[string]int

	// MaxInput bounds a job's input, in bytes of JSON; 0 means DefaultMaxInput.
	MaxInput int

	// Retention is how long finished jobs are kept whose function does not say it itself: for a day when they completed,
	// seven days when they were cancelled and thirty when they failed.
	Retention Retention

	// Deliver takes what watchers of a channel on this node shall see. nil: nobody watches.
	Deliver func(channel string, data []byte)

	// Ended is told of each attempt whose outcome this node has recorded. It is called where outcomes are recorded and must
	// not block. nil: nobody wants to know.
	Ended func(*AttemptEnd)
	// Callbacks says where callbacks may go; the zero value means https to public addresses.
	Callbacks safedial.Policy

	// Metrics gets the service's Prometheus metrics; nil means that none are kept.
	Metrics prometheus.Registerer

	// Tracer makes spans of submissions and attempts; nil makes none.
	Tracer *telemetry.Tracer

	// Logger defaults to silence.
	Logger *slog.Logger

	// StockDriver claims and completes jobs with River's own statements. It exists to tell a fault of ours from
	// one of River's: completions are then not fenced, seen a quarter of a second late, and slower; claims sort all
	// that waits in their queue, and know no limits, no pauses and no ageing of priorities.
	StockDriver bool

	// InsertOnly makes a service that submits, reads and watches jobs, but runs none.
	InsertOnly bool
}

const (
	defaultSlots = 100
	maxSlots     = 10_000 // River's limit
	maxNodeID    = 100    // River's limit
)

// withDefaults returns a copy with all defaults in place, or everything that is wrong with c.
func (c Config) withDefaults() (Config, error) {
	if c.NodeName == "" {
		c.NodeName = c.NodeID
	}

	if c.ListenPool == nil {
		c.ListenPool = c.Pool
	}

	if c.MaxInput == 0 {
		c.MaxInput = DefaultMaxInput
	}

	if c.Deliver == nil {
		c.Deliver = func(string, []byte) {}
	}

	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}

	if len(c.Queues) == 0 {
		c.Queues = map[string]int{DefaultQueue: defaultSlots}
	}

	return c, c.validate()
}

func (c Config) validate() error {
	var errs []error

	if c.Pool == nil {
		errs = append(errs, errors.New("pool is missing"))
	}

	if c.Executor == nil {
		errs = append(errs, errors.New("executor is missing"))
	}

	if c.NodeID == "" || len(c.NodeID) > maxNodeID {
		errs = append(errs, fmt.Errorf("node id must have 1 to %d bytes", maxNodeID))
	}

	if c.MaxInput < 0 {
		errs = append(errs, errors.New("max input must not be negative"))
	}

	for _, queue := range slices.Sorted(maps.Keys(c.Queues)) {
		if slots := c.Queues[queue]; slots < 1 || slots > maxSlots {
			errs = append(errs, fmt.Errorf("queue %q: slots must be 1 to %d", queue, maxSlots))
		}
	}

	if err := c.Retention.Validate(); err != nil {
		errs = append(errs, err)
	}

	if len(errs) > 0 {
		return fmt.Errorf("jobs configuration: %w", errors.Join(errs...))
	}

	return nil
}
