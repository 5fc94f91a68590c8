package realtime

import (
	"context"
	"maps"
	"time"

	"github.com/centrifugal/centrifuge"
)

// controlNamespace is the kind of the command that says that namespaces have changed. It has no payload.
const controlNamespace = "namespace"

// namespacePoll is how often the stored namespaces are read without being told of a change: the longest time for
// which a lost notification leaves an instance with old settings.
const namespacePoll = 5 * time.Second

// startNamespaces stores the configuration's and brings the stored ones into force, before anybody can publish.
func (h *Hub) startNamespaces(ctx context.Context) error {
	if err := h.namespaces.table().storeBuiltIn(ctx, h.config.Pool); err != nil {
		return err
	}
	if err := h.reloadNamespaces(ctx); err != nil {
		return err
	}
	h.Go(h.watchNamespaces)
	return nil
}

// readTable puts what is stored beside the configuration's namespaces. Rows that break the rules, which somebody
// must have written by hand, are not in it.
func (h *Hub) readTable(ctx context.Context, from querier) (*namespaceTable, error) {
	list, err := readStored(ctx, from)
	if err != nil {
		return nil, err
	}
	stored := make(map[string]*Namespace, len(list))
	for i := range list {
		n := &list[i].Namespace
		if err := n.validate(); err != nil {
			h.log.WarnContext(ctx, "realtime: a stored namespace is left out", "err", err)
			continue
		}
		stored[n.Name] = n
	}
	return newNamespaceTable(h.namespaces.table().builtIn, stored), nil
}

// reloadNamespaces brings what is stored into force.
func (h *Hub) reloadNamespaces(ctx context.Context) error {
	h.namespaces.reload.Lock()
	defer h.namespaces.reload.Unlock()

	after, err := h.readTable(ctx, h.config.Pool)
	if err != nil {
		return err
	}
	before := h.namespaces.table()
	if maps.EqualFunc(before.byName, after.byName, func(a, b *Namespace) bool { return a == b || *a == *b }) {
		return nil
	}
	h.namespaces.current.Store(after)
	h.Go(func(ctx context.Context) { h.applyNamespaces(ctx, before, after) })
	return nil
}

// namespacesChanged carries out the command.
func (h *Hub) namespacesChanged(command) {
	select {
	case h.namespaces.changed <- struct{}{}:
	default: // the one that waits is read for both
	}
}

// watchNamespaces reads the stored namespaces from time to time.
func (h *Hub) watchNamespaces(ctx context.Context) {
	tick := time.NewTicker(namespacePoll)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-h.namespaces.changed:
		}
		if err := h.reloadNamespaces(ctx); err != nil && ctx.Err() == nil {
			h.log.WarnContext(ctx, "realtime: the settings of namespaces are as they were", "err", err)
		}
	}
}

// applyNamespaces ends the open subscriptions that the settings admit no more, and has those taken up again that
// would be others now. Subscriptions that are being set up look for themselves.
func (h *Hub) applyNamespaces(ctx context.Context, before, after *namespaceTable) {
	if h.broker != nil {
		h.broker.read.Renew(ctx, func(channel string) bool {
			return before.of(channel).keepsHistory() != after.of(channel).keepsHistory()
		})
	}
	for _, client := range h.node.Hub().Connections() {
		conn := connectionOf(client.Context())
		if credentials := conn.credentials(); credentials.anonymous() && !after.anonymous {
			client.Disconnect(centrifuge.DisconnectInvalidToken)
			continue
		}
		for _, channel := range client.Channels() {
			if was, now := before.of(channel), after.of(channel); was != now && *was != *now {
				h.reconsider(client, channel, was)
			}
		}
	}
}

// reconsider looks at an open subscription that was made with some settings.
func (h *Hub) reconsider(client *centrifuge.Client, channel string, was *Namespace) {
	now := h.namespaces.of(channel)
	switch {
	case h.may(connectionOf(client.Context()), ActionSubscribe, channel) != nil:
		client.Unsubscribe(channel, unsubscribeDenied)
	case was.subscription() != now.subscription():
		client.Unsubscribe(channel, unsubscribeAgain)
	}
}

var (
	// unsubscribeDenied leaves the client unsubscribed: codes below 2500 are final in the protocol.
	unsubscribeDenied = centrifuge.Unsubscribe{Code: centrifuge.UnsubscribeCodeServer, Reason: "permission denied"}
	// unsubscribeAgain makes the client subscribe again at once, from its position if it has one.
	unsubscribeAgain = centrifuge.Unsubscribe{Code: centrifuge.UnsubscribeCodeInsufficient, Reason: "settings changed"}
)

// subscription are the settings that a subscription is made with.
type subscription struct {
	view                                                    bool
	keepsHistory, cacheRecovery, presence, joinLeave, delta bool
	// told is who is told of joins and leaves.
	told Rule
}

func (n *Namespace) subscription() subscription {
	s := subscription{
		view: n.Source != nil, keepsHistory: n.keepsHistory(), cacheRecovery: n.CacheRecovery,
		presence: n.Presence, joinLeave: n.JoinLeave, delta: n.Delta,
	}
	if n.JoinLeave {
		s.told = n.rule(ActionPresence)
	}
	return s
}
