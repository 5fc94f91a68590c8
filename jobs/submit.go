package jobs

import (
	"context"
	"fmt"
	"runtime"
	"sync/atomic"

	"github.com/millrace-dev/millrace/internal/service"
)

const (
	// submitBatch and submitBytes bound one transaction of grouped submissions.
	submitBatch = 500
	submitBytes = 8 << 20

	// submitYields is how often a transaction that is about to begin lets other goroutines go first: those whose
	// requests are read already shall not wait for a commit of their own. On an idle server it costs nothing.
	submitYields = 4
)

// submitter groups concurrent submissions. Whatever arrived during the last commit goes in one transaction, and
// there is no timer: an idle server commits the first submission at once. One transaction is under way at a time:
// their commits carry notifications, so Postgres would let them pass one by one anyway, in smaller groups.
//
//	waiting ---the loop takes it---> taken ---commit---> answered
//	   \-----caller's ctx ends-----> abandoned, never inserted
type submitter struct {
	service.Base

	inserter *inserter
	queue    chan *submitting
	stopped  chan struct{} // closed when the loop has ended
}

type submitting struct {
	row   *row
	taken atomic.Bool // by the loop, or by the caller who gives up
	done  chan struct{}
}

func newSubmitter(ins *inserter) *submitter {
	return &submitter{
		inserter: ins,
		queue:    make(chan *submitting, submitBatch), // when it is full, submissions wait for the database
		stopped:  make(chan struct{}),
	}
}

// Start begins to insert.
func (s *submitter) Start(ctx context.Context) error {
	if _, err := s.Begin(ctx); err != nil {
		return err
	}

	if !s.Go(s.loop) {
		close(s.stopped) // stopped meanwhile
	}

	s.Go(s.expireKeys)

	return nil
}

// submit returns when the row is committed or refused.
func (s *submitter) submit(ctx context.Context, r *row) error {
	if !s.Running() {
		return ErrStopped
	}

	item := &submitting{row: r, done: make(chan struct{})}

	select {
	case s.queue <- item:
	case <-s.stopped:
		return ErrStopped
	case <-ctx.Done():
		return fmt.Errorf("submit: %w", ctx.Err())
	}

	select {
	case <-item.done:
		return r.err
	case <-s.stopped:
	case <-ctx.Done():
	}

	if item.taken.CompareAndSwap(false, true) {
		if ctx.Err() != nil {
			return fmt.Errorf("submit: %w", ctx.Err())
		}

		return ErrStopped
	}

	// The loop has it: its transaction ends soon, and its outcome is worth more than the caller's hurry.
	<-item.done

	return r.err
}

func (s *submitter) loop(ctx context.Context) {
	defer close(s.stopped)

	for {
		select {
		case <-ctx.Done():
			return
		case first := <-s.queue:
			s.flush(ctx, s.gather(first))
		}
	}
}

// gather takes what waits, and what comes while others are let go first, as much as one transaction shall carry.
func (s *submitter) gather(first *submitting) []*submitting {
	var batch []*submitting

	for item, bytes, yields := first, 0, 0; ; {
		if item.taken.CompareAndSwap(false, true) {
			batch = append(batch, item)
			bytes += item.row.size()
		}

		if len(batch) >= submitBatch || bytes >= submitBytes {
			return batch
		}

		for item = nil; item == nil; yields++ {
			select {
			case item = <-s.queue:
			default:
				if yields >= submitYields {
					return batch
				}

				runtime.Gosched()
			}
		}
	}
}

// flush inserts a batch. What was taken is inserted although the service stops.
func (s *submitter) flush(ctx context.Context, batch []*submitting) {
	if len(batch) == 0 {
		return
	}

	rows := make([]*row, len(batch))
	for i, item := range batch {
		rows[i] = item.row
	}

	s.inserter.insert(context.WithoutCancel(ctx), rows)

	for _, item := range batch {
		close(item.done)
	}
}

// Submit inserts a job and returns it when it is committed. Calls that run at the same time share a transaction.
// When ctx ends before the submission's transaction began, nothing is inserted and ctx's error is returned; after
// that point Submit returns that transaction's outcome, at most 20 s later. Only when that is ErrUnavailable is
// it unknown whether the job exists.
//
// Errors: *ValidationError, ErrUnknownFunction, ErrIdempotencyMismatch, ErrKeyHeld, ErrThrottled, ErrUnavailable,
// ErrStopped, ctx's.
func (s *Service) Submit(ctx context.Context, sub Submission) (Job, error) {
	ctx, span := s.traceSubmit(ctx, &sub)
	job, err := s.submit(ctx, &sub)
	endSubmit(span, job.ID, err)

	return job, err
}

func (s *Service) submit(ctx context.Context, sub *Submission) (Job, error) {
	r, err := s.accept(ctx, sub)
	if err != nil {
		return Job{}, err
	}

	if err := s.submitter.submit(ctx, r); err != nil {
		return Job{}, err
	}

	return r.job, nil
}

// accept checks a submission and looks its function up.
func (s *Service) accept(ctx context.Context, sub *Submission) (*row, error) {
	if err := s.checker.check(sub); err != nil {
		return nil, err
	}

	settings, err := s.cfg.Executor.Resolve(ctx, sub.Function)
	if err != nil {
		return nil, fmt.Errorf("function %s: %w", sub.Function, err)
	}

	if err := checkForFunction(sub, &settings); err != nil {
		return nil, err
	}

	return newRow(sub, settings), nil
}
