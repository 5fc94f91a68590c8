// Package ephemeral sends what is never stored: publications of ephemeral
// channels, and who joins and leaves.
//
// # Promise
//
// What was acknowledged was notified to every instance that listened at that
// moment. Messages of one sender keep their order; there is none between
// senders. Concurrent sends share a transaction, which does not wait for the
// disk: at most once is all that is promised.
//
// It imports pgx, internal/service and the frame and queue packages.
package ephemeral

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/millrace-dev/millrace/internal/service"
	"github.com/millrace-dev/millrace/realtime/internal/frame"
	"github.com/millrace-dev/millrace/realtime/internal/queue"
)

// Errors of Send, to be tested with errors.Is.
var (
	// ErrBusy means that the message was not sent: there was no room in time, or
	// Postgres refused it.
	ErrBusy = errors.New("the queue of ephemeral messages does not move")
	// ErrOutcomeUnknown means that it may have been sent, or may still be.
	ErrOutcomeUnknown = errors.New("the message was not answered in time")
	// ErrNotRunning is returned before Start and after Stop.
	ErrNotRunning = errors.New("the sender is not running")
)

const (
	queueBytes = 16 << 20
	patience   = 10 * time.Second
	batchTime  = 3 * time.Second
	overhead   = 256

	maxBatchMessages = 1000
	maxBatchBytes    = 2 << 20

	sqlBegin  = "begin"
	sqlAsync  = "set local synchronous_commit = off"
	sqlNotify = "select pg_catalog.pg_notify('millrace_ephemeral', payload) from unnest($1::text[]) payload"
	sqlCommit = "commit"
)

// Sender is one instance's way of sending.
type Sender struct {
	service.Base

	pool   *pgxpool.Pool
	queue  *queue.Queue[*message]
	prefix string // of this process, so that no two payloads are equal
	batch  uint64
}

type message struct {
	record *frame.Record
	weight int64
	claim  atomic.Bool // of who decides: the sender sends it, or the caller gives up
	done   chan error
}

// New makes a sender.
func New(pool *pgxpool.Pool) *Sender {
	const length = 8
	return &Sender{pool: pool, queue: queue.New[*message](queueBytes), prefix: rand.Text()[:length]}
}

// Start begins to send.
func (s *Sender) Start(ctx context.Context) error {
	if _, err := s.Begin(ctx); err != nil {
		return fmt.Errorf("start the sender: %w", err)
	}
	s.Go(s.run)
	return nil
}

// Send returns when the record was notified. The errors are ErrBusy,
// ErrOutcomeUnknown and ErrNotRunning.
func (s *Sender) Send(ctx context.Context, record *frame.Record) error {
	return s.SendMany(ctx, []*frame.Record{record})[0]
}

// SendMany sends records in their order, together as far as they fit into one
// transaction. It returns an error, or nil, for each.
func (s *Sender) SendMany(ctx context.Context, records []*frame.Record) []error {
	errs := make([]error, len(records))
	if !s.Running() {
		return slices.Repeat([]error{ErrNotRunning}, len(records))
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	messages := make([]*message, len(records))
	for i, r := range records {
		messages[i] = newMessage(r)
	}
	pushed, err := s.push(ctx, messages)
	for i := pushed; i < len(errs); i++ {
		errs[i] = fmt.Errorf("%w: %w", ErrBusy, err)
	}
	if !s.Running() { // the last look at the queue may have been before the push
		s.fail()
	}
	for i, m := range messages[:pushed] {
		errs[i] = m.wait(ctx)
	}
	return errs
}

func newMessage(r *frame.Record) *message {
	size := len(r.Channel) + len(r.Data) + len(r.Meta) + overhead
	return &message{record: r, weight: int64(size), done: make(chan error, 1)}
}

// push puts messages into the queue and returns how many went in before ctx
// ended.
func (s *Sender) push(ctx context.Context, messages []*message) (pushed int, err error) {
	for pushed < len(messages) {
		next, weight := pushed+1, messages[pushed].weight
		for next < len(messages) && weight+messages[next].weight <= maxBatchBytes {
			weight += messages[next].weight
			next++
		}
		if err := s.queue.Push(ctx, weight, messages[pushed:next]...); err != nil {
			return pushed, err //nolint:wrapcheck // it says what was waited for
		}
		pushed = next
	}
	return pushed, nil
}

// wait returns what became of the message, or that ctx ended before that was
// known.
func (m *message) wait(ctx context.Context) error {
	select {
	case err := <-m.done:
		return err
	case <-ctx.Done():
	}
	if m.claim.CompareAndSwap(false, true) {
		return fmt.Errorf("%w: %w", ErrBusy, ctx.Err())
	}
	select {
	case err := <-m.done:
		return err
	default:
		return fmt.Errorf("%w: %w", ErrOutcomeUnknown, ctx.Err())
	}
}

func (s *Sender) run(ctx context.Context) {
	defer s.fail()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.queue.Ready():
		}
		if messages := s.take(); len(messages) > 0 {
			s.finish(messages, s.notify(ctx, messages))
		}
	}
}

// take removes messages from the queue, without those whose caller gave up.
func (s *Sender) take() []*message {
	for {
		all := s.queue.Take(queue.Limits[*message]{
			Items: maxBatchMessages, Size: maxBatchBytes, SizeOf: func(m *message) int { return int(m.weight) },
		})
		kept := all[:0]
		for _, m := range all {
			if m.claim.CompareAndSwap(false, true) {
				kept = append(kept, m)
			} else {
				s.queue.Release(m.weight)
			}
		}
		if len(kept) > 0 || len(all) == 0 {
			return kept
		}
	}
}

func (s *Sender) finish(messages []*message, err error) {
	for _, m := range messages {
		m.done <- err
		s.queue.Release(m.weight)
	}
}

func (s *Sender) fail() {
	for messages := s.take(); len(messages) > 0; messages = s.take() {
		s.finish(messages, ErrNotRunning)
	}
}

func (s *Sender) notify(ctx context.Context, messages []*message) error {
	s.batch++
	packer := frame.NewPacker(s.prefix + "." + strconv.FormatUint(s.batch, 36))
	for _, m := range messages {
		packer.Add(m.record)
	}
	return s.transact(ctx, packer.Payloads())
}

// transact notifies in one round trip.
func (s *Sender) transact(ctx context.Context, payloads []string) error {
	ctx, cancel := context.WithTimeout(ctx, batchTime)
	defer cancel()
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrBusy, err)
	}
	defer conn.Release() // which closes one whose transaction failed
	var b pgx.Batch
	b.Queue(sqlBegin)
	b.Queue(sqlAsync)
	b.Queue(sqlNotify, payloads)
	b.Queue(sqlCommit)
	err = conn.SendBatch(ctx, &b).Close()
	var refused *pgconn.PgError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &refused) && !conn.Conn().IsClosed():
		return fmt.Errorf("%w: notify: %w", ErrBusy, err)
	default:
		return fmt.Errorf("%w: notify: %w", ErrOutcomeUnknown, err)
	}
}
