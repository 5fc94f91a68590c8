package jobs

import (
	"context"
	_ "embed"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

//go:embed sql/claim_lanes.sql
var claimLanesSQL string

const (
	// laneLooks is how many lanes one statement looks at, and laneStatements how many of them one claim sends.
	laneLooks      = 256
	laneStatements = 4

	// laneProbe is how long the first job in a lane may stay unseen while plain jobs keep its queue busy.
	laneProbe = 50 * time.Millisecond

	// contendedGap is when a lane is looked at again that another node was just taking from, and roundGap when the
	// rest of a round is that one claim could not get through.
	contendedGap = 5 * time.Millisecond
	roundGap     = 20 * time.Millisecond
)

// laneRound is where this node stands in going round the lanes of a queue. It is a memory of no consequence: which
// lanes there are, and who may run, is in the rows.
type laneRound struct {
	queue string

	mu         sync.Mutex
	active     bool      // there were lanes when they were looked at last
	looked     time.Time // when that was
	full       bool      // the plain queue had more than was claimed last
	turn       bool      // whose turn it is to go first
	kind, lane string    // the last lane that was looked at
	lanes      int       // how many there were
}

// lanesFirst reports whether the lanes go before the plain queue this time.
func (r *laneRound) lanesFirst() bool {
	r.mu.Lock()
	defer r.mu.Unlock()

	r.turn = !r.turn

	return r.turn && (r.active || r.full && time.Since(r.looked) > laneProbe)
}

func (r *laneRound) hasLanes() bool {
	r.mu.Lock()
	defer r.mu.Unlock()

	return r.active
}

// claimed notes what the plain claim saw.
func (r *laneRound) claimed(lanes, full bool) {
	r.mu.Lock()
	defer r.mu.Unlock()

	r.active, r.full = r.active || lanes, full
}

// laneLook is what a look at the lanes found beside jobs.
type laneLook struct {
	kind, lane         string
	lanes              int
	circled, contended bool
	due                *float64 // milliseconds
}

// lanes goes on round the lanes of a queue. Each gets the same share of the limit; what some of them leave is shared
// again.
func (c *claimer) lanes(ctx context.Context, r *laneRound, limit int) ([]*attempt, error) {
	r.mu.Lock()
	defer r.mu.Unlock()

	var (
		claims []*attempt
		active bool
		whole  bool // a look went all the way round
	)

	for range laneStatements {
		left := limit - len(claims)
		share := max(1, left/max(r.lanes, 1))

		more, look, err := c.look(ctx, r, left, share)
		if err != nil && len(claims) == 0 {
			return nil, err
		}

		claims = append(claims, more...)
		active = active || look.lanes > 0
		whole = whole || look.circled
		r.lanes = look.lanes

		if err != nil || len(claims) == limit || look.circled && (len(more) == 0 || share == left) {
			break // what is claimed has to run, also after an error, which the next claim will meet again
		}
	}

	if !whole && len(claims) < limit {
		c.waker.wakeAfter(r.queue, roundGap)
	}

	r.active, r.looked = active, time.Now()

	return claims, nil
}

// look sends one statement, moves the round to where it ended, and sees to it that the queue is claimed from again
// when a lane that it could not take from is ready.
func (c *claimer) look(ctx context.Context, r *laneRound, limit, share int) ([]*attempt, laneLook, error) {
	var (
		look   laneLook
		claims []*attempt
		now    = time.Now()
	)

	rows, err := c.pool.Query(ctx, claimLanesSQL, r.queue, limit, c.client, r.kind, r.lane, share, laneLooks)
	if err != nil {
		return nil, look, fmt.Errorf("claim limited jobs of queue %s: %w", r.queue, err)
	}

	claims, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (*attempt, error) {
		a := &attempt{queue: r.queue, claimed: now, limited: true}
		err := a.scanLimited(row, &look)

		return a, err
	})
	if err != nil {
		return nil, laneLook{}, fmt.Errorf("claim limited jobs of queue %s: %w", r.queue, err)
	}

	claims = claims[:len(claims)-1] // the last row is the look's own
	c.attempts.add(claims)
	r.kind, r.lane = look.kind, look.lane

	if look.contended {
		c.waker.wakeAfter(r.queue, contendedGap)
	}

	if look.due != nil {
		c.waker.wakeAfter(r.queue, time.Duration(*look.due*float64(time.Millisecond)))
	}

	return claims, look, nil
}

// scanLimited reads a row of millrace.claim_lanes: a job, or what it found beside jobs.
func (a *attempt) scanLimited(row pgx.CollectableRow, look *laneLook) error {
	var (
		id                  *int64
		number, most, lanes *int
		run                 *string
		circled, locked     *bool
		waited, due         *float64
	)

	err := row.Scan(&id, &number, &most, &a.function, (*[]byte)(&a.input), &run, &waited, &look.lane,
		&lanes, &circled, &locked, &due)
	if err != nil {
		return err //nolint:wrapcheck // look says what was being done
	}

	if id == nil {
		look.kind, look.lanes, look.circled, look.contended, look.due = a.function, *lanes, *circled, *locked, due

		return nil
	}

	a.id, a.number, a.max, a.run = *id, *number, *most, parseRun(run)
	a.waited = time.Duration(*waited * float64(time.Second))

	return nil
}
