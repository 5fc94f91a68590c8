package jobs

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river/rivertype"

	"github.com/millrace-dev/millrace/internal/service"
	"github.com/millrace-dev/millrace/jobs/steps"
)

var (
	//go:embed sql/rescue.sql
	rescueSQL string
	//go:embed sql/own_running.sql
	ownRunningSQL string
	//go:embed sql/node_forget.sql
	nodeForgetSQL string
)

const (
	sweepEvery   = 2 * time.Second
	sweepTimeout = 10 * time.Second
	rescueBatch  = 500
	forgetEvery  = 10 * time.Minute
)

// sweeper looks for attempts that nobody works on any more. With heartbeats each two seconds and a lease of ten,
// the jobs of a dead node run again within fifteen.
type sweeper struct {
	service.Base

	pool     *pgxpool.Pool
	client   string
	lease    *lease
	attempts *attempts
	log      *slog.Logger
	every    time.Duration
	meters   *meters
	observe  observer
	steps    *steps.Store
}

func newSweeper(cfg *Config, l *lease, held *attempts) *sweeper {
	return &sweeper{
		pool: cfg.Pool, steps: steps.New(cfg.Pool), client: cfg.NodeID, lease: l, attempts: held, log: cfg.Logger, every: sweepEvery,
	}
}

// Start begins to sweep, the first time at once: a node that starts after a crash finds what the crash left.
func (s *sweeper) Start(ctx context.Context) error {
	if _, err := s.Begin(ctx); err != nil {
		return err //nolint:wrapcheck // the service group names the part
	}

	s.Go(s.loop)

	return nil
}

func (s *sweeper) loop(ctx context.Context) {
	forgot := time.Now()

	for failing := false; ; {
		err := s.sweep(ctx)
		if err != nil && !failing && ctx.Err() == nil {
			s.log.WarnContext(ctx, "jobs: looking for lost attempts fails", "err", err)
		}

		failing = err != nil

		if time.Since(forgot) > forgetEvery && !failing {
			_, _ = s.pool.Exec(ctx, nodeForgetSQL) // the next time will do as well
			_, _ = s.pool.Exec(ctx, limitsForgetSQL)
			_ = s.steps.Expire(ctx, eventsFor)
			forgot = time.Now()
		}

		select {
		case <-ctx.Done():
			return
		case <-time.After(s.every*9/10 + rand.N(s.every/10)): //nolint:gosec // jitter
		}
	}
}

func (s *sweeper) sweep(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, sweepTimeout)
	defer cancel()

	lost, err := s.reconcile(ctx)
	if err != nil || !s.lease.mayRescue() {
		return err
	}

	for {
		n, err := s.rescue(ctx, lost)
		if err != nil || n < rescueBatch {
			return err
		}
	}
}

// reconcile holds this node's memory against the rows. An attempt whose row is not its own any more is stopped. A
// cancellation whose hint was lost is carried out. What it returns are rows claimed for this node that it has no
// part in, because the claim's answer was lost or River dropped the job: nobody else would ever free them, since
// the node is alive.
func (s *sweeper) reconcile(ctx context.Context) (lost []int64, err error) {
	before := slices.DeleteFunc(s.attempts.all(), s.forget)

	rows, err := s.pool.Query(ctx, ownRunningSQL, s.client)
	if err != nil {
		return nil, fmt.Errorf("read this node's running jobs: %w", err)
	}

	var (
		key       attemptKey
		cancelled bool
		old       bool
		seen      = make(map[attemptKey]struct{}, len(before))
	)

	_, err = pgx.ForEachRow(rows, []any{&key.id, &key.number, &cancelled, &old}, func() error {
		seen[key] = struct{}{}

		a := s.attempts.get(key.id, key.number)

		switch {
		case a == nil && old:
			lost = append(lost, key.id)
		case a != nil && cancelled:
			a.stop(errCancelled)
		}

		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read this node's running jobs: %w", err)
	}

	for _, a := range before {
		if _, ended := a.status(); ended {
			continue
		}

		if _, ok := seen[attemptKey{a.id, a.number}]; !ok {
			a.stop(errSuperseded)
		}
	}

	return lost, nil
}

// forget lets go of an attempt that River had for so long without beginning it that it never will.
func (s *sweeper) forget(a *attempt) bool {
	begun, _ := a.status()
	if begun || time.Since(a.claimed) < leaseFor {
		return false
	}

	s.attempts.remove(a)

	return true
}

// rescue frees one batch of lost attempts and returns how many there were.
func (s *sweeper) rescue(ctx context.Context, own []int64) (int, error) {
	failure, _ := json.Marshal(lostFailure()) //nolint:errchkjson // strings and a bool

	type rescued struct {
		id       int64
		attempt  int
		function string
		queue    string
		state    string
	}

	var list []rescued

	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, rescueSQL, rescueBatch, string(failure), s.client, own)
		if err != nil {
			return err //nolint:wrapcheck // below
		}

		list, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (r rescued, err error) {
			err = row.Scan(&r.id, &r.attempt, &r.function, &r.queue, &r.state)

			return r, err
		})
		if err != nil || len(list) == 0 {
			return err //nolint:wrapcheck // below
		}

		hints := make([]hint, len(list))
		queues := make(map[string]struct{})

		for i, r := range list {
			hints[i] = stateHint(r.id, stateOf(rivertype.JobState(r.state)), r.attempt, r.function)
			queues[r.queue] = struct{}{}
		}

		return notify(ctx, tx, hints, slices.Sorted(maps.Keys(queues)))
	})
	if err != nil {
		return 0, fmt.Errorf("free lost attempts: %w", err)
	}

	for _, r := range list {
		s.meters.rescue(stateOf(rivertype.JobState(r.state)))
		s.observe.lost(r.function, r.id, rivertype.JobState(r.state))
	}

	if len(list) > 0 {
		s.log.WarnContext(ctx, "jobs: attempts of lost nodes run again", "count", len(list), "job_id", list[0].id)
	}

	return len(list), nil
}

// notify sends hints, and River's insert notification for the queues, with the transaction.
func notify(ctx context.Context, tx pgx.Tx, hints []hint, queues []string) error {
	if _, err := tx.Exec(ctx, notifyHintsSQL, packHints(hints)); err != nil {
		return fmt.Errorf("send hints: %w", err)
	}

	if _, err := tx.Exec(ctx, notifyInsertSQL, queues); err != nil {
		return fmt.Errorf("wake the queues: %w", err)
	}

	return nil
}
