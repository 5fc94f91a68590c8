package schedules

import (
	"context"
	_ "embed"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

var (
	//go:embed sql/pause.sql
	pauseSQL string
	//go:embed sql/resume.sql
	resumeSQL string
)

// Delete removes a schedule. Its jobs stay. Errors: ErrNotFound, ErrOwned, those of guards.
func (s *Service) Delete(ctx context.Context, name string, guards ...Guard) error {
	_, err := s.edit(ctx, name, guards, func(tx pgx.Tx, found *Schedule) error {
		if found.Owner != "" {
			return ErrOwned
		}

		_, err := tx.Exec(ctx, `delete from millrace.schedule where name = $1`, name)

		return err
	})

	return err
}

// Pause keeps a schedule from ticking until it is resumed. Errors: ErrNotFound, those of guards.
func (s *Service) Pause(ctx context.Context, name string, guards ...Guard) (Schedule, error) {
	return s.edit(ctx, name, guards, func(tx pgx.Tx, found *Schedule) error {
		_, err := tx.Exec(ctx, pauseSQL, name)
		found.Paused, found.NextTick = true, nil

		return err
	})
}

// Resume lets a paused schedule tick again, from now on: the ticks of the pause were not missed.
//
// Errors: ErrNotFound, those of guards.
func (s *Service) Resume(ctx context.Context, name string, guards ...Guard) (Schedule, error) {
	return s.edit(ctx, name, guards, func(tx pgx.Tx, found *Schedule) error {
		if !found.Paused {
			return nil
		}

		var now time.Time
		if err := tx.QueryRow(ctx, nowSQL).Scan(&now); err != nil {
			return err
		}

		spec := found.Spec
		spec.Paused = false

		next, due, err := firstTick(found, &spec, found.anchor, now)
		if err != nil {
			return err
		}

		found.Paused, found.NextTick, found.Error = false, timeOrNull(next), ""
		_, err = tx.Exec(ctx, resumeSQL, name, timeOrNull(next), timeOrNull(due))

		return err
	})
}

// edit locks a schedule, lets edit change it and the copy that is returned, and tells every node.
func (s *Service) edit(
	ctx context.Context, name string, guards []Guard, edit func(tx pgx.Tx, found *Schedule) error,
) (Schedule, error) {
	var schedule Schedule

	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		found, err := lock(ctx, tx, name)
		if err != nil {
			return err
		}

		if err := found.ask(guards); err != nil {
			return err
		}

		if err := edit(tx, found); err != nil {
			return err
		}

		schedule = *found

		return hintAll(ctx, tx)
	})
	if err != nil {
		return Schedule{}, fmt.Errorf("schedule %.100s: %w", name, err)
	}

	s.expect()

	return schedule, nil
}
