package jobs

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strconv"

	"github.com/jackc/pgx/v5"
)

// Rerun asks for another job like one that there is.
type Rerun struct {
	JobID int64           // of the job to run again, in whatever state
	Input json.RawMessage // empty: the old job's
	// Options change what is taken from the old job: queue, priority, attempts, timeouts, backoff, tags and event. Times are
	// not taken: the new job runs at once unless they say otherwise.
	Options Options
}

// rerunMetaSQL reads what a job's submission said of its attempts: a new job takes it over.
const rerunMetaSQL = `select metadata -> '` + metaRun + `' from millrace.river_job where id = $1`

// Rerun makes a new job of an old one's function, with its input and its options as far as the request has none. The
// old job stays as it is; the new one names it (Job.RerunOf).
//
// Errors: ErrNotFound, and those of Submit.
func (s *Service) Rerun(ctx context.Context, again Rerun) (Job, error) {
	old, err := s.Get(ctx, again.JobID)
	if err != nil {
		return Job{}, err
	}

	var attempts []byte

	err = s.pool.QueryRow(ctx, rerunMetaSQL, old.ID).Scan(&attempts)
	if errors.Is(err, pgx.ErrNoRows) {
		return Job{}, fmt.Errorf("job %d: %w", old.ID, ErrNotFound)
	}

	if err != nil {
		return Job{}, fmt.Errorf("read the options of job %d: %w", old.ID, err)
	}

	sub := again.submission(&old)

	r, err := s.accept(ctx, &sub)
	if err != nil {
		return Job{}, err
	}

	if r.metadata, err = rerunMeta(r.metadata, attempts, old.ID); err != nil {
		return Job{}, fmt.Errorf("rerun job %d: %w", old.ID, err)
	}

	if err := s.submitter.submit(ctx, r); err != nil {
		return Job{}, err
	}

	// The answer may be an earlier job, by its key or its function's rules. That one repeats what its own row says.
	job := r.job
	if found, err := getJob(ctx, s.pool, job.ID, 0); err == nil {
		job.RerunOf = found.RerunOf
	}

	return job, nil
}

// submission is what the request asks for, filled up from the old job.
func (again *Rerun) submission(old *Job) Submission {
	sub := Submission{Function: old.Function, Input: again.Input, Options: again.Options}
	if len(sub.Input) == 0 {
		sub.Input = old.Input
	}

	opts := &sub.Options
	opts.Queue = cmp.Or(opts.Queue, old.Queue)
	opts.Priority = cmp.Or(opts.Priority, old.Priority)
	opts.MaxAttempts = cmp.Or(opts.MaxAttempts, old.MaxAttempts)

	if opts.Tags == nil {
		opts.Tags = old.Tags
	}

	return sub
}

// rerunMeta adds to a new row's metadata the job that it repeats, and what that one said of its attempts and the new one
// does not.
func rerunMeta(metadata, attempts []byte, of int64) ([]byte, error) {
	var fields, said, before map[string]json.RawMessage

	if err := json.Unmarshal(metadata, &fields); err != nil {
		return nil, fmt.Errorf("read the new metadata: %w", err)
	}

	// Whoever inserts rows with SQL may have put anything there: what is no object was not said.
	_ = json.Unmarshal(attempts, &before)
	_ = json.Unmarshal(fields[metaRun], &said)

	delete(before, "steps") // the new job begins at the beginning

	if len(before) > 0 {
		maps.Copy(before, said)

		merged, err := json.Marshal(before)
		if err != nil {
			return nil, fmt.Errorf("write what the attempts are to be: %w", err)
		}

		fields[metaRun] = merged
	}

	fields[metaRerunOf] = strconv.AppendInt(nil, of, 10)

	return json.Marshal(fields) //nolint:wrapcheck // JSON a moment ago
}
