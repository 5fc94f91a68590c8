package reader

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/millrace-dev/millrace/internal/service"
	"github.com/millrace-dev/millrace/realtime/internal/frame"
)

// Position is a place in a channel's history; zero in channels that keep none.
type Position struct {
	Offset uint64
	Epoch  string
}

// Publication is one message of a channel. Its Position is zero when it was
// never stored.
type Publication struct {
	Position
	Data []byte
	// Meta is the JSON that was published with it, or empty.
	Meta string
	// At is the commit's time by the database's clock; zero when it came with a
	// notification.
	At time.Time
}

// Answer is what became of a hand-over. Repeated and Skipped say that it
// published nothing, because of its idempotency key or its version.
type Answer struct {
	Position

	Repeated, Skipped bool
}

// Config is what a Reader is made of. Pool, Keep, Healthy and the callbacks are
// needed. The callbacks are called one at a time for each channel.
type Config struct {
	Pool *pgxpool.Pool
	// Keep says what a channel's history shows. Size 0: it keeps none.
	Keep func(channel string) (size int, ttl time.Duration)
	// Healthy says whether the listening connection is known to be alive.
	Healthy func() bool

	// Deliver hands on a publication of a subscribed channel, with the one right
	// before it where Previous asks for that and it is known.
	Deliver func(channel string, p, previous *Publication)
	// Previous says whether to remember the last publication of a subscribed
	// channel. Nil: of none.
	Previous func(channel string) bool
	// Missed tells that what was handed on of a subscribed channel does not lead to
	// its top: what comes next was trimmed, or the history has gone back and goes
	// on from there with other publications.
	Missed func(channel string)
	// Presence hands on that somebody joined or left a subscribed channel.
	Presence func(channel string, joined bool, meta string)
	// Published answers a hand-over.
	Published func(origin string, answer Answer)
	// Lost tells that notifications were lost, so that hand-overs have to be
	// looked up. It must not block.
	Lost func()

	// Poll, when above 0, says that no notifications come in: subscribed channels
	// are compared with their tops at this interval, if anything was published.
	Poll time.Duration
	// BufferBytes bounds the notifications that wait to be handed on; 0 means
	// 32 MiB.
	BufferBytes int
	// Logger is slog.Default when nil.
	Logger *slog.Logger
}

const defaultBufferBytes = 32 << 20

// Reader is one instance's read side. All methods may be called from any
// goroutine.
type Reader struct {
	service.Base

	cfg    Config
	log    *slog.Logger
	buffer buffer
	subs   subscriptions
	repair repairs
	reads  flights

	counters counters
}

// New makes a reader.
func New(cfg Config) (*Reader, error) {
	if cfg.Pool == nil || cfg.Keep == nil || cfg.Healthy == nil ||
		cfg.Deliver == nil || cfg.Missed == nil || cfg.Presence == nil || cfg.Published == nil || cfg.Lost == nil {
		return nil, errors.New("configure the reader: Pool, Keep, Healthy and the callbacks are needed") //nolint:err113 // read by a person at start
	}
	if cfg.BufferBytes == 0 {
		cfg.BufferBytes = defaultBufferBytes
	}
	if cfg.Previous == nil {
		cfg.Previous = func(string) bool { return false }
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	return &Reader{
		cfg: cfg, log: cfg.Logger,
		buffer: newBuffer(cfg.BufferBytes),
		subs:   subscriptions{byName: map[string]*subscription{}},
		repair: newRepairs(),
		reads:  flights{waiting: map[flightKey]*flight{}, flying: map[flightKey]*flight{}},
	}, nil
}

// Start begins to hand publications on.
func (r *Reader) Start(ctx context.Context) error {
	if _, err := r.Begin(ctx); err != nil {
		return fmt.Errorf("start the reader: %w", err)
	}
	r.Go(r.dispatch)
	r.Go(r.repairAll)
	if r.cfg.Poll > 0 {
		r.Go(r.poll)
	}
	return nil
}

// OnNotify takes a notification's payload. It does not block.
func (r *Reader) OnNotify(payload string) { r.buffer.add(payload) }

// OnReset repairs every subscribed channel, after the listening connection was
// made anew. A reader that polls does not need to be told.
func (r *Reader) OnReset(context.Context) {
	if r.cfg.Poll > 0 {
		return
	}
	r.repairSubscribed()
	r.cfg.Lost()
}

// dispatch hands on what comes in until ctx ends.
func (r *Reader) dispatch(ctx context.Context) {
	var frames frame.Reader
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.buffer.ready:
		}
		payloads, overflowed := r.buffer.takeAll()
		if overflowed {
			frames.Reset()
			r.counters.overflows.Add(1)
			r.log.Warn("notifications came faster than they could be handed on: reading the tables")
			r.lost()
		}
		for _, payload := range payloads {
			if err := frames.Read(payload, r.handle); err != nil {
				r.log.Warn("notification cannot be read", "err", err)
				r.lost()
			}
		}
	}
}

func (r *Reader) lost() {
	r.repairSubscribed()
	r.cfg.Lost()
}

func (r *Reader) handle(f *frame.Record) {
	position := Position{Offset: f.Offset, Epoch: f.Epoch}
	if f.Origin != "" {
		r.cfg.Published(f.Origin, Answer{Position: position, Repeated: f.Kind == frame.Repeated, Skipped: f.Kind == frame.Skipped})
	}
	sub := r.subs.get(f.Channel)
	if sub == nil {
		return
	}
	repair := false
	switch f.Kind {
	case frame.Repeated, frame.Skipped: // they have no channel
	case frame.Join, frame.Leave:
		r.cfg.Presence(f.Channel, f.Kind == frame.Join, f.Meta)
	case frame.Ephemeral:
		r.cfg.Deliver(f.Channel, &Publication{Data: f.Data, Meta: f.Meta}, nil)
	case frame.Stored:
		repair = sub.offer(position, f.Announced, func() {
			r.handOn(f.Channel, sub, &Publication{Position: position, Data: f.Data, Meta: f.Meta})
		})
	case frame.Removed:
		repair = sub.stored && sub.miss()
	}
	if repair {
		r.repair.add(f.Channel, sub)
	}
}

// handOn delivers a publication of a channel with history. The subscription is
// locked.
func (r *Reader) handOn(channel string, sub *subscription, p *Publication) {
	if !r.cfg.Previous(channel) {
		sub.last = nil
		r.cfg.Deliver(channel, p, nil)
		return
	}
	previous := sub.last
	if previous != nil && (previous.Epoch != p.Epoch || previous.Offset+1 != p.Offset) {
		previous = nil
	}
	sub.last = p
	r.cfg.Deliver(channel, p, previous)
}
