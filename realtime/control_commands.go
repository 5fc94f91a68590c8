package realtime

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/centrifugal/centrifuge"
)

// The kinds of commands to connections.
const (
	controlDisconnect  = "disconnect"
	controlUnsubscribe = "unsubscribe"
	controlRefresh     = "refresh"
)

// maxReasonBytes is what fits into a WebSocket's close frame.
const maxReasonBytes = 123

// DisconnectOptions say what a connection is told as it ends.
type DisconnectOptions struct {
	// Code is what the client sees; 0 means 3503, or 3011 with Reconnect. An application's own codes are 4000 to
	// 4499, after which clients reconnect, and 4500 to 4999, after which they do not.
	Code uint32
	// Reason is text of at most 123 bytes; empty means the protocol's own for the code.
	Reason string
	// Reconnect tells clients to come back. With a Code it must agree with it.
	Reconnect bool
}

// RefreshOptions change when a connection expires. One of both fields is set.
type RefreshOptions struct {
	// ExpiresAt is the new time, in the future.
	ExpiresAt time.Time
	// Expired ends the connection with code 3005: the client comes back, with a new token.
	Expired bool
}

// Disconnect closes a user's, a client's or a key's connections on all nodes. It returns once the command is
// committed; each node carries it out once, within moments, and one that cannot reach the database when it can again
// (within an hour). Connections that began more than 5 s after the command are spared, with Reconnect all that began
// after it. The errors are ErrCommand and ErrNotRunning.
func (h *Hub) Disconnect(ctx context.Context, target Target, options DisconnectOptions) error {
	disconnect, err := options.disconnect()
	if err == nil {
		err = target.validate()
	}
	if err == nil {
		err = h.command(ctx, controlDisconnect, disconnectCommand{target, disconnect.Code, disconnect.Reason})
	}
	if err != nil {
		return fmt.Errorf("disconnect: %w", err)
	}
	return nil
}

// Unsubscribe ends the target's subscriptions to a channel, with code 2000, after which clients do not subscribe
// again by themselves. It is carried out like Disconnect. The errors are ErrCommand, ErrChannelName and
// ErrNotRunning.
func (h *Hub) Unsubscribe(ctx context.Context, target Target, channel string) error {
	err := target.validate()
	if err == nil {
		err = ValidateChannel(channel)
	}
	if err == nil {
		err = h.command(ctx, controlUnsubscribe, unsubscribeCommand{target, channel})
	}
	if err != nil {
		return fmt.Errorf("unsubscribe: %w", err)
	}
	return nil
}

// Refresh changes when the target's connections expire. It is carried out like Disconnect. The errors are ErrCommand
// and ErrNotRunning.
func (h *Hub) Refresh(ctx context.Context, target Target, options RefreshOptions) error {
	err := target.validate()
	if err == nil {
		err = options.validate()
	}
	if err == nil {
		err = h.command(ctx, controlRefresh, refreshCommand{target, options.ExpiresAt, options.Expired})
	}
	if err != nil {
		return fmt.Errorf("refresh: %w", err)
	}
	return nil
}

type disconnectCommand struct {
	Target Target `json:"target"`
	Code   uint32 `json:"code"`
	Reason string `json:"reason"`
}

type unsubscribeCommand struct {
	Target  Target `json:"target"`
	Channel string `json:"channel"`
}

type refreshCommand struct {
	Target    Target    `json:"target"`
	ExpiresAt time.Time `json:"expires_at"`
	Expired   bool      `json:"expired"`
}

func (o DisconnectOptions) disconnect() (centrifuge.Disconnect, error) {
	const firstOwn, firstTerminal, last = 4000, 4500, 4999
	result := centrifuge.DisconnectForceNoReconnect
	if o.Reconnect {
		result = centrifuge.DisconnectForceReconnect
	}
	switch {
	case len(o.Reason) > maxReasonBytes || !utf8.ValidString(o.Reason):
		return result, fmt.Errorf("%w: the reason must be text of at most %d bytes", ErrCommand, maxReasonBytes)
	case o.Code == 0:
	case o.Code < firstOwn || o.Code > last:
		return result, fmt.Errorf("%w: code %d is not an application's (%d to %d)", ErrCommand, o.Code, firstOwn, last)
	case o.Reconnect != (o.Code < firstTerminal):
		return result, fmt.Errorf("%w: after codes below %d clients reconnect, after those from it they do not: code %d does not go with reconnect=%t",
			ErrCommand, firstTerminal, o.Code, o.Reconnect)
	default:
		result = centrifuge.Disconnect{Code: o.Code}
	}
	if o.Reason != "" {
		result.Reason = o.Reason
	}
	return result, nil
}

func (o RefreshOptions) validate() error {
	switch {
	case o.Expired == !o.ExpiresAt.IsZero():
		return fmt.Errorf("%w: either the time at which it expires, or expired", ErrCommand)
	case !o.Expired && !o.ExpiresAt.After(time.Now()):
		return fmt.Errorf("%w: the time at which it expires is over", ErrCommand)
	default:
		return nil
	}
}

// command sends a command to all hubs; a hub in memory is all of them.
func (h *Hub) command(ctx context.Context, kind string, payload any) error {
	if !h.Running() {
		return ErrNotRunning
	}
	if h.control != nil {
		_, err := h.control.send(ctx, kind, payload, commandKept)
		return err
	}
	text, err := json.Marshal(payload)
	if err != nil {
		return fmt.Errorf("encode the command %s: %w", kind, err)
	}
	h.carry()[kind](command{kind: kind, payload: text, at: time.Now()})
	return nil
}

// carry is who carries out which commands.
func (h *Hub) carry() map[string]func(command) {
	return map[string]func(command){
		controlDisconnect:  decoded(h, h.carryDisconnect),
		controlUnsubscribe: decoded(h, h.carryUnsubscribe),
		controlRefresh:     decoded(h, h.carryRefresh),
		controlChannels:    decoded(h, h.carryChannels),
		controlCount:       decoded(h, h.carryCount),
	}
}

// decoded carries out commands of one payload.
func decoded[T any](h *Hub, carry func(c command, payload T)) func(command) {
	return func(c command) {
		var payload T
		if err := json.Unmarshal(c.payload, &payload); err != nil {
			h.log.Error("realtime: a command cannot be read", "kind", c.kind, "err", err)
			return
		}
		carry(c, payload)
	}
}

func (h *Hub) carryDisconnect(c command, d disconnectCommand) {
	h.revoke(revocation{at: c.at, matches: d.Target.matches, disconnect: centrifuge.Disconnect{Code: d.Code, Reason: d.Reason}})
}

// carryUnsubscribe also meets subscriptions that are being set up, for which Unsubscribe waits.
func (h *Hub) carryUnsubscribe(_ command, u unsubscribeCommand) {
	for _, client := range h.targets(u.Target) {
		h.spawn(func() {
			if h.settling.has(u.Channel, client.ID()) || client.IsSubscribed(u.Channel) {
				client.Unsubscribe(u.Channel)
			}
		})
	}
}

func (h *Hub) carryRefresh(_ command, r refreshCommand) {
	for _, client := range h.targets(r.Target) {
		if r.Expired {
			client.Disconnect(centrifuge.DisconnectExpired)
			continue
		}
		connectionOf(client.Context()).extend(r.ExpiresAt)
		if err := client.Refresh(centrifuge.WithRefreshExpireAt(expireAt(r.ExpiresAt))); err != nil {
			h.log.Debug("realtime: a refreshed connection was closing", "err", err)
		}
	}
}
