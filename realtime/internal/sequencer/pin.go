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
	pinName  = "millrace sequencer lock"
	pinEvery = 500 * time.Millisecond
)

// errUnpinned says that the lock is lost.
var errUnpinned = errors.New("the sequencer's lock is lost")

// pin holds the election's lock where the way to Postgres is through a proxy that pools transactions: in a
// transaction that stays open, on a connection beside the session's, so that the proxy leaves it one server
// process. The transaction holds no snapshot and no row. Five seconds of the owner's silence end it, and so does a
// lost connection.
//
// The first of the fences is weaker then: a statement of the owner may still be under way when the lock is lost.
// The second one, the term, stops it.
type pin struct {
	conn  *pgx.Conn
	next  time.Time // when to tell the server that we live
	gate  bool      // the gate's lock is ours too: nobody need notify who cannot be heard
	holds bool
}

func (s *Sequencer) openPin(ctx context.Context) (*pin, error) {
	conn, err := postgres.Connect(ctx, s.cfg.URL, pinName)
	if err != nil {
		return nil, err //nolint:wrapcheck // it says what was being done
	}
	return &pin{conn: conn}, nil
}

// try begins the transaction and takes the lock in it, or ends it again.
func (p *pin) try(ctx context.Context) (won bool, err error) {
	bound, cancel := bounded(ctx)
	defer cancel()
	var send pgx.Batch
	send.Queue(sqlBegin)
	send.Queue(sqlPin)
	send.Queue(sqlTryPin, int32(electionLock), int32(thisShard)).QueryRow(func(row pgx.Row) error {
		return row.Scan(&won) //nolint:wrapcheck // wrapped below
	})
	if err := p.conn.SendBatch(bound, &send).Close(); err != nil {
		return false, fmt.Errorf("try the sequencer's lock: %w", err)
	}
	p.holds = won
	if won {
		return true, nil
	}
	return false, rollback(ctx, p.conn)
}

// hold keeps the transaction from ending for silence.
func (p *pin) hold(ctx context.Context, now time.Time) error {
	if !p.holds || now.Before(p.next) {
		return nil
	}
	p.next = now.Add(pinEvery)
	ctx, cancel := bounded(ctx)
	defer cancel()
	var send pgx.Batch
	send.Queue("select 1")
	if !p.gate {
		send.Queue(sqlTryPin, int32(gateLock), int32(thisShard)).QueryRow(func(row pgx.Row) error {
			return row.Scan(&p.gate) //nolint:wrapcheck // wrapped below
		})
	}
	if err := p.conn.SendBatch(ctx, &send).Close(); err != nil {
		return fmt.Errorf("%w: %w", errUnpinned, err)
	}
	return nil
}
