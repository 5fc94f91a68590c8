package jobs

import (
	"context"
	_ "embed"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

//go:embed sql/logs.sql
var logsSQL string

//go:embed sql/cancel.sql
var cancelSQL string

//go:embed sql/retry.sql
var retrySQL string

const (
	defaultLogLimit = 1_000
	maxLogLimit     = 5_000
)

// Get returns a job with everything that belongs to it, its timeline, and what it waits for. ErrNotFound when there is none of that
// id.
func (s *Service) Get(ctx context.Context, id int64) (Job, error) {
	job, err := getJob(ctx, s.pool, id, wholeBodies)
	if err != nil {
		return job, err
	}

	if job.WaitingFor, err = waitingFor(ctx, s.pool, &job); err != nil {
		return job, err
	}

	job.Timeline, err = s.Timeline(ctx, &job)

	return job, err
}

func getJob(ctx context.Context, db execer, id, maxBody int64) (Job, error) {
	found, err := readJobs(ctx, db, []int64{id}, maxBody)
	if err != nil {
		return Job{}, err
	}

	job, ok := found[id]
	if !ok {
		return Job{}, fmt.Errorf("job %d: %w", id, ErrNotFound)
	}

	return job, nil
}

// Logs returns a job's lines with a Seq greater than after, in order. limit is 1 to 5,000; 0 means 1,000.
// ErrNotFound when there is no such job.
func (s *Service) Logs(ctx context.Context, id, after int64, limit int) ([]LogLine, error) {
	if limit <= 0 {
		limit = defaultLogLimit
	}

	lines, err := readLogs(ctx, s.pool, id, after, min(limit, maxLogLimit))
	if err != nil || len(lines) > 0 {
		return lines, err
	}

	if _, err := getJob(ctx, s.pool, id, 0); err != nil {
		return nil, err
	}

	return []LogLine{}, nil
}

func readLogs(ctx context.Context, db execer, id, after int64, limit int) ([]LogLine, error) {
	rows, err := db.Query(ctx, logsSQL, id, after, limit)
	if err != nil {
		return nil, fmt.Errorf("read the log of job %d: %w", id, err)
	}

	lines, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (LogLine, error) {
		var line LogLine
		err := row.Scan(&line.Seq, &line.Attempt, &line.At, &line.Level, &line.Message, (*[]byte)(&line.Fields))

		return line, err
	})
	if err != nil {
		return nil, fmt.Errorf("read the log of job %d: %w", id, err)
	}

	return lines, nil
}

// Cancel ends a job that has not finished. One that is running is told to stop, wherever it runs, within a second
// or, when that message is lost, some seconds; until it has, its state is still running. The job is returned as it
// stands after the call.
//
// Errors: ErrNotFound, ErrState when the job has finished already.
func (s *Service) Cancel(ctx context.Context, id int64) (Job, error) {
	return s.change(ctx, "cancel", id, cancelSQL, id, true)
}

// Retry makes a job that failed, was cancelled, is retrying or scheduled ready to run at once. A job whose attempts
// are used up gets one more.
//
// Errors: ErrNotFound, ErrState when the job is queued, running or completed.
func (s *Service) Retry(ctx context.Context, id int64) (Job, error) {
	return s.change(ctx, "retry", id, retrySQL, id)
}

// change runs a statement that returns one row when the job's state allowed it, and reads the job.
func (s *Service) change(ctx context.Context, verb string, id int64, sql string, args ...any) (Job, error) {
	var tag pgconn.CommandTag

	err := insist(func() (err error) {
		tag, err = s.pool.Exec(ctx, sql, args...)

		return err //nolint:wrapcheck // below
	})
	if err != nil {
		return Job{}, fmt.Errorf("%s job %d: %w", verb, id, err)
	}

	job, err := s.Get(ctx, id)
	if err == nil && tag.RowsAffected() == 0 {
		return job, fmt.Errorf("%s job %d, which is %s: %w", verb, id, job.State, ErrState)
	}

	return job, err
}
