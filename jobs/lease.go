package jobs

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/millrace-dev/millrace/internal/service"
)

//go:embed sql/heartbeat.sql
var heartbeatSQL string

const (
	heartbeatEvery   = 2 * time.Second
	heartbeatTimeout = 4 * time.Second
	heartbeatRetry   = 500 * time.Millisecond

	// leaseFor is how long a node may be silent before others take its jobs. It stands in rescue.sql and
	// own_running.sql too.
	leaseFor = 10 * time.Second
)

// lease keeps this node's row in millrace.node alive, on a connection of its own, so that a pool that ran dry
// does not make a living node look dead.
type lease struct {
	service.Base

	pool  *pgxpool.Pool
	id    string
	name  string
	info  func() nodeInfo
	log   *slog.Logger
	every time.Duration

	conn *pgx.Conn // of the loop alone once it runs

	mu       sync.Mutex
	beatAt   time.Time // when the last heartbeat that succeeded was sent
	resumed  time.Time // when heartbeats came back after a gap, or Postgres had just started; zero if neither
	draining bool
	poke     chan struct{}
}

// nodeInfo is what a node tells of itself in its row.
type nodeInfo struct {
	Queues  map[string]int `json:"queues"`  // slots
	Running int            `json:"running"` // attempts that it holds
}

func newLease(cfg *Config, info func() nodeInfo) *lease {
	return &lease{
		pool: cfg.Pool, id: cfg.NodeID, name: cfg.NodeName, info: info, log: cfg.Logger,
		every: heartbeatEvery, poke: make(chan struct{}, 1),
	}
}

// Start registers the node before anything is claimed in its name.
func (l *lease) Start(ctx context.Context) error {
	if _, err := l.Begin(ctx); err != nil {
		return err //nolint:wrapcheck // the service group names the part
	}

	if err := l.beat(ctx); err != nil {
		return err
	}

	if err := l.spare(ctx); err != nil {
		return err
	}

	l.Go(l.loop)

	return nil
}

// Stop takes the node's row away, after the last heartbeat. Whatever is still running in its name is then free for
// others at once.
func (l *lease) Stop(ctx context.Context) error {
	err := l.Base.Stop(ctx)
	if err != nil {
		return err //nolint:wrapcheck // the caller's own context
	}

	l.mu.Lock()
	registered := !l.beatAt.IsZero()
	l.mu.Unlock()

	if !registered {
		return nil
	}

	ctx, cancel := context.WithTimeout(ctx, heartbeatTimeout)
	defer cancel()

	if err = l.remove(ctx); err != nil && ctx.Err() == nil {
		err = l.remove(ctx) // the connection had died between two heartbeats
	}

	return err
}

func (l *lease) remove(ctx context.Context) error {
	if err := l.connect(ctx); err != nil {
		return err
	}

	defer l.disconnect()

	if _, err := l.conn.Exec(ctx, "delete from millrace.node where id = $1", l.id); err != nil {
		return fmt.Errorf("remove node %s: %w", l.id, err)
	}

	return nil
}

// mayClaim reports whether jobs may be claimed in this node's name: it is not draining, and others still take it for
// alive, counted from the moment at which the last successful heartbeat was sent, on this machine's monotonic clock.
func (l *lease) mayClaim() bool {
	l.mu.Lock()
	defer l.mu.Unlock()

	return !l.draining && time.Since(l.beatAt) < leaseFor
}

// mayRescue reports whether this node may take others for dead. After a gap in its own heartbeats, most likely an
// outage of Postgres for everybody, it first gives them the time to come back.
func (l *lease) mayRescue() bool {
	l.mu.Lock()
	defer l.mu.Unlock()

	return time.Since(l.beatAt) < leaseFor && time.Since(l.resumed) > leaseFor
}

// drain marks the node as one that takes no more jobs.
func (l *lease) drain() {
	l.mu.Lock()
	l.draining = true
	l.mu.Unlock()

	select {
	case l.poke <- struct{}{}:
	default:
	}
}

func (l *lease) loop(ctx context.Context) {
	wait := l.every

	for failing := false; ; {
		select {
		case <-ctx.Done():
			return
		case <-l.poke:
		case <-time.After(wait*9/10 + rand.N(wait/10)): //nolint:gosec // jitter
		}

		// A heartbeat cut off by Stop could reach Postgres behind the removal of the row.
		err := l.beat(context.WithoutCancel(ctx))

		switch {
		case ctx.Err() != nil:
			return
		case err != nil && !failing:
			l.log.WarnContext(ctx, "jobs: the node's heartbeat fails", "err", err)
		case err == nil && failing:
			l.log.InfoContext(ctx, "jobs: the node's heartbeat is back")
		}

		failing, wait = err != nil, l.every
		if failing {
			wait = heartbeatRetry
		}
	}
}

// beat renews the lease, connecting first where that is needed.
func (l *lease) beat(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, heartbeatTimeout)
	defer cancel()

	sent := time.Now()

	if err := l.connect(ctx); err != nil {
		return err
	}

	l.mu.Lock()
	draining := l.draining
	l.mu.Unlock()

	info, err := json.Marshal(l.info())
	if err != nil {
		return fmt.Errorf("describe node %s: %w", l.id, err)
	}

	if _, err := l.conn.Exec(ctx, heartbeatSQL, l.id, l.name, info, draining); err != nil {
		l.disconnect()

		return fmt.Errorf("renew the lease of node %s: %w", l.id, err)
	}

	l.mu.Lock()
	defer l.mu.Unlock()

	if !l.beatAt.IsZero() && time.Since(l.beatAt) >= leaseFor {
		l.resumed = time.Now()
	}

	l.beatAt = sent

	return nil
}

// spare gives the others the time to come back when Postgres has only just started: their leases ran out while it was
// away, and they live.
func (l *lease) spare(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, heartbeatTimeout)
	defer cancel()

	var young bool

	const age = "select pg_catalog.pg_postmaster_start_time() > pg_catalog.now() - pg_catalog.make_interval(secs => $1)"
	if err := l.conn.QueryRow(ctx, age, leaseFor.Seconds()).Scan(&young); err != nil {
		return fmt.Errorf("ask how long Postgres has been there: %w", err)
	}

	l.mu.Lock()
	defer l.mu.Unlock()

	if young {
		l.resumed = time.Now()
	}

	return nil
}

func (l *lease) connect(ctx context.Context) error {
	if l.conn != nil {
		return nil
	}

	conn, err := pgx.ConnectConfig(ctx, l.pool.Config().ConnConfig)
	if err != nil {
		return fmt.Errorf("connect for the lease of node %s: %w", l.id, err)
	}

	l.conn = conn

	return nil
}

// disconnect closes without the farewell that a dead connection would wait for.
func (l *lease) disconnect() {
	ctx, cancel := context.WithTimeout(context.Background(), heartbeatRetry)
	defer cancel()

	_ = l.conn.Close(ctx)
	l.conn = nil
}
