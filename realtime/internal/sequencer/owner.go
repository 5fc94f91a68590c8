package sequencer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// refusedPause is the time between two tries of a batch that Postgres refuses
// (a full disk, say).
const refusedPause = 500 * time.Millisecond

// owner is the sequencer during one term. It lives on one goroutine and ends
// with its session.
type owner struct {
	s    *Sequencer
	conn *pgx.Conn
	term int64
	seq  int64 // batches committed so far

	tops       tops
	attention  attention
	floor      floor
	gateClosed bool      // the gate's lock is ours
	tend       time.Time // when to look up hand-overs of the time before
	complaint  string    // the last refusal that was logged
}

func newOwner(s *Sequencer, conn *pgx.Conn, term, seq int64) *owner {
	deaf := s.cfg.Poll > 0 || s.cfg.Pooled // a pin closes the gate for the whole term
	return &owner{s: s, conn: conn, term: term, seq: seq, tops: newTops(), attention: newAttention(deaf, time.Now())}
}

// run writes batches until the session fails, the term is over or ctx ends.
func (o *owner) run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return fmt.Errorf("own the sequence: %w", ctx.Err())
		case <-o.s.queue.Ready():
		case <-o.s.wake:
			o.attention.woken(time.Now())
		case <-o.s.ask:
			o.tend = time.Time{}
		case <-timer.C:
		}
		if err := o.step(ctx); err != nil {
			if o.conn.IsClosed() || isFenced(err) || errors.Is(err, errUnpinned) {
				return err
			}
			if err := o.refused(ctx, err); err != nil {
				return err
			}
		}
		timer.Reset(max(0, time.Until(o.attention.next)))
	}
}

// step writes what is there and does what is due.
func (o *owner) step(ctx context.Context) error {
	local := o.s.take(maxBatchMessages, maxBatchBytes)
	if len(local) > 0 || o.attention.due(time.Now()) {
		if err := o.writeNext(ctx, local); err != nil {
			return err
		}
	}
	now := time.Now()
	if o.s.pin != nil {
		if err := o.s.pin.hold(ctx, now); err != nil {
			return err
		}
	}
	if o.gateClosed && o.attention.mode != awake {
		if err := o.openGate(ctx); err != nil {
			return err
		}
	}
	if o.floor.due(now) {
		if err := o.floor.advance(ctx, o.conn, now); err != nil {
			return err
		}
	}
	if !now.Before(o.tend) {
		var err error
		if o.tend, err = o.s.resolve(ctx, o.conn); err != nil {
			return err
		}
	}
	return nil
}

// writeNext commits the next batch. On an error every request in local has been
// answered, given back or noted as unsettled.
func (o *owner) writeNext(ctx context.Context, local []*request) error {
	if o.attention.drowsy(time.Now()) {
		if err := o.settle(ctx); err != nil {
			return o.failed(local, nil, err)
		}
	}
	hot := o.attention.expects()
	if !hot && len(local) > 0 {
		done, err := o.tryAlone(ctx, local)
		if done || err != nil {
			return err
		}
	} else if !hot {
		found, err := o.waiting(ctx)
		if err != nil {
			return err
		}
		if !found {
			o.looked(nil, time.Now())
			return nil
		}
	}
	return o.moveOutbox(ctx, local)
}

// tryAlone writes this instance's own publications; done is false when the
// outbox, or the end of the term, came first.
func (o *owner) tryAlone(ctx context.Context, local []*request) (done bool, err error) {
	items := make([]item, len(local))
	for i, r := range local {
		items[i] = item{Message: r.Message, request: r}
	}
	b, err := o.build(ctx, items)
	if err != nil {
		return false, o.failed(local, nil, err)
	}
	if !b.empty() {
		began := time.Now()
		written, err := o.writeAlone(ctx, b)
		if err != nil {
			return false, o.failed(local, b, err)
		}
		if !written {
			b.undo()
			return false, nil
		}
		o.attention.took(time.Since(began))
		o.looked(nil, time.Now())
	}
	o.committed(b)
	return true, nil
}

// moveOutbox commits what is in the outbox, followed by this instance's own
// publications.
func (o *owner) moveOutbox(ctx context.Context, local []*request) error {
	rows, err := o.beginTake(ctx)
	if err != nil {
		return o.failed(local, nil, err)
	}
	if len(rows) == 0 && len(local) == 0 {
		o.looked(nil, time.Now())
		return rollback(ctx, o.conn)
	}
	items := o.items(rows)
	for _, r := range local {
		items = append(items, item{Message: r.Message, request: r})
	}
	b, err := o.build(ctx, items)
	if err != nil {
		return o.failed(local, nil, err)
	}
	began := time.Now()
	if err := o.writeTaken(ctx, b); err != nil {
		return o.failed(local, b, err)
	}
	o.attention.took(time.Since(began))
	o.looked(rows, time.Now())
	o.committed(b)
	return nil
}

// committed answers the requests of a batch.
func (o *owner) committed(b *batch) {
	if !b.empty() {
		o.seq, o.complaint = b.seq, ""
		o.s.counters.batches.Add(1)
		o.s.counters.publications.Add(uint64(len(b.messages.channel)))
	}
	o.s.written.add(b.tops)
	for i, r := range b.requests {
		o.s.finish(r, Answer{Result: b.results[i]})
	}
}

// failed says what becomes of the requests when err came before (b is nil) or
// during the write of a batch, and returns err.
func (o *owner) failed(local []*request, b *batch, err error) error {
	o.tops = newTops() // they were counted up
	switch {
	case !o.conn.IsClosed() && !isFenced(err): // Postgres said no
		o.s.finishAll(local, Answer{Err: fmt.Errorf("%w: %w", ErrBusy, err)})
	case b == nil || b.empty():
		o.s.giveBack(local)
	default:
		o.s.unknown = append(o.s.unknown, lostBatch{term: b.term, seq: b.seq, requests: b.requests, results: b.results})
	}
	return err
}

// refused goes on after a statement that failed on a living session. The outbox
// keeps its rows.
func (o *owner) refused(ctx context.Context, err error) error {
	if err.Error() != o.complaint { // a full disk is one line, not two a second
		o.complaint = err.Error()
		o.s.log.Error("sequencer cannot write", "err", err)
	}
	if err := rollback(ctx, o.conn); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
	case <-time.After(refusedPause):
	}
	return nil
}
