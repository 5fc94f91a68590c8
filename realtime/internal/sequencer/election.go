package sequencer

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
)

// follow hands over what is published here until this session gets the lock.
// The lock is polled: a session that waits for an advisory lock holds back
// vacuum in the whole cluster.
func (s *Sequencer) follow(ctx context.Context, conn *pgx.Conn) error {
	try := time.NewTimer(0)
	defer try.Stop()
	var tend time.Time // at once: the last session may have left something unanswered
	for {
		select {
		case <-ctx.Done():
			return fmt.Errorf("follow: %w", ctx.Err())
		case <-s.queue.Ready():
			if err := s.handOver(ctx, conn); err != nil {
				return err
			}
		case <-s.ask:
			tend = time.Time{}
		case <-try.C:
			if won, err := s.tryElection(ctx, conn); won || err != nil {
				return err
			}
			try.Reset(s.cfg.ElectionInterval/2 + rand.N(s.cfg.ElectionInterval)) //nolint:gosec // jitter is no secret
			if err := s.settle(ctx, conn); err != nil {
				return err
			}
		}
		if !time.Now().Before(tend) {
			var err error
			if tend, err = s.resolve(ctx, conn); err != nil {
				return err
			}
		}
	}
}

func (s *Sequencer) tryElection(ctx context.Context, conn *pgx.Conn) (won bool, err error) {
	if s.pin != nil {
		return s.pin.try(ctx)
	}
	return tryLock(ctx, conn, electionLock)
}

func tryLock(ctx context.Context, conn *pgx.Conn, class int32) (won bool, err error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	if err := conn.QueryRow(ctx, sqlTryLock, class, int32(thisShard)).Scan(&won); err != nil {
		return false, fmt.Errorf("try the sequencer's lock: %w", err)
	}
	return won, nil
}

// takeover begins a new term and returns it with the number of batches so far.
func (s *Sequencer) takeover(ctx context.Context, conn *pgx.Conn) (term, seq int64, err error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	heard := s.heard.Load()
	var crashes, losses int
	if err := conn.QueryRow(ctx, sqlTakeover, thisShard, heard).Scan(&term, &seq, &crashes, &losses); err != nil {
		return 0, 0, fmt.Errorf("begin a term: %w", err)
	}
	switch {
	case losses > 0:
		s.log.Error("the database has lost publications that it had acknowledged: all channels begin a new epoch", "batches", heard-seq)
		s.heard.CompareAndSwap(heard, seq) // it is told once
	case crashes > 0 && term > 1:
		s.log.Warn("the database has crashed or was promoted: channels of relaxed namespaces begin a new epoch")
	}
	return term, seq, nil
}
