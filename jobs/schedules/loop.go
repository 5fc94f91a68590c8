package schedules

import (
	"context"
	_ "embed"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/millrace-dev/millrace/internal/postgres"
	"github.com/millrace-dev/millrace/internal/service"
	"github.com/millrace-dev/millrace/jobs"
	"github.com/millrace-dev/millrace/jobs/internal/alarm"
)

//go:embed sql/next_due.sql
var nextDueSQL string

const (
	// poll is how long a change of the schedules may stay unseen whose hint was lost.
	poll = 2 * time.Second
	// retry is when a node looks again after a first failure, such as a lost connection; then it is poll.
	retry = 100 * time.Millisecond
	// claimBatch is how many schedules one transaction claims. Nodes that wake at the same time share what is due.
	claimBatch  = 100
	stepTimeout = 10 * time.Second // of one batch
	// foreignFor is how long a node leaves a schedule alone whose function it does not know, so that others, which may
	// have it in their program, come first. Who comes after lateGrace counts the tick as missed.
	foreignFor = time.Second
)

// scheduler fires the schedules: it sleeps until the next one is due.
type scheduler struct {
	service.Base
	alarm.Alarm

	pool    *pgxpool.Pool
	log     *slog.Logger
	prepare func(context.Context, *jobs.Submission) (*jobs.Prepared, error)
	meters  *meters

	foreign map[string]time.Time // the loop's own: schedules to be left alone, until when
}

func newScheduler(pool *pgxpool.Pool, prepare func(context.Context, *jobs.Submission) (*jobs.Prepared, error), m *meters, log *slog.Logger) *scheduler {
	return &scheduler{Alarm: alarm.New(), pool: pool, log: log, prepare: prepare, meters: m, foreign: make(map[string]time.Time)}
}

// Start begins to fire.
func (s *scheduler) Start(ctx context.Context) error {
	if _, err := s.Begin(ctx); err != nil {
		return err //nolint:wrapcheck // the service group names the part
	}

	s.Go(s.loop)

	return nil
}

func (s *scheduler) loop(ctx context.Context) {
	for failing := false; ; {
		s.Looking()

		wait, err := s.run(ctx)
		switch {
		case err != nil && !failing && ctx.Err() == nil:
			s.log.WarnContext(ctx, "schedules: they cannot be fired", "err", err)

			wait = retry
		case err != nil:
			wait = poll
		}

		failing = err != nil

		if !s.Sleep(ctx, wait) {
			return
		}
	}
}

// run fires all that is due, however much that is, and returns how long to wait.
func (s *scheduler) run(ctx context.Context) (time.Duration, error) {
	for {
		if wait, err := s.step(ctx); wait > 0 || err != nil {
			return wait, err
		}
	}
}

// step fires one batch and returns 0, or how long to wait when there is nothing to fire.
func (s *scheduler) step(ctx context.Context) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()

	var due *float64
	if err := s.pool.QueryRow(ctx, nextDueSQL, s.foreigners()).Scan(&due); err != nil {
		return 0, fmt.Errorf("look for the next schedule: %w", err)
	}

	most := poll
	if len(s.foreign) > 0 {
		most = foreignFor
	}

	if due == nil {
		return most, nil
	}

	if wait := time.Duration(*due * float64(time.Millisecond)); wait > 0 {
		return min(wait, most), nil
	}

	n, err := s.fire(ctx)
	if err == nil && n == 0 {
		return alarm.Gap, nil // others hold them
	}

	return 0, err
}

// foreigners lists the schedules that this node leaves to others now.
func (s *scheduler) foreigners() []string {
	names := make([]string, 0, len(s.foreign))

	for name, until := range s.foreign {
		if time.Now().After(until) {
			delete(s.foreign, name)
		} else {
			names = append(names, name)
		}
	}

	slices.Sort(names)

	return names
}

// fire fires one batch and returns the number of schedules in it. When Postgres refuses what one of them says, each is
// tried alone, and that one's ticks are missed.
func (s *scheduler) fire(ctx context.Context) (int, error) {
	n, err := s.firing(ctx, claimBatch, nil)
	if err == nil || !postgres.RefusesData(err) {
		return n, err
	}

	for n = range claimBatch {
		var one int

		one, err = s.firing(ctx, 1, nil)
		if err != nil && postgres.RefusesData(err) {
			one, err = s.firing(ctx, 1, err)
		}

		if one == 0 || err != nil {
			return n, err
		}
	}

	return n, nil
}
