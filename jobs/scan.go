package jobs

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"math"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river/rivertype"
)

//go:embed sql/jobs_by_id.sql
var jobsByIDSQL string

// wholeInput asks jobsByIDSQL for inputs of any size.
const wholeInput = int64(math.MaxInt64)

// readJobs reads rows by id. Ids without a row are missing from the answer.
func readJobs(ctx context.Context, db execer, ids []int64) (map[int64]Job, error) {
	return readJobsUpTo(ctx, db, ids, wholeInput)
}

// readJobsUpTo is readJobs without the inputs that take more than maxInput bytes in the table.
func readJobsUpTo(ctx context.Context, db execer, ids []int64, maxInput int64) (map[int64]Job, error) {
	rows, err := db.Query(ctx, jobsByIDSQL, ids, maxInput)
	if err != nil {
		return nil, fmt.Errorf("read jobs: %w", err)
	}

	jobs, err := pgx.CollectRows(rows, scanJob)
	if err != nil {
		return nil, fmt.Errorf("read jobs: %w", err)
	}

	found := make(map[int64]Job, len(jobs))
	for _, job := range jobs {
		found[job.ID] = job
	}

	return found, nil
}

// scanJob reads the columns that jobs_by_id.sql and list.sql select.
func scanJob(row pgx.CollectableRow) (Job, error) {
	var (
		job                     Job
		state                   string
		input, output, progress []byte
		lastError               []byte
	)

	if err := row.Scan(
		&job.ID, &job.Function, &state, &input, &output, &lastError,
		&job.Attempt, &job.MaxAttempts, &job.Queue, &job.Priority, &progress, &job.Version, &job.Tags,
		&job.CreatedAt, &job.ScheduledAt, &job.StartedAt, &job.FinishedAt, &job.Node,
	); err != nil {
		return Job{}, fmt.Errorf("scan a job: %w", err)
	}

	job.State = stateOf(rivertype.JobState(state))
	job.Input, job.Output = input, output

	if job.State != StateCompleted {
		job.Error = decodeFailure(lastError)
	}

	if len(progress) > 0 {
		job.Progress = decodeProgress(progress)
	}

	return job, nil
}

// decodeProgress reads metadata's progress; nil when somebody else put something different there.
func decodeProgress(stored []byte) *Progress {
	var progress Progress
	if json.Unmarshal(stored, &progress) != nil {
		return nil
	}

	return &progress
}
