package realtime

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"
	"unicode/utf8"

	"github.com/centrifugal/centrifuge"

	"github.com/millrace-dev/millrace/internal/service"
)

// Hub is one instance's realtime node: it publishes, reads history, and serves the connections of this
// instance. It is a service.Service; all other methods may be called from any goroutine.
type Hub struct {
	service.Base

	config     Config
	log        *slog.Logger
	namespaces *namespaces
	node       *centrifuge.Node
	// broker is nil in hubs whose channels are in memory.
	broker *broker
	// control, lease and members are nil in hubs in memory: there is nobody else.
	control *control
	lease   *lease
	members *membership

	answers  lane // to other hubs' questions
	settling settling
	publish  publishFunc
	views    views
	revoked  revocations
}

// keepFunc says how much of a channel's history is kept; nothing of ephemeral ones and views.
type keepFunc func(channel string) (size int, ttl time.Duration)

// New makes a hub whose channels are shared by all instances on one database. It registers its channels on
// Config.Listener, so it comes before that is started.
func New(config Config) (*Hub, error) {
	if err := config.validateShared(); err != nil {
		return nil, fmt.Errorf("configure realtime: %w", err)
	}
	h, err := newHub(config)
	if err != nil {
		return nil, err
	}
	h.broker, err = newBroker(brokerConfig{
		pool: config.Pool, url: config.URL, pooled: config.SharedURL, listener: config.Listener,
		keep: h.keep, relaxed: h.isRelaxed, delta: h.sendsDeltas, view: h.isView, admit: h.admit, logger: h.log,
	})
	if err != nil {
		return nil, fmt.Errorf("make realtime broker: %w", err)
	}
	h.node.SetBroker(h.broker)
	metrics := newMetrics(h.broker, config.Pool)
	if err := metrics.register(h.config.Registry); err != nil {
		return nil, fmt.Errorf("register realtime's metrics: %w", err)
	}
	h.publish = metrics.timed(h.broker.publishMany)
	h.control = newControl(config.Pool, config.Listener, h.log)
	for kind, carry := range h.carry() {
		h.onControl(kind, carry)
	}
	h.onControl(controlNamespace, h.namespacesChanged)
	h.broker.tell = h.tellPresence
	h.keepPresence()
	return h, nil
}

func newHub(config Config) (*Hub, error) {
	all, err := newNamespaces(config.Namespaces)
	if err := errors.Join(err, config.validate()); err != nil {
		return nil, fmt.Errorf("configure realtime: %w", err)
	}
	config = config.withDefaults()
	h := &Hub{config: config, log: config.Logger, namespaces: all}
	if h.node, err = newNode(h); err != nil {
		return nil, fmt.Errorf("make realtime node: %w", err)
	}
	return h, nil
}

// keep is a keepFunc.
func (h *Hub) keep(channel string) (size int, ttl time.Duration) {
	if settings := h.namespaces.of(channel); settings.keepsHistory() {
		return settings.HistorySize, settings.HistoryTTL
	}
	return 0, 0
}

// Start makes the hub ready for publishing and for connections.
func (h *Hub) Start(ctx context.Context) error {
	if _, err := h.Begin(ctx); err != nil {
		return fmt.Errorf("start realtime: %w", err)
	}
	if h.broker != nil {
		// Commands come before anything is read that they may change.
		for _, part := range []service.Service{h.control, h.lease, h.members} {
			if err := part.Start(ctx); err != nil {
				return errors.Join(fmt.Errorf("start realtime: %w", err), h.Stop(context.WithoutCancel(ctx)))
			}
		}
		if err := h.startNamespaces(ctx); err != nil {
			return errors.Join(fmt.Errorf("start realtime: %w", err), h.Stop(context.WithoutCancel(ctx)))
		}
		if err := h.broker.Start(ctx); err != nil {
			return errors.Join(fmt.Errorf("start realtime broker: %w", err), h.Stop(context.WithoutCancel(ctx)))
		}
	}
	if err := h.node.Run(); err != nil {
		return errors.Join(fmt.Errorf("start realtime node: %w", err), h.Stop(context.WithoutCancel(ctx)))
	}
	return nil
}

// Stop disconnects every connection with code 3001, which tells clients to reconnect, and waits until nothing
// of the hub runs any more or ctx ends.
func (h *Hub) Stop(ctx context.Context) error {
	errs := []error{h.node.Shutdown(ctx)}
	if h.broker != nil {
		errs = append(errs, h.members.Stop(ctx), h.lease.Stop(ctx), h.control.Stop(ctx), h.broker.Stop(ctx))
	}
	return errors.Join(append(errs, h.Base.Stop(ctx))...)
}

func (h *Hub) isRelaxed(channel string) bool { return h.namespaces.of(channel).Relaxed }

func (h *Hub) sendsDeltas(channel string) bool { return h.namespaces.of(channel).Delta }

func (h *Hub) isView(channel string) bool { return h.namespaces.of(channel).Source != nil }

// admit says why a channel does not take data.
func (h *Hub) admit(channel string, data []byte) error {
	if err := ValidateChannel(channel); err != nil {
		return err
	}
	settings := h.namespaces.of(channel)
	switch {
	case settings.Source != nil:
		return ErrReadOnly
	case len(data) > settings.maxSize():
		return fmt.Errorf("%w: %d bytes, the limit is %d", ErrTooLarge, len(data), settings.maxSize())
	case !settings.Binary && (!utf8.Valid(data) || !json.Valid(data)): // json.Valid does not look inside strings
		return ErrNotJSON
	}
	return nil
}

// History reads a channel's history. The errors are ErrChannelName, ErrNoHistory, ErrUnrecoverable and
// ErrNotRunning.
func (h *Hub) History(ctx context.Context, channel string, query HistoryQuery) (HistoryPage, error) {
	if err := h.readable(channel); err != nil {
		return HistoryPage{}, fmt.Errorf("history of %q: %w", channel, err)
	}
	if err := ctx.Err(); err != nil {
		return HistoryPage{}, fmt.Errorf("history of %q: %w", channel, err)
	}
	filter := centrifuge.HistoryFilter{Limit: query.Limit, Reverse: query.Reverse}
	if query.Since != nil {
		filter.Since = (*centrifuge.StreamPosition)(query.Since)
	}
	result, err := h.node.History(channel, centrifuge.WithHistoryFilter(filter))
	if errors.Is(err, centrifuge.ErrorUnrecoverablePosition) {
		err = ErrUnrecoverable
	}
	if err != nil {
		return HistoryPage{}, fmt.Errorf("history of %q: %w", channel, err)
	}
	page := historyPage(result)
	if query.gap(page) {
		return HistoryPage{}, fmt.Errorf("history of %q: %w: it does not go on from offset %d", channel, ErrUnrecoverable, query.Since.Offset)
	}
	return page, nil
}

func (h *Hub) readable(channel string) error {
	if !h.Running() {
		return ErrNotRunning
	}
	if err := ValidateChannel(channel); err != nil {
		return err
	}
	if !h.namespaces.of(channel).keepsHistory() {
		return ErrNoHistory
	}
	return nil
}

// Deliver sends data, which must be JSON, to this instance's subscribers of a view channel. It does not block.
func (h *Hub) Deliver(channel string, data []byte) { h.views.deliver(channel, data) }

// MaxFrame is the most bytes that one inbound frame of the official protocol needs: the largest publication
// and its envelope.
func (h *Hub) MaxFrame() int {
	const envelope = 4 << 10
	return h.namespaces.largest() + envelope
}
