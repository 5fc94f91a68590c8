package sequencer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"

	"github.com/millrace-dev/millrace/internal/service"
	"github.com/millrace-dev/millrace/realtime/internal/queue"
)

// Sequencer is one instance's part in the write side. All methods may be called
// from any goroutine.
type Sequencer struct {
	service.Base

	cfg    Config
	log    *slog.Logger
	queue  *queue.Queue[*request]
	groups atomic.Uint64 // the last one given out
	wake   chan struct{} // the gate: there is something in the outbox
	ask    chan struct{} // notifications may have been lost
	handed *handovers
	// handedOver says that the present session has handed something over; it
	// belongs to the sequencer's own goroutine, as unknown does.
	handedOver bool
	unknown    unsettled
	written    written
	pin        *pin // with Config.Pooled, while there is a session
	owner      atomic.Bool
	counters   counters
	session    atomic.Uint32 // the server process of the session
	heard      atomic.Int64  // the count of the last durable batch that was notified
}

// New makes a sequencer. It returns all mistakes in cfg at once.
func New(cfg Config) (*Sequencer, error) {
	var errs []error
	if cfg.Pool == nil || cfg.URL == "" || cfg.Keep == nil {
		errs = append(errs, errors.New("a Pool, a URL and Keep are needed")) //nolint:err113 // read by a person at start
	}
	if cfg.QueueBytes < 0 || cfg.Patience < 0 || cfg.ElectionInterval < 0 {
		errs = append(errs, errors.New("sizes and times must not be negative")) //nolint:err113 // read by a person at start
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("configure the sequencer: %w", err)
	}
	cfg = cfg.withDefaults()
	return &Sequencer{
		cfg: cfg, log: cfg.Logger,
		queue:  queue.New[*request](cfg.QueueBytes),
		wake:   make(chan struct{}, 1),
		ask:    make(chan struct{}, 1),
		handed: newHandovers(),
	}, nil
}

// Start opens the session, in which it checks what the protocol needs of the
// database, and stands for election.
func (s *Sequencer) Start(ctx context.Context) error {
	if _, err := s.Begin(ctx); err != nil {
		return fmt.Errorf("start the sequencer: %w", err)
	}
	conn, err := s.connect(ctx)
	if err != nil {
		return errors.Join(fmt.Errorf("start the sequencer: %w", err), s.Stop(context.WithoutCancel(ctx)))
	}
	if !s.Go(func(ctx context.Context) { s.run(ctx, conn) }) {
		s.disconnect(conn)
		return fmt.Errorf("start the sequencer: %w", ErrNotRunning)
	}
	s.Go(s.retain)
	return nil
}

// Woken tells of a notification from the gate.
func (s *Sequencer) Woken() { signal(s.wake) }

// Published tells of a publication that a hand-over waits for.
func (s *Sequencer) Published(origin string, result Result) {
	if r := s.handed.remove(origin); r != nil {
		s.finish(r, Answer{Result: result})
	}
}

// Asked tells that notifications may have been lost: hand-overs are looked up.
func (s *Sequencer) Asked() { signal(s.ask) }

// Owner reports whether this instance is the one that writes.
func (s *Sequencer) Owner() bool { return s.owner.Load() }

// SessionPID is the server process of the session, 0 when there is none.
func (s *Sequencer) SessionPID() uint32 { return s.session.Load() }

// finish answers a request and gives its room back.
func (s *Sequencer) finish(r *request, out Answer) {
	r.done <- out
	s.queue.Release(r.weight)
}

func (s *Sequencer) finishAll(rs []*request, out Answer) {
	for _, r := range rs {
		s.finish(r, out)
	}
}

// take removes requests from the queue, without those that were withdrawn.
func (s *Sequencer) take(limit, maxSize int) []*request {
	for {
		all := s.queue.Take(queue.Limits[*request]{Items: limit, Size: maxSize, SizeOf: (*request).size, Together: (*request).together})
		kept := all[:0]
		for _, r := range all {
			if r.take() {
				kept = append(kept, r)
			} else {
				s.finish(r, Answer{Err: ErrBusy})
			}
		}
		if len(kept) > 0 || len(all) == 0 {
			return kept
		}
	}
}

// giveBack returns requests that were certainly not published.
func (s *Sequencer) giveBack(rs []*request) {
	for _, r := range rs {
		r.state.Store(queued)
	}
	s.queue.Return(rs)
}

func (s *Sequencer) failQueued() {
	for {
		rs := s.take(maxBatchMessages, maxBatchBytes)
		if len(rs) == 0 {
			return
		}
		s.finishAll(rs, Answer{Err: ErrNotRunning})
	}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
