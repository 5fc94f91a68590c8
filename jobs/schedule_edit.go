package jobs

import (
	"context"
	_ "embed"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

var (
	//go:embed sql/schedule_pause.sql
	schedulePauseSQL string
	//go:embed sql/schedule_resume.sql
	scheduleResumeSQL string
)

// DeleteSchedule removes a schedule. Its jobs stay. Errors: ErrNoSchedule, ErrScheduleOwned, those of guards.
func (s *Service) DeleteSchedule(ctx context.Context, name string, guards ...Guard) error {
	_, err := s.editSchedule(ctx, name, guards, func(tx pgx.Tx, found *Schedule) error {
		if found.Owner != "" {
			return ErrScheduleOwned
		}

		_, err := tx.Exec(ctx, `delete from millrace.schedule where name = $1`, name)

		return err
	})

	return err
}

// PauseSchedule keeps a schedule from ticking until it is resumed. Errors: ErrNoSchedule, those of guards.
func (s *Service) PauseSchedule(ctx context.Context, name string, guards ...Guard) (Schedule, error) {
	return s.editSchedule(ctx, name, guards, func(tx pgx.Tx, found *Schedule) error {
		_, err := tx.Exec(ctx, schedulePauseSQL, name)
		found.Paused, found.NextTick = true, nil

		return err
	})
}

// ResumeSchedule lets a paused schedule tick again, from now on: the ticks of the pause were not missed.
//
// Errors: ErrNoSchedule, those of guards.
func (s *Service) ResumeSchedule(ctx context.Context, name string, guards ...Guard) (Schedule, error) {
	return s.editSchedule(ctx, name, guards, func(tx pgx.Tx, found *Schedule) error {
		if !found.Paused {
			return nil
		}

		var now time.Time
		if err := tx.QueryRow(ctx, scheduleNowSQL).Scan(&now); err != nil {
			return err
		}

		spec := found.ScheduleSpec
		spec.Paused = false

		next, due, err := firstTick(found, &spec, found.anchor, now)
		if err != nil {
			return err
		}

		found.Paused, found.NextTick, found.Error = false, timeOrNull(next), ""
		_, err = tx.Exec(ctx, scheduleResumeSQL, name, timeOrNull(next), timeOrNull(due))

		return err
	})
}

// editSchedule locks a schedule, lets edit change it and the copy that is returned, and tells every node.
func (s *Service) editSchedule(
	ctx context.Context, name string, guards []Guard, edit func(tx pgx.Tx, found *Schedule) error,
) (Schedule, error) {
	var schedule Schedule

	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		found, err := lockSchedule(ctx, tx, name)
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

		return hintSchedules(ctx, tx)
	})
	if err != nil {
		return Schedule{}, fmt.Errorf("schedule %.100s: %w", name, err)
	}

	s.expectSchedule()

	return schedule, nil
}
