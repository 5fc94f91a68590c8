package sequencer

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// lostBatch is a batch whose commit was sent and not answered.
type lostBatch struct {
	term, seq int64
	requests  []*request
	results   []Result
}

// unsettled are the lost batches of this instance, of which there is seldom
// more than one.
type unsettled []lostBatch

// settle finds out about lost batches. A term's count is final when it has been
// taken over; until then the old session may still commit, so nothing is said.
func (s *Sequencer) settle(ctx context.Context, conn *pgx.Conn) error {
	for i := 0; i < len(s.unknown); {
		committed, final, err := settled(ctx, conn, s.unknown[i])
		if err != nil {
			return err
		}
		if !final {
			i++
			continue
		}
		b := s.unknown[i]
		s.unknown = append(s.unknown[:i], s.unknown[i+1:]...)
		s.log.Info("unanswered batch settled", "term", b.term, "seq", b.seq, "publications", len(b.requests), "committed", committed)
		if !committed {
			s.giveBack(b.requests)
			continue
		}
		for j, r := range b.requests {
			s.finish(r, Answer{Result: b.results[j]})
		}
	}
	return nil
}

func settled(ctx context.Context, conn *pgx.Conn, b lostBatch) (committed, final bool, err error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	var last int64
	err = conn.QueryRow(ctx, sqlEndedTerm, thisShard, b.term).Scan(&last)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return false, false, nil
	case err != nil:
		return false, false, fmt.Errorf("settle a batch: %w", err)
	default:
		return last >= b.seq, true, nil
	}
}
