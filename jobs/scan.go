package jobs

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"math"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river/rivertype"
)

//go:embed sql/job_columns.sql
var jobColumnsSQL string

// wholeBodies asks for inputs and outputs of any size.
const wholeBodies = int64(math.MaxInt64)

// execer is a pool or a transaction.
type execer interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// readJobs reads rows by id. Ids without a row are missing from the answer. Inputs and outputs of more than
// maxBody bytes are left out.
func readJobs(ctx context.Context, db execer, ids []int64, maxBody int64) (map[int64]Job, error) {
	rows, err := db.Query(ctx, "select "+jobColumnsSQL+" from millrace.river_job where id = any ($2::bigint[])", maxBody, ids)
	if err != nil {
		return nil, fmt.Errorf("read jobs: %w", err)
	}

	jobs, err := pgx.CollectRows(rows, scanJob)
	if err != nil {
		return nil, fmt.Errorf("read jobs: %w", err)
	}

	found := make(map[int64]Job, len(jobs))
	for i := range jobs {
		found[jobs[i].ID] = jobs[i]
	}

	return found, nil
}

// scanJob reads the columns of job_columns.sql.
func scanJob(row pgx.CollectableRow) (Job, error) {
	var (
		job                     Job
		state                   string
		input, output, progress []byte
		lastError               []byte
		hasOutput               bool
		tick                    string
	)

	if err := row.Scan(
		&job.ID, &job.Function, &state, &input, &output, &hasOutput, &lastError,
		&job.Attempt, &job.MaxAttempts, &job.Queue, &job.Priority, &progress, &job.Version, &job.Tags,
		&job.CreatedAt, &job.ScheduledAt, &job.StartedAt, &job.FinishedAt, &job.Node, &job.Schedule, &tick, &job.RerunOf,
	); err != nil {
		return Job{}, fmt.Errorf("scan a job: %w", err)
	}

	job.State = stateOf(rivertype.JobState(state))
	job.Input, job.Output = input, output

	if at, err := time.Parse(time.RFC3339, tick); err == nil { // else there is none, or somebody wrote something else there
		job.Tick = &at
	}

	if input == nil {
		job.Omitted = append(job.Omitted, "input")
	}

	if output == nil && hasOutput {
		job.Omitted = append(job.Omitted, "output")
	}

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
