package jobs

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/millrace-dev/millrace/internal/postgres"
)

// MaxAtomic bounds the jobs of one SubmitAll: they are one transaction.
const MaxAtomic = 10_000

// SubmitAll inserts all of a batch, in one transaction, or nothing. The answer has one Result for each submission.
// When one of them cannot be submitted, the error is ErrNotAlone and the results say which and why; those that are not to
// blame carry ErrNotAlone too. ErrThrottled, ErrKeyHeld and ErrIdempotencyMismatch are reasons as a mistake is.
//
// Errors: ErrNotAlone, *ValidationError for more than MaxAtomic submissions, ErrKeyHeld, ErrUnavailable, ErrStopped,
// ctx's.
func (s *Service) SubmitAll(ctx context.Context, subs []Submission) ([]Result, error) {
	if len(subs) > MaxAtomic {
		wrong := &ValidationError{}
		wrong.Add("batch", fmt.Sprintf("holds %d jobs, an atomic one at most %d", len(subs), MaxAtomic))

		return nil, wrong
	}

	rows, results := make([]*row, len(subs)), make([]Result, len(subs))
	refused := false

	for i := range subs {
		rows[i], results[i].Err = s.accept(ctx, &subs[i])
		refused = refused || results[i].Err != nil
	}

	switch {
	case refused:
		return notAlone(results), ErrNotAlone
	case ctx.Err() != nil:
		return nil, fmt.Errorf("submit a batch: %w", ctx.Err())
	case !s.submitter.Running():
		return nil, ErrStopped
	}

	err := s.inserter.insertTogether(context.WithoutCancel(ctx), rows)
	for i, r := range rows {
		results[i] = Result{Job: r.job, Err: r.err}
	}

	if errors.Is(err, ErrNotAlone) {
		return notAlone(results), ErrNotAlone
	}

	if err != nil {
		return nil, err
	}

	return results, nil
}

// notAlone takes back what those hold that nothing was wrong with.
func notAlone(results []Result) []Result {
	for i := range results {
		if results[i].Err == nil {
			results[i] = Result{Err: ErrNotAlone}
		}
	}

	return results
}

// insertTogether is one transaction. When a row cannot be inserted, that one has its error, and all is rolled back.
func (ins *inserter) insertTogether(ctx context.Context, rows []*row) error {
	ctx, cancel := context.WithTimeout(ctx, insertTimeout)
	defer cancel()

	begin := pgx.TxOptions{BeginQuery: fmt.Sprintf("begin; set local lock_timeout = %d", keyPatience.Milliseconds())}
	try := func() error {
		return pgx.BeginTxFunc(ctx, ins.pool, begin, func(tx pgx.Tx) error {
			for start := 0; start < len(rows); start += chunkRows {
				if err := insertKeyedIn(ctx, tx, rows[start:min(start+chunkRows, len(rows))]); err != nil {
					return err
				}
			}

			for _, r := range rows {
				if r.err != nil {
					return ErrNotAlone
				}
			}

			return nil
		})
	}

	err := try()
	if again(err) {
		err = try()
	}

	switch {
	case err == nil, errors.Is(err, ErrNotAlone):
		return err //nolint:wrapcheck // ours
	case keyHeld(err):
		return ErrKeyHeld
	}

	if _, ok := errors.AsType[*pgconn.PgError](err); ok && postgres.RefusesData(err) {
		return fmt.Errorf("insert %d jobs together: %w", len(rows), err)
	}

	return fmt.Errorf("insert %d jobs together: %w", len(rows), errors.Join(ErrUnavailable, err))
}
