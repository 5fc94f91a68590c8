package jobs

import (
	"context"
	_ "embed"
	"fmt"

	"github.com/jackc/pgx/v5"
)

//go:embed sql/schedule_ran.sql
var scheduleRanSQL string

// RunSchedule inserts a job as a tick would do, now, whether or not the schedule is paused and whatever its overlap
// policy says. The ticks stay what they are.
//
// Errors: ErrNoSchedule, ErrUnknownFunction, *ValidationError, those of guards.
func (s *Service) RunSchedule(ctx context.Context, name string, guards ...Guard) (Job, error) {
	var job Job

	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		schedule, err := lockSchedule(ctx, tx, name)
		if err != nil {
			return err
		}

		if err := schedule.ask(guards); err != nil {
			return err
		}

		sub := schedule.submission()

		r, err := s.accept(ctx, &sub)
		if err != nil {
			return err
		}

		if err := r.mark(name, nil); err != nil {
			return err
		}

		var id int64

		err = tx.QueryRow(ctx, scheduleReserveSQL, []string{name}, []any{nil}).Scan(nil, nil, &id)
		if err != nil {
			return fmt.Errorf("reserve the job: %w", err)
		}

		r.reserved = &id
		if err := insertRows(ctx, tx, []*row{r}); err != nil {
			return fmt.Errorf("insert the job: %w", err)
		}

		job = r.job
		job.Schedule = name

		_, err = tx.Exec(ctx, scheduleRanSQL, name, id)

		return err
	})
	if err != nil {
		return Job{}, fmt.Errorf("run schedule %.100s: %w", name, err)
	}

	return job, nil
}
