package realtime

import (
	"context"
	_ "embed" // the statements
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/millrace-dev/millrace/internal/service"
)

var (
	//go:embed sql/presence_heartbeat.sql
	sqlPresenceHeartbeat string
	//go:embed sql/presence_goodbye.sql
	sqlPresenceGoodbye string
)

const (
	leaseHeartbeat = 2 * time.Second
	// leaseLasts is how long a hub may be silent before others take it for gone. A hub that starts just before that
	// waits as long again (see mayExpire), and notices at a heartbeat: that is below 15 s together.
	leaseLasts   = 6 * time.Second
	leaseTimeout = 4 * time.Second
)

// lease is a hub's row in millrace.hub, by which the others know that it is alive. It is the hub's own, and no
// business of the jobs service: a hub serves connections where no job runs, and after the last one was drained.
//
//	            heartbeat: the same row, the same count
//	                 +------+
//	                 v      |
//	unregistered -> standing -> (silent for 6 s) -> others delete its members, and count expirations up
//	                 ^   |                                             |
//	                 |   +-- crash of Postgres: the row is gone        |
//	                 +-------- writes its members again <--------------+
//
// A lease has a random id for each start of a hub, so a node that was killed and comes back is another one.
type lease struct {
	service.Base

	pool         *pgxpool.Pool
	log          *slog.Logger
	id           int64
	node         string
	every, lasts time.Duration
	// changed is told that the hub's members are not in the table any more, and whether they were expired, which
	// their channels were told of, or lost.
	changed func(expired bool)
	// tick is called after every heartbeat, and must not block.
	tick func()

	beating  sync.Mutex // held by who renews, so that each change is found once
	mu       sync.Mutex
	standing standing
	beatAt   time.Time // when the last heartbeat that succeeded was sent
	resumed  time.Time // when heartbeats began, or came back after a gap
}

// standing is what a lease's row says about the members under it.
type standing struct {
	registered  time.Time
	expirations int
}

func (s standing) equal(other standing) bool {
	return s.expirations == other.expirations && s.registered.Equal(other.registered)
}

func newLease(pool *pgxpool.Pool, node string, log *slog.Logger) *lease {
	return &lease{
		pool: pool, log: log, id: rand.Int64(), node: node, //nolint:gosec // told apart, not kept secret
		every: leaseHeartbeat, lasts: leaseLasts,
	}
}

// Start registers the hub.
func (l *lease) Start(ctx context.Context) error {
	if _, err := l.Begin(ctx); err != nil {
		return fmt.Errorf("start the lease: %w", err)
	}
	if err := l.beat(ctx); err != nil {
		return err
	}
	l.Go(l.run)
	return nil
}

// Stop gives the lease up.
func (l *lease) Stop(ctx context.Context) error {
	registered := l.Running()
	if err := l.Base.Stop(ctx); err != nil || !registered {
		return err //nolint:wrapcheck // the caller's own context
	}
	ctx, cancel := context.WithTimeout(ctx, leaseTimeout)
	defer cancel()
	if _, err := l.pool.Exec(ctx, sqlPresenceGoodbye, l.id); err != nil {
		// It ends by itself.
		l.log.Warn("realtime: the lease could not be given up", "err", err)
	}
	return nil
}

func (l *lease) run(ctx context.Context) {
	const jitter = 10
	for failing := false; ; {
		select {
		case <-ctx.Done():
			return
		case <-time.After(l.every - rand.N(l.every/jitter)): //nolint:gosec // jitter
		}
		err := l.beat(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && !failing:
			l.log.Warn("realtime: the node's heartbeat fails", "err", err)
		case err == nil && failing:
			l.log.Info("realtime: the node's heartbeat is back")
		}
		failing = err != nil
		l.tick()
	}
}

// beat renews the lease, and tells of what became of it before anybody writes under it.
func (l *lease) beat(ctx context.Context) error {
	l.beating.Lock()
	defer l.beating.Unlock()
	ctx, cancel := context.WithTimeout(ctx, leaseTimeout)
	defer cancel()
	sent := time.Now()
	var now standing
	if err := l.pool.QueryRow(ctx, sqlPresenceHeartbeat, l.id, l.node).Scan(&now.registered, &now.expirations); err != nil {
		return fmt.Errorf("renew the lease of node %s: %w", l.node, err)
	}
	if before := l.standing; before != (standing{}) && !before.equal(now) {
		l.changed(before.registered.Equal(now.registered))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if time.Since(l.beatAt) >= l.lasts {
		l.resumed = time.Now()
	}
	l.beatAt, l.standing = sent, now
	return nil
}

// stands says whether the row is as the hub knows it.
func (l *lease) stands(row standing) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.standing.equal(row)
}

// mayExpire says whether this hub may take others for gone. After a gap in its own heartbeats, most likely since
// Postgres was away for everybody, it first gives them the time to come back.
func (l *lease) mayExpire() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Since(l.beatAt) < l.lasts && time.Since(l.resumed) > l.lasts
}
