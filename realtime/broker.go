package realtime

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"time"

	"github.com/centrifugal/centrifuge"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/millrace-dev/millrace/internal/postgres"
	"github.com/millrace-dev/millrace/internal/service"
	"github.com/millrace-dev/millrace/realtime/internal/ephemeral"
	"github.com/millrace-dev/millrace/realtime/internal/frame"
	"github.com/millrace-dev/millrace/realtime/internal/reader"
	"github.com/millrace-dev/millrace/realtime/internal/sequencer"
)

// The channels of NOTIFY that the broker listens to.
const (
	notifyPublications = "millrace_rt"
	notifyEphemeral    = "millrace_ephemeral"
	notifyWake         = "millrace_wake"
)

// pollEvery is how often publications are looked for where nothing is notified.
const pollEvery = 100 * time.Millisecond

// brokerTimeout bounds the calls that centrifuge makes without a context.
const brokerTimeout = 10 * time.Second

// brokerConfig is what a broker is made of. All but logger, relaxed and delta are needed.
type brokerConfig struct {
	pool     *pgxpool.Pool
	url      string // direct, for the sequencer's session
	pooled   bool   // it leads through a proxy that pools transactions
	listener *postgres.Listener
	// keep says what is kept of a channel; size 0 means that it is ephemeral or
	// a view. It alone decides: the history options of a publish do not.
	keep keepFunc
	// relaxed says whether a crash may take a channel's last publications, delta
	// whether they are sent as differences. Nil: of none.
	relaxed, delta func(channel string) bool
	// view says whether a channel is a view, which the broker has no part in.
	view func(channel string) bool
	// admit says whether a channel takes data that was published in SQL.
	admit  func(channel string, data []byte) error
	logger *slog.Logger
}

// broker is centrifuge.Broker on Postgres. Start comes before the node's Run,
// Stop after its Shutdown.
type broker struct {
	parts   service.Group
	keep    keepFunc
	view    func(channel string) bool
	write   *sequencer.Sequencer
	read    *reader.Reader
	send    *ephemeral.Sender
	handler centrifuge.BrokerEventHandler
	// tell, when it is set, hears of joins and leaves in the handler's stead.
	tell func(channel string, joined bool, info *centrifuge.ClientInfo)
}

var _ centrifuge.Broker = (*broker)(nil)

// newBroker makes a broker and registers it with the listener, which must not
// have been started.
func newBroker(cfg brokerConfig) (*broker, error) {
	if cfg.listener == nil {
		return nil, errors.New("configure the broker: a listener is needed") //nolint:err113 // read by a person at start
	}
	b := &broker{keep: cfg.keep, view: cfg.view, send: ephemeral.New(cfg.pool)}
	var poll time.Duration
	if cfg.listener.Polling() {
		poll = pollEvery
	}
	var err error
	b.write, err = sequencer.New(sequencer.Config{
		Pool: cfg.pool, URL: cfg.url, Pooled: cfg.pooled, Poll: poll, Keep: cfg.keep, Relaxed: cfg.relaxed, Admit: cfg.admit,
		Logger: cfg.logger,
	})
	if err != nil {
		return nil, err //nolint:wrapcheck // it says what was being done
	}
	b.read, err = reader.New(reader.Config{
		Pool: cfg.pool, Keep: cfg.keep, Previous: cfg.delta, Healthy: cfg.listener.Healthy, Poll: poll, Logger: cfg.logger,
		Deliver: b.deliver, Missed: b.missed, Presence: b.presence, Published: b.published, Lost: b.write.Asked,
	})
	if err != nil {
		return nil, err //nolint:wrapcheck // it says what was being done
	}
	cfg.listener.Handle(notifyPublications, func(payload string) {
		b.write.Heard(payload)
		b.read.OnNotify(payload)
	}, b.read.OnReset)
	cfg.listener.Handle(notifyEphemeral, b.read.OnNotify, nil)
	cfg.listener.Handle(notifyWake, func(string) { b.write.Woken() }, nil)
	b.parts.Add("reader", b.read)
	b.parts.Add("sequencer", b.write)
	b.parts.Add("ephemeral sender", b.send)
	return b, nil
}

// Start begins to read and stands for the election of the writer.
func (b *broker) Start(ctx context.Context) error {
	return b.parts.Start(ctx) //nolint:wrapcheck // it names the part
}

// Stop answers every publish that waits and ends. Where this instance was the
// writer, another one takes over at once.
func (b *broker) Stop(ctx context.Context) error {
	return b.parts.Stop(ctx) //nolint:wrapcheck // it names the part
}

// RegisterBrokerEventHandler is part of centrifuge.Broker; the node calls it
// before anybody can subscribe.
func (b *broker) RegisterBrokerEventHandler(h centrifuge.BrokerEventHandler) error {
	b.handler = h
	return nil
}

// Subscribe is part of centrifuge.Broker. Of a view nothing is listened to, so
// that no notification, wherever it comes from, can pass for its state.
func (b *broker) Subscribe(channel string) error {
	if b.view(channel) {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), brokerTimeout)
	defer cancel()
	return b.read.Subscribe(ctx, channel) //nolint:wrapcheck // it says what was being done
}

// Unsubscribe is part of centrifuge.Broker.
func (b *broker) Unsubscribe(channel string) error {
	b.read.Unsubscribe(channel)
	return nil
}

// PublishJoin is part of centrifuge.Broker.
func (b *broker) PublishJoin(channel string, info *centrifuge.ClientInfo) error {
	return b.publishPresence(channel, info, frame.Join)
}

// PublishLeave is part of centrifuge.Broker.
func (b *broker) PublishLeave(channel string, info *centrifuge.ClientInfo) error {
	return b.publishPresence(channel, info, frame.Leave)
}

func (b *broker) publishPresence(channel string, info *centrifuge.ClientInfo, kind frame.Kind) error {
	meta, err := encodeMeta(info, nil)
	if err != nil {
		return err
	}
	return publicError(b.send.Send(context.Background(), &frame.Record{Kind: kind, Channel: channel, Meta: meta}))
}

// History is part of centrifuge.Broker.
func (b *broker) History(channel string, opts centrifuge.HistoryOptions) ([]*centrifuge.Publication, centrifuge.StreamPosition, error) {
	ctx, cancel := context.WithTimeout(context.Background(), brokerTimeout)
	defer cancel()
	filter := opts.Filter
	list, top, err := b.read.History(ctx, channel, reader.Query{
		Since: (*reader.Position)(filter.Since), Limit: filter.Limit, Reverse: filter.Reverse,
	})
	if err != nil {
		return nil, centrifuge.StreamPosition{}, err //nolint:wrapcheck // it says what was being done
	}
	publications := make([]*centrifuge.Publication, len(list))
	for i, p := range list {
		publications[i], _ = newPublication(p)
	}
	return publications, centrifuge.StreamPosition(top), nil
}

// RemoveHistory is part of centrifuge.Broker. The channel begins a new epoch, in
// which offsets go on from the present top.
func (b *broker) RemoveHistory(channel string) error {
	ctx, cancel := context.WithTimeout(context.Background(), brokerTimeout)
	defer cancel()
	m := sequencer.Message{Channel: channel, Key: rand.Text(), Options: sequencer.Options{Remove: true}}
	if _, err := b.write.Publish(ctx, m); err != nil {
		return fmt.Errorf("remove the history of channel %s: %w", channel, publicError(err))
	}
	b.read.Refresh(channel)
	return b.read.Remove(ctx, channel) //nolint:wrapcheck // it says what was being done
}

// deliver, missed, presence and published are the reader's callbacks.

func (b *broker) deliver(channel string, p, previous *reader.Publication) {
	publication, delta := newPublication(p)
	var before *centrifuge.Publication
	if delta && previous != nil {
		before = &centrifuge.Publication{Offset: previous.Offset, Data: previous.Data}
	}
	// The error says that a connection could not be written to, which the node
	// deals with.
	_ = b.handler.HandlePublication(channel, publication, centrifuge.StreamPosition(p.Position), delta, before)
}

// missed makes every subscriber find that it has lost its place: this offset is
// the node's sign for it.
func (b *broker) missed(channel string) {
	_ = b.handler.HandlePublication(channel, &centrifuge.Publication{Offset: math.MaxUint64}, centrifuge.StreamPosition{}, false, nil)
}

func (b *broker) presence(channel string, joined bool, meta string) {
	info := decodeMeta(meta).info()
	switch {
	case info == nil:
	case b.tell != nil:
		b.tell(channel, joined, info)
	case joined:
		_ = b.handler.HandleJoin(channel, info)
	default:
		_ = b.handler.HandleLeave(channel, info)
	}
}

func (b *broker) published(origin string, answer reader.Answer) {
	b.write.Published(origin, sequencer.Result{
		Position: sequencer.Position(answer.Position), Repeated: answer.Repeated, Skipped: answer.Skipped,
	})
}
