package realtime

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/centrifugal/centrifuge"
)

// ErrNoPresence is returned for presence calls on channels whose namespace keeps none.
var ErrNoPresence = errors.New("channel keeps no presence")

// MaxMembers is the most members that Presence lists: those with the lowest client ids. PresenceStats counts all.
const MaxMembers = 1000

// auditEvery is how many heartbeats pass between two audits of the members.
const auditEvery = 5

// Member is one connection that is subscribed to a channel.
type Member struct {
	Client string // the connection's id
	User   string // empty when it has none
	// ConnInfo and ChannelInfo are JSON that its credentials and its subscription brought, or nil.
	ConnInfo, ChannelInfo []byte
}

// PresenceStats count who is subscribed to a channel. All connections without a user count as one user.
type PresenceStats struct{ Clients, Users int }

// Presence lists who is subscribed to a channel, over all nodes, by client id; at most MaxMembers of them. A
// subscription that was answered is in it; the members of a node that died are out of it within 15 s. The errors are
// ErrChannelName, ErrNoPresence and ErrNotRunning.
func (h *Hub) Presence(ctx context.Context, channel string) ([]Member, error) {
	if err := h.presentable(ctx, channel); err != nil {
		return nil, fmt.Errorf("presence of %q: %w", channel, err)
	}
	result, err := h.node.Presence(channel)
	if err != nil {
		return nil, fmt.Errorf("presence of %q: %w", channel, err)
	}
	members := make([]Member, 0, len(result.Presence))
	for client, info := range result.Presence {
		members = append(members, Member{Client: client, User: info.UserID, ConnInfo: info.ConnInfo, ChannelInfo: info.ChanInfo})
	}
	slices.SortFunc(members, func(a, b Member) int { return strings.Compare(a.Client, b.Client) })
	return members[:min(len(members), MaxMembers)], nil
}

// PresenceStats counts who is subscribed to a channel, over all nodes. The errors are those of Presence.
func (h *Hub) PresenceStats(ctx context.Context, channel string) (PresenceStats, error) {
	if err := h.presentable(ctx, channel); err != nil {
		return PresenceStats{}, fmt.Errorf("presence stats of %q: %w", channel, err)
	}
	result, err := h.node.PresenceStats(channel)
	if err != nil {
		return PresenceStats{}, fmt.Errorf("presence stats of %q: %w", channel, err)
	}
	return PresenceStats{Clients: result.NumClients, Users: result.NumUsers}, nil
}

// presentable says why a channel has no presence to show.
func (h *Hub) presentable(ctx context.Context, channel string) error {
	if !h.Running() {
		return ErrNotRunning
	}
	if err := ValidateChannel(channel); err != nil {
		return err
	}
	if !h.namespaces.of(channel).Presence {
		return ErrNoPresence
	}
	return ctx.Err()
}

// clientPresence answers a client's question for who is there.
func (h *Hub) clientPresence(client *centrifuge.Client, event centrifuge.PresenceEvent) (centrifuge.PresenceReply, error) {
	if err := h.maySeePresence(client, event.Channel); err != nil {
		return centrifuge.PresenceReply{}, protocolError(err)
	}
	result, err := h.node.Presence(event.Channel)
	if err != nil {
		return centrifuge.PresenceReply{}, h.clientError(err, event.Channel)
	}
	return centrifuge.PresenceReply{Result: &result}, nil
}

// clientPresenceStats answers a client's question for how many are there.
func (h *Hub) clientPresenceStats(client *centrifuge.Client, event centrifuge.PresenceStatsEvent) (centrifuge.PresenceStatsReply, error) {
	if err := h.maySeePresence(client, event.Channel); err != nil {
		return centrifuge.PresenceStatsReply{}, protocolError(err)
	}
	result, err := h.node.PresenceStats(event.Channel)
	if err != nil {
		return centrifuge.PresenceStatsReply{}, h.clientError(err, event.Channel)
	}
	return centrifuge.PresenceStatsReply{Result: &result}, nil
}

func (h *Hub) maySeePresence(client *centrifuge.Client, channel string) error {
	if err := h.may(connectionOf(client.Context()), ActionPresence, channel); err != nil {
		return err
	}
	return h.presentable(client.Context(), channel)
}

// present sets what a subscription has to do with presence. Who comes and goes is pushed to clients that ask for it
// and may see who is there.
func (h *Hub) present(options *centrifuge.SubscribeOptions, settings *Namespace, conn *connection, event centrifuge.SubscribeEvent) {
	options.EmitPresence = settings.Presence || settings.JoinLeave
	// On a database it is the change of the table that is told.
	options.EmitJoinLeave = settings.JoinLeave && h.members == nil
	options.PushJoinLeave = settings.JoinLeave && event.JoinLeave && h.may(conn, ActionPresence, event.Channel) == nil
}

// keepPresence makes the parts by which the hubs of a database know of each other's members.
func (h *Hub) keepPresence() {
	h.lease = newLease(h.config.Pool, h.config.NodeID, h.log)
	h.members = newMembership(h.config.Pool, h.lease, func(channel string) bool { return h.namespaces.of(channel).JoinLeave }, h.log)
	h.node.SetPresenceManager(h.members)
	ticks := 0
	h.lease.tick = func() {
		h.control.poke() // a notification may have been lost
		signal(h.members.sweep)
		if ticks++; ticks%auditEvery == 0 {
			h.members.audit(h.subscriptions())
		}
	}
}

// subscriptions tells which of this hub's clients are subscribed to which channels, or about to be.
func (h *Hub) subscriptions() func(channel, client string) bool {
	clients := h.node.Hub().Connections()
	return func(channel, client string) bool {
		c := clients[client]
		return (c != nil && c.IsSubscribed(channel)) || h.settling.has(channel, client)
	}
}
