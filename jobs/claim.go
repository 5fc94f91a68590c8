package jobs

import (
	"context"
	_ "embed"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

//go:embed sql/claim.sql
var claimSQL string

// claimTimeout bounds one claim. If Postgres commits it and the answer does not come back, the rows are running
// and in nobody's memory: the sweeper finds them (see sweeper.reconcile).
const claimTimeout = 5 * time.Second

// divertRounds bounds how often one claim goes on behind jobs that it put into lanes.
const divertRounds = 10

// claimer takes jobs for this node, out of the plain queue and out of the lanes of functions with limits.
type claimer struct {
	pool     *pgxpool.Pool
	client   string
	attempts *attempts // each claim is put there as soon as it is known: a cancellation may be on its way
	waker    *waker
	log      *slog.Logger

	mu     sync.Mutex
	rounds map[string]*laneRound
}

func newClaimer(pool *pgxpool.Pool, client string, held *attempts, waker *waker, log *slog.Logger) *claimer {
	return &claimer{
		pool: pool, client: client, attempts: held, waker: waker, log: log, rounds: make(map[string]*laneRound),
	}
}

// claim takes up to limit jobs of a queue. While there are both, the plain queue and the lanes go first in turn. A
// queue in which nobody has seen a lane is looked at when there is nothing else to claim, or every laneProbe while it
// is busy; no plain job waits for that look. What one of the two has brought is not lost when the other fails.
func (c *claimer) claim(ctx context.Context, queue string, limit int) ([]*attempt, error) {
	ctx, cancel := context.WithTimeout(ctx, claimTimeout)
	defer cancel()

	round := c.round(queue)
	first, second := c.plain, c.lanes

	if round.lanesFirst() {
		first, second = second, first
	}

	claims, err := first(ctx, round, limit)
	if err != nil || len(claims) == limit {
		return claims, err
	}

	if len(claims) > 0 && !round.hasLanes() {
		c.waker.wakeAfter(queue, laneProbe)

		return claims, nil
	}

	more, err := second(ctx, round, limit-len(claims))
	if err != nil && len(claims) > 0 {
		c.log.WarnContext(ctx, "jobs: a claim fell short", "queue", queue, "err", err)

		return claims, nil
	}

	return append(claims, more...), err
}

func (c *claimer) round(queue string) *laneRound {
	c.mu.Lock()
	defer c.mu.Unlock()

	round := c.rounds[queue]
	if round == nil {
		round = &laneRound{queue: queue}
		c.rounds[queue] = round
	}

	return round
}

// plain claims what is in no lane. Rows that the claim had to put into one leave room for others.
func (c *claimer) plain(ctx context.Context, round *laneRound, limit int) ([]*attempt, error) {
	var claims []*attempt

	for range divertRounds {
		more, diverted, err := claim(ctx, c.pool, round.queue, limit-len(claims), c.client)
		if err != nil && len(claims) == 0 {
			return nil, err
		}

		c.attempts.add(more)
		claims = append(claims, more...)
		round.claimed(diverted > 0, len(claims) == limit)

		if err != nil || diverted == 0 || len(claims) == limit {
			return claims, nil //nolint:nilerr // what is claimed has to run; the next claim meets the error again
		}
	}

	c.waker.wake(round.queue) // there are more of them

	return claims, nil
}

// claim takes up to limit jobs of a queue, in the order of their time plus an hour for each step of priority. It
// returns exactly limit of them when there are that many, counting those that it put into a lane instead: River asks
// again at once only then.
func claim(ctx context.Context, pool *pgxpool.Pool, queue string, limit int, client string) (_ []*attempt, diverted int, _ error) {
	rows, err := pool.Query(ctx, claimSQL, queue, limit, client)
	if err != nil {
		return nil, 0, fmt.Errorf("claim jobs of queue %s: %w", queue, err)
	}

	now := time.Now()

	claims, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (*attempt, error) {
		var (
			a       = &attempt{queue: queue, claimed: now}
			running bool
		)

		if err := a.scan(row, &running); err != nil || running {
			return a, err
		}

		diverted++

		return nil, nil //nolint:nilnil // taken out below
	})
	if err != nil {
		return nil, 0, fmt.Errorf("claim jobs of queue %s: %w", queue, err)
	}

	if diverted > 0 {
		claims = slices.DeleteFunc(claims, func(a *attempt) bool { return a == nil })
	}

	return claims, diverted, nil
}

// scan reads the columns that both claims return, and what follows them.
func (a *attempt) scan(row pgx.CollectableRow, more ...any) error {
	var (
		run    *string
		waited float64
	)

	targets := append([]any{&a.id, &a.number, &a.max, &a.function, (*[]byte)(&a.input), &run, &waited}, more...)
	err := row.Scan(targets...)
	a.run, a.waited = parseRun(run), time.Duration(waited*float64(time.Second))

	return err //nolint:wrapcheck // the claim says what was being done
}
