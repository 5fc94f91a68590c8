package jobs

import (
	"context"
	_ "embed"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river/rivertype"
)

//go:embed sql/newest.sql
var newestSQL string

// lastLogSQL is the Seq of a job's last line.
const lastLogSQL = `select coalesce(max(seq), 0) from millrace.job_log where job_id = $1`

// Snapshot returns the first message of a subscriber to a channel of this package. Called after Watch, it is never
// older than what Deliver gets from then on, so that a subscriber who sees it first never sees a state go backwards.
// ErrNotFound for other names and for jobs that do not exist.
func (s *Service) Snapshot(ctx context.Context, channel string) ([]byte, error) {
	if channel == feedChannel {
		return s.watcher.feedSnapshot(ctx)
	}

	id, ok := jobOfChannel(channel)
	if !ok {
		return nil, fmt.Errorf("channel %.100q: %w", channel, ErrNotFound)
	}

	return s.watcher.snapshot(ctx, id)
}

func (w *watcher) snapshot(ctx context.Context, id int64) ([]byte, error) {
	// The log first: a line that comes in between is told twice rather than never.
	logged, err := lastLog(ctx, w.pool, id)
	if err != nil {
		return nil, err
	}

	job, err := getJob(ctx, w.pool, id, watchBody)
	if err != nil {
		return nil, err
	}

	w.mu.Lock()
	entry := w.entries[id]
	w.mu.Unlock()

	if entry != nil && entry.snapshotTaken(keyOf(&job), logged) {
		w.mu.Lock()
		w.dirty[entry] = struct{}{}
		w.mu.Unlock()
		w.poke()
	}

	return encode(jobMessage{Type: "snapshot", Job: &job}), nil
}

// snapshotTaken notes that a subscriber will see key, and reports whether the others do not know it yet.
func (e *watched) snapshotTaken(key jobKey, logged int64) (news bool) {
	e.telling.Lock()
	defer e.telling.Unlock()

	e.snapshots++

	if e.logged < 0 {
		e.logged = logged
	}

	if !e.known {
		e.known, e.last = true, key
	}

	return e.last != key
}

func lastLog(ctx context.Context, db execer, id int64) (int64, error) {
	rows, err := db.Query(ctx, lastLogSQL, id)
	if err != nil {
		return 0, fmt.Errorf("read the log of job %d: %w", id, err)
	}

	seq, err := pgx.CollectExactlyOneRow(rows, pgx.RowTo[int64])
	if err != nil {
		return 0, fmt.Errorf("read the log of job %d: %w", id, err)
	}

	return seq, nil
}

// feedSnapshot is the newest jobs and the counts.
func (w *watcher) feedSnapshot(ctx context.Context) ([]byte, error) {
	jobs, err := newestJobs(ctx, w.pool)
	if err != nil {
		return nil, err
	}

	stats, err := readStats(ctx, w.pool)
	if err != nil {
		return nil, err
	}

	return encode(feedSnapshot{Type: "snapshot", Jobs: jobs, Stats: stats}), nil
}

func newestJobs(ctx context.Context, db execer) ([]summary, error) {
	rows, err := db.Query(ctx, newestSQL, feedJobs)
	if err != nil {
		return nil, fmt.Errorf("read the newest jobs: %w", err)
	}

	var (
		job    summary
		stored string
		at     time.Time
		newest = []summary{}
	)

	if _, err := pgx.ForEachRow(rows, []any{&job.ID, &job.Function, &stored, &job.Attempt, &at}, func() error {
		job.State, job.At = stateOf(rivertype.JobState(stored)), at
		newest = append(newest, job)

		return nil
	}); err != nil {
		return nil, fmt.Errorf("read the newest jobs: %w", err)
	}

	return newest, nil
}
