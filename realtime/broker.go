package realtime

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"time"
	"unicode/utf8"

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

// errUnsupported is returned for publish options that are neither stored nor
// sent, so that nobody relies on them.
var errUnsupported = errors.New("publish option is not supported on Postgres")

// brokerConfig is what a broker is made of. All but logger are needed.
type brokerConfig struct {
	pool     *pgxpool.Pool
	url      string // direct, for the sequencer's session
	pooled   bool   // it leads through a proxy that pools transactions
	listener *postgres.Listener
	// keep says what is kept of a channel; size 0 means that it is ephemeral or
	// a view. It alone decides: the history options of a publish do not.
	keep keepFunc
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
		Pool: cfg.pool, URL: cfg.url, Pooled: cfg.pooled, Poll: poll, Keep: cfg.keep, Admit: cfg.admit, Logger: cfg.logger,
	})
	if err != nil {
		return nil, err //nolint:wrapcheck // it says what was being done
	}
	b.read, err = reader.New(reader.Config{
		Pool: cfg.pool, Keep: cfg.keep, Healthy: cfg.listener.Healthy, Poll: poll, Logger: cfg.logger,
		Deliver: b.deliver, Rewound: b.rewound, Presence: b.presence, Published: b.published, Lost: b.write.Asked,
	})
	if err != nil {
		return nil, err //nolint:wrapcheck // it says what was being done
	}
	cfg.listener.Handle(notifyPublications, b.read.OnNotify, b.read.OnReset)
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

// publishMany is a publishFunc.
func (b *broker) publishMany(ctx context.Context, messages []Message) []Outcome {
	outcomes := make([]Outcome, len(messages))
	for i, m := range messages {
		o := &m.Options
		if o.HistoryTTL != 0 {
			outcomes[i].Err = fmt.Errorf("%w: HistoryTTL", errUnsupported)
			continue
		}
		position, repeated, err := b.publish(ctx, m.Channel, m.Data, centrifuge.PublishOptions{
			IdempotencyKey: o.IdempotencyKey, Version: o.Version, VersionEpoch: o.VersionEpoch, Tags: o.Tags, UseDelta: o.Delta,
		})
		outcomes[i] = Outcome{PublishResult: PublishResult{Position: Position(position), Repeated: repeated}, Err: err}
	}
	return outcomes
}

// Publish is part of centrifuge.Broker. See publish.
func (b *broker) Publish(channel string, data []byte, opts centrifuge.PublishOptions) (centrifuge.StreamPosition, bool, error) {
	return b.publish(context.Background(), channel, data, opts)
}

// publish returns once the publication is committed (on ephemeral channels:
// notified). The errors are ErrChannelName, ErrBusy, ErrOutcomeUnknown and
// ErrNotRunning.
func (b *broker) publish(ctx context.Context, channel string, data []byte, opts centrifuge.PublishOptions) (centrifuge.StreamPosition, bool, error) {
	if err := ValidateChannel(channel); err != nil { // one bad name would spoil a batch
		return centrifuge.StreamPosition{}, false, err
	}
	if opts.Version != 0 || opts.UseDelta {
		return centrifuge.StreamPosition{}, false, fmt.Errorf("publish to %s: %w: Version, UseDelta", channel, errUnsupported)
	}
	meta, err := encodeMeta(opts.ClientInfo, opts.Tags)
	if err != nil {
		return centrifuge.StreamPosition{}, false, err
	}
	size, _ := b.keep(channel)
	if size == 0 && opts.IdempotencyKey == "" {
		record := &frame.Record{Kind: frame.Ephemeral, Channel: channel, Meta: meta, Data: data}
		return centrifuge.StreamPosition{}, false, publicError(b.send.Send(ctx, record))
	}
	r, err := b.write.Publish(ctx, sequencer.Message{Channel: channel, Data: data, Meta: meta, Key: storedKey(opts.IdempotencyKey)})
	if err != nil {
		return centrifuge.StreamPosition{}, false, publicError(err)
	}
	b.read.Acked(channel, reader.Position(r.Position))
	return centrifuge.StreamPosition(r.Position), r.Repeated, nil
}

// storedKey is an idempotency key as it stands in the database: what is too long
// for an index or no text is replaced by its hash.
func storedKey(key string) string {
	const longest = 255
	if len(key) <= longest && utf8.ValidString(key) && !strings.Contains(key, "\x00") {
		return key
	}
	return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(key)))
}

// publicError translates the parts' errors into the package's own.
func publicError(err error) error {
	for _, known := range [...]struct{ inner, public error }{
		{sequencer.ErrBusy, ErrBusy}, {ephemeral.ErrBusy, ErrBusy},
		{sequencer.ErrOutcomeUnknown, ErrOutcomeUnknown}, {ephemeral.ErrOutcomeUnknown, ErrOutcomeUnknown},
		{sequencer.ErrNotRunning, ErrNotRunning}, {ephemeral.ErrNotRunning, ErrNotRunning},
	} {
		if errors.Is(err, known.inner) {
			return fmt.Errorf("%w: %w", known.public, err)
		}
	}
	return err
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
		publications[i] = publication(p)
	}
	return publications, centrifuge.StreamPosition(top), nil
}

// RemoveHistory is part of centrifuge.Broker. Later offsets go on from the
// present top.
func (b *broker) RemoveHistory(channel string) error {
	return b.read.Remove(context.Background(), channel) //nolint:wrapcheck // it says what was being done
}

// deliver, rewound, presence and published are the reader's callbacks.

func (b *broker) deliver(channel string, p *reader.Publication) {
	// The error says that a connection could not be written to, which the node
	// deals with.
	_ = b.handler.HandlePublication(channel, publication(p), centrifuge.StreamPosition(p.Position), false, nil)
}

// rewound makes every subscriber find that it has lost its place: this offset is
// the node's sign for it.
func (b *broker) rewound(channel string) {
	_ = b.handler.HandlePublication(channel, &centrifuge.Publication{Offset: math.MaxUint64}, centrifuge.StreamPosition{}, false, nil)
}

func (b *broker) presence(channel string, joined bool, meta string) {
	info, _ := decodeMeta(meta)
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

func (b *broker) published(origin string, p reader.Position, repeated bool) {
	b.write.Published(origin, sequencer.Result{Position: sequencer.Position(p), Repeated: repeated})
}
