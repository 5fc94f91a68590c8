package schedules

import (
	"context"
	_ "embed"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/millrace-dev/millrace/jobs"
)

//go:embed sql/ran.sql
var ranSQL string

// Run inserts a job as a tick would do, now, whether or not the schedule is paused and whatever its overlap
// policy says. The ticks stay what they are.
//
// Errors: ErrNotFound, ErrUnknownFunction, *ValidationError, those of guards.
func (s *Service) Run(ctx context.Context, name string, guards ...Guard) (jobs.Job, error) {
	var job jobs.Job

	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		schedule, err := lock(ctx, tx, name)
		if err != nil {
			return err
		}

		if err := schedule.ask(guards); err != nil {
			return err
		}

		sub := schedule.submission()

		r, err := s.jobs.Prepare(ctx, &sub)
		if err != nil {
			return err
		}

		if err := r.OfSchedule(name, nil); err != nil {
			return err
		}

		var id int64

		err = tx.QueryRow(ctx, reserveSQL, []string{name}, []any{nil}).Scan(nil, nil, &id)
		if err != nil {
			return fmt.Errorf("reserve the job: %w", err)
		}

		r.Reserve(id)
		if err := jobs.Insert(ctx, tx, []*jobs.Prepared{r}); err != nil {
			return fmt.Errorf("insert the job: %w", err)
		}

		job = r.Job()
		job.Schedule = name

		_, err = tx.Exec(ctx, ranSQL, name, id)

		return err
	})
	if err != nil {
		return jobs.Job{}, fmt.Errorf("run schedule %.100s: %w", name, err)
	}

	return job, nil
}
