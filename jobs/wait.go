package jobs

import (
	"context"
	"fmt"
	"time"
)

// lastLook bounds the read with which Wait answers a caller whose time is over.
const lastLook = 2 * time.Second

// watchResult wakes a waiter. gone: the row was deleted.
type watchResult struct {
	job  Job
	gone bool
}

// Wait returns a job when it has finished. When ctx ends first, it returns the job as it then stands together with
// ctx's error. The job comes without what Get looks for besides its row: the timeline and what it waits for.
//
// Errors: ErrNotFound, also when the job is deleted meanwhile, ErrStopped, ctx's.
func (s *Service) Wait(ctx context.Context, id int64) (Job, error) {
	if !s.watcher.Running() {
		return Job{}, ErrStopped
	}

	finished, release := s.watcher.wait(id)
	defer release()

	job, err := getJob(ctx, s.pool, id, wholeBodies)
	if err != nil || job.State.Finished() {
		return job, err
	}

	select {
	case result := <-finished:
		switch {
		case result.gone:
			return Job{}, fmt.Errorf("job %d: %w", id, ErrNotFound)
		case len(result.job.Omitted) > 0:
			return getJob(ctx, s.pool, id, wholeBodies)
		}

		return result.job, nil
	case <-s.watcher.stopped:
		return job, ErrStopped
	case <-ctx.Done():
	}

	look, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastLook)
	defer cancel()

	if latest, err := getJob(look, s.pool, id, wholeBodies); err == nil {
		job = latest
	}

	if job.State.Finished() {
		return job, nil
	}

	return job, fmt.Errorf("wait for job %d: %w", id, ctx.Err())
}

// wait registers a waiter, to be released by the second result.
func (w *watcher) wait(id int64) (finished <-chan watchResult, release func()) {
	result := make(chan watchResult, 1)

	w.mu.Lock()
	defer w.mu.Unlock()

	entry := w.entry(id)
	entry.waiters[result] = struct{}{}

	return result, func() {
		w.mu.Lock()
		defer w.mu.Unlock()

		delete(entry.waiters, result)
		w.forget(entry)
	}
}
