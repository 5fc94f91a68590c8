package sequencer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/millrace-dev/millrace/internal/postgres"
)

const (
	backoffMin = 20 * time.Millisecond
	backoffMax = 2 * time.Second
	goodbye    = time.Second
)

// connect opens the session in which everything but retention is done.
func (s *Sequencer) connect(ctx context.Context) (*pgx.Conn, error) {
	conn, err := postgres.Connect(ctx, s.cfg.URL, sessionName)
	if err != nil {
		return nil, err //nolint:wrapcheck // it says what was being done
	}
	if err := s.prepare(ctx, conn); err != nil {
		s.disconnect(conn)
		return nil, err
	}
	s.session.Store(conn.PgConn().PID())
	return conn, nil
}

func (s *Sequencer) disconnect(conn *pgx.Conn) {
	s.session.Store(0)
	ctx, cancel := context.WithTimeout(context.Background(), goodbye)
	defer cancel()
	_ = conn.Close(ctx) // there is nothing left to do about it
	if s.pin != nil {
		_ = s.pin.conn.Close(ctx) // likewise
		s.pin = nil
	}
}

// prepare sets a session up and refuses a database on which the promises would
// not hold. It is asked on each connect: after a failover the address may lead
// to a replica.
func (s *Sequencer) prepare(ctx context.Context, conn *pgx.Conn) (err error) {
	ctx, cancel := context.WithTimeout(ctx, roundTrip)
	defer cancel()
	if s.cfg.Pooled {
		s.pin, err = s.openPin(ctx)
	} else {
		_, err = conn.Exec(ctx, sqlSession)
	}
	if err != nil {
		return fmt.Errorf("set up the sequencer's session: %w", err)
	}
	var encoding string
	var cache, increment int64
	var replica bool
	if err := conn.QueryRow(ctx, sqlCheck).Scan(&encoding, &cache, &increment, &replica); err != nil {
		return fmt.Errorf("check the database: %w", err)
	}
	switch {
	case replica:
		return postgres.ErrReplica
	case encoding != "UTF8":
		return fmt.Errorf("the database's encoding is %s and has to be UTF8", encoding) //nolint:err113 // read by a person at start
	case cache != 1 || increment != 1:
		return errors.New("the sequence millrace.outbox_id_seq must have CACHE 1 and INCREMENT 1: anything else breaks the order of publications") //nolint:err113 // read by a person at start
	}
	return nil
}

// run serves one session after the other until ctx ends.
func (s *Sequencer) run(ctx context.Context, conn *pgx.Conn) {
	defer s.windUp()
	wait := postgres.NewBackoff(backoffMin, backoffMax)
	for conn != nil {
		began := time.Now()
		err := s.serve(ctx, conn)
		worked := s.owner.Swap(false) || s.handedOver || time.Since(began) > tendEach
		s.handedOver = false
		s.disconnect(conn)
		if ctx.Err() != nil {
			return
		}
		s.log.Warn("sequencer's session lost", "err", err)
		if worked { // publishes wait: again at once
			wait = postgres.NewBackoff(backoffMin, backoffMax)
		} else if !wait.Sleep(ctx) {
			return
		}
		conn = s.reconnect(ctx, wait)
	}
}

// reconnect tries until it succeeds, at once first; nil means that ctx has ended.
func (s *Sequencer) reconnect(ctx context.Context, wait *postgres.Backoff) *pgx.Conn {
	var last string
	for {
		conn, err := s.connect(ctx)
		if err == nil {
			return conn
		}
		if ctx.Err() == nil && err.Error() != last { // an outage of hours is one line, not thousands
			last = err.Error()
			s.log.Warn("sequencer cannot connect", "err", err)
		}
		if !wait.Sleep(ctx) {
			return nil
		}
	}
}

// serve is one session's life: follower, then owner. It always returns an error.
func (s *Sequencer) serve(ctx context.Context, conn *pgx.Conn) error {
	if err := s.follow(ctx, conn); err != nil {
		return err
	}
	term, seq, err := s.takeover(ctx, conn)
	if err != nil {
		return err
	}
	if err := s.settle(ctx, conn); err != nil {
		return err
	}
	s.owner.Store(true)
	s.counters.term.Store(term)
	return newOwner(s, conn, term, seq).run(ctx)
}

// windUp answers everybody who still waits. Hand-overs get a moment: another
// instance may be about to commit them.
func (s *Sequencer) windUp() {
	s.failQueued()
	for range 50 {
		if s.handed.empty() {
			break
		}
		time.Sleep(goodbye / 50)
	}
	for _, h := range s.handed.all() {
		if r := s.handed.remove(h.origin); r != nil {
			s.finish(r, Answer{Err: fmt.Errorf("%w: stopped", ErrOutcomeUnknown)})
		}
	}
	for _, b := range s.unknown {
		s.finishAll(b.requests, Answer{Err: fmt.Errorf("%w: stopped", ErrOutcomeUnknown)})
	}
	s.unknown = nil
}

// bounded is the context of one exchange with Postgres. Stopping does not cut
// it off: a commit that was sent should be answered.
func bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), roundTrip)
}
