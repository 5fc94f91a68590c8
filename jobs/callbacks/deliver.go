package callbacks

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace-dev/millrace/internal/safedial"
	"github.com/millrace-dev/millrace/internal/service"
	"github.com/millrace-dev/millrace/jobs/internal/alarm"
)

var (
	//go:embed sql/claim.sql
	claimSQL string
	//go:embed sql/next.sql
	nextSQL string
	//go:embed sql/record.sql
	recordSQL string
	//go:embed sql/expire.sql
	expireSQL string
)

const (
	slots        = 64 // deliveries of this node under way
	perHost      = 4  // of them to one host
	poll         = 5 * time.Second
	queryTimeout = 10 * time.Second // of one statement
	expireEvery  = 10 * time.Minute
)

// deliverer sends callbacks, as doc.go says.
type deliverer struct {
	service.Base
	alarm.Alarm

	pool     *pgxpool.Pool
	policy   safedial.Policy
	client   *http.Client
	log      *slog.Logger
	attempts *prometheus.CounterVec

	mu   sync.Mutex
	busy map[string]int // deliveries under way, by host
	n    int
}

func newDeliverer(pool *pgxpool.Pool, policy safedial.Policy, attempts *prometheus.CounterVec, log *slog.Logger) *deliverer {
	return &deliverer{
		Alarm: alarm.New(), pool: pool, policy: policy, client: policy.Client(attemptTimeout), attempts: attempts, log: log,
		busy: make(map[string]int),
	}
}

// Start begins to deliver.
func (d *deliverer) Start(ctx context.Context) error {
	if _, err := d.Begin(ctx); err != nil {
		return err //nolint:wrapcheck // the service group names the part
	}

	d.Go(d.loop)
	d.Go(d.expire)

	return nil
}

func (d *deliverer) loop(ctx context.Context) {
	defer d.client.CloseIdleConnections()

	for failing := false; ; {
		d.Looking()

		wait, err := d.step(ctx)
		if err != nil {
			if !failing && ctx.Err() == nil {
				d.log.WarnContext(ctx, "callbacks: they cannot be read", "err", err)
			}

			wait = poll
		}

		failing = err != nil

		if wait > 0 && !d.Sleep(ctx, wait) || ctx.Err() != nil {
			return
		}
	}
}

// step begins what is due and there is room for, and returns how long to wait: 0 when there may be more.
func (d *deliverer) step(ctx context.Context) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()

	free, busy, full := d.room()
	if free == 0 {
		return poll, nil // whoever ends wakes the loop
	}

	due, err := d.claim(ctx, free, busy)
	if err != nil {
		return 0, err
	}

	if len(due) > 0 {
		return 0, d.begin(ctx, due)
	}

	var seconds *float64
	if err := d.pool.QueryRow(ctx, nextSQL, full).Scan(&seconds); err != nil {
		return 0, fmt.Errorf("look for the next callback: %w", err)
	}

	if seconds == nil {
		return poll, nil
	}

	return max(alarm.Gap, min(poll, time.Duration(*seconds*float64(time.Second)))), nil
}

// room is how many deliveries can begin, how many are under way by host, and the hosts that have no room.
func (d *deliverer) room() (free int, busy []byte, full []string) {
	d.mu.Lock()
	defer d.mu.Unlock()

	busy, _ = json.Marshal(d.busy) //nolint:errchkjson // numbers
	full = make([]string, 0)

	for host, n := range d.busy {
		if n >= perHost {
			full = append(full, host)
		}
	}

	return slots - d.n, busy, full
}

func (d *deliverer) claim(ctx context.Context, limit int, busy []byte) ([]*delivering, error) {
	rows, err := d.pool.Query(ctx, claimSQL, limit, perHost, busy)
	if err != nil {
		return nil, fmt.Errorf("claim callbacks: %w", err)
	}

	due, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (*delivering, error) {
		var (
			one  delivering
			left float64
		)

		err := row.Scan(&one.id, &one.messageID, &one.jobID, &one.function, &one.event, &one.url, &one.host, &one.body,
			&one.attempt, &left)
		one.left = time.Duration(left * float64(time.Second))

		return &one, err
	})
	if err != nil {
		return nil, fmt.Errorf("claim callbacks: %w", err)
	}

	return due, nil
}

// begin sends each delivery in a goroutine of its own. What is claimed and cannot begin is due again in a minute.
func (d *deliverer) begin(ctx context.Context, due []*delivering) error {
	secrets, err := readSecrets(ctx, d.pool)
	if err != nil {
		return err
	}

	for _, one := range due {
		d.hold(one.host, 1)

		if !d.Go(func(ctx context.Context) { d.deliver(ctx, one, secrets) }) {
			d.hold(one.host, -1)
		}
	}

	return nil
}

func (d *deliverer) hold(host string, n int) {
	d.mu.Lock()
	defer d.mu.Unlock()

	d.n += n
	if d.busy[host] += n; d.busy[host] == 0 {
		delete(d.busy, host)
	}
}

func (d *deliverer) deliver(ctx context.Context, one *delivering, secrets []Secret) {
	defer d.Expect(0)
	defer d.hold(one.host, -1)

	result := one.send(ctx, d.client, d.policy, secrets)
	if ctx.Err() != nil && result.state != stateDelivered {
		result = delivered{state: statePending, err: "the instance stopped", wait: 0} // others go on with it
	}

	d.attempts.WithLabelValues(result.state).Inc()

	if result.state == stateFailed {
		d.log.WarnContext(ctx, "callbacks: one is given up", "job_id", one.jobID, "function", one.function,
			"attempt", one.attempt, "err", result.err)
	}

	// What was delivered shall be recorded although the node is stopping.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), queryTimeout)
	defer cancel()

	if _, err := d.pool.Exec(ctx, recordSQL, one.id, one.attempt, result.state, result.wait.Seconds(),
		result.status, result.err); err != nil {
		d.log.WarnContext(ctx, "callbacks: what became of one is not recorded; it is sent again in a minute",
			"job_id", one.jobID, "function", one.function, "err", err)
	}
}

// expire deletes what was done with long ago.
func (d *deliverer) expire(ctx context.Context) {
	for {
		for {
			tag, err := d.pool.Exec(ctx, expireSQL)
			if err != nil || tag.RowsAffected() < 1000 {
				break // what stays goes the next time
			}
		}

		select {
		case <-ctx.Done():
			return
		case <-time.After(expireEvery):
		}
	}
}
