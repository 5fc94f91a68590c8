package jobs

import (
	"context"
	"fmt"
)

// chunkRows bounds one transaction of SubmitMany, together with submitBytes.
const chunkRows = 1_000

// SubmitMany inserts a batch, in transactions of up to 1,000 jobs each, in order. The answer has one Result for
// each submission: those that are refused do not keep the others back. The error is nil unless ctx ended or the
// service is not running; then the results of the rest carry it too.
//
// Errors within the results: as Submit's.
func (s *Service) SubmitMany(ctx context.Context, subs []Submission) ([]Result, error) {
	ctx, span := s.traceBatch(ctx, subs)
	results, err := s.submitMany(ctx, subs)
	endSubmit(span, 0, err)

	return results, err
}

func (s *Service) submitMany(ctx context.Context, subs []Submission) ([]Result, error) {
	results := make([]Result, len(subs))
	chunk := make([]*row, 0, min(len(subs), chunkRows))
	places := make([]int, 0, cap(chunk))

	flush := func() error {
		err := s.insertChunk(ctx, chunk)
		for i, r := range chunk {
			results[places[i]] = Result{Job: r.job, Err: r.err}
		}

		chunk, places = chunk[:0], places[:0]

		return err
	}

	bytes := 0

	for i := range subs {
		r, err := s.accept(ctx, &subs[i])
		if err != nil {
			results[i].Err = err

			continue
		}

		chunk, places = append(chunk, r), append(places, i)

		if bytes += r.size(); len(chunk) == chunkRows || bytes >= submitBytes {
			if err := flush(); err != nil {
				refuseRest(results[i+1:], err)

				return results, err
			}

			bytes = 0
		}
	}

	return results, flush()
}

func refuseRest(results []Result, err error) {
	for i := range results {
		results[i].Err = err
	}
}

// insertChunk inserts rows; its error is the service's or the caller's, not that of a row.
func (s *Service) insertChunk(ctx context.Context, rows []*row) error {
	var err error

	switch {
	case len(rows) == 0:
		return nil
	case ctx.Err() != nil:
		err = fmt.Errorf("submit a batch: %w", ctx.Err())
	case !s.submitter.Running():
		err = ErrStopped
	default:
		s.inserter.insert(context.WithoutCancel(ctx), rows)

		return nil
	}

	for _, r := range rows {
		r.err = err
	}

	return err
}
