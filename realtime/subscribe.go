package realtime

import (
	"context"
	"time"

	"github.com/centrifugal/centrifuge"
)

// subscribe sets a subscription up: what the connection, or the token in the frame, is good for.
func (h *Hub) subscribe(client *centrifuge.Client, event centrifuge.SubscribeEvent, answer centrifuge.SubscribeCallback) {
	conn := connectionOf(client.Context())
	defer h.settling.begin(event.Channel, client.ID())()
	reply := centrifuge.SubscribeReply{}
	if event.Token != "" {
		grant, err := h.takeSubscriptionToken(client, event.Channel, event.Token)
		if err != nil {
			answer(reply, h.clientError(err, event.Channel))
			return
		}
		reply.ClientSideRefresh = true
		reply.Options.ExpireAt, reply.Options.ChannelInfo = expireAt(grant.ExpiresAt), grant.Info
	}
	if err := h.may(conn, ActionSubscribe, event.Channel); err != nil {
		answer(reply, protocolError(err))
		return
	}
	settings := h.namespaces.of(event.Channel)
	// A token that was refreshed, or a namespace that was changed, meanwhile did not see this subscription.
	defer h.lookAgain(client, event.Channel, settings)
	if settings.Source != nil {
		h.subscribeView(client, settings.Source, event.Channel, reply, answer)
		return
	}
	reply.Options.EnableRecovery, reply.Options.EnablePositioning = settings.keepsHistory(), settings.keepsHistory()
	if settings.Delta {
		reply.Options.AllowedDeltaTypes = []centrifuge.DeltaType{centrifuge.DeltaTypeFossil}
	}
	if settings.CacheRecovery {
		reply.Options.RecoveryMode = centrifuge.RecoveryModeCache
	}
	h.present(&reply.Options, settings, conn, event)
	answer(reply, nil)
}

// lookAgain is for a subscription that was just answered, and was made with some settings.
func (h *Hub) lookAgain(client *centrifuge.Client, channel string, was *Namespace) {
	conn := connectionOf(client.Context())
	switch {
	case !client.IsSubscribed(channel):
		conn.tokens.drop(channel)
	case h.may(conn, ActionSubscribe, channel) != nil:
		client.Disconnect(centrifuge.DisconnectForceReconnect)
	default:
		h.reconsider(client, channel, was)
	}
}

// takeSubscriptionToken verifies the token of a subscribe or refresh frame and keeps what it opens.
func (h *Hub) takeSubscriptionToken(client *centrifuge.Client, channel, token string) (SubscriptionGrant, error) {
	conn := connectionOf(client.Context())
	since := h.revoked.before(0)
	grant, err := h.authorizeSubscription(client.Context(), token, channel, conn.credentials())
	if err != nil {
		return grant, err
	}
	// Kept first: a revocation that is not among the known ones yet finds it there.
	conn.tokens.put(channel, grant)
	if disconnect := h.revoked.hit(grant.credentials(conn.credentials()), client.ID(), conn, since); disconnect != nil {
		client.Disconnect(*disconnect)
		return grant, ErrDenied
	}
	return grant, nil
}

// refreshSubscription takes a new token of a subscription whose old one runs out.
func (h *Hub) refreshSubscription(client *centrifuge.Client, event centrifuge.SubRefreshEvent) (centrifuge.SubRefreshReply, error) {
	grant, err := h.takeSubscriptionToken(client, event.Channel, event.Token)
	if err != nil {
		return centrifuge.SubRefreshReply{}, h.clientError(err, event.Channel)
	}
	return centrifuge.SubRefreshReply{ExpireAt: expireAt(grant.ExpiresAt), Info: grant.Info}, nil
}

// may is Allow for a connection, whose subscription tokens count too: they open their channel and its history, and
// where a rule opens presence to those who may subscribe, that.
func (h *Hub) may(conn *connection, action Action, channel string) error {
	credentials := conn.credentials()
	err := h.Allow(credentials, action, channel)
	if err == nil || !conn.tokens.open(channel) {
		return err
	}
	switch action {
	case ActionSubscribe, ActionHistory:
		return nil
	case ActionPresence:
		if h.namespaces.of(channel).rule(action) != RuleKey {
			return nil
		}
	case ActionPublish:
	}
	return err
}

// credentials are those of somebody whom the grant's key vouches for, as revocations look at them.
func (g *SubscriptionGrant) credentials(of Credentials) Credentials {
	return Credentials{User: of.User, Key: g.Key}
}

// authorizeSubscription asks what a subscription token opens. Tokens that do not do are ErrDenied.
func (h *Hub) authorizeSubscription(ctx context.Context, token, channel string, c Credentials) (SubscriptionGrant, error) {
	if err := ValidateChannel(channel); err != nil {
		return SubscriptionGrant{}, err
	}
	if h.config.AuthorizeSubscription == nil {
		return SubscriptionGrant{}, ErrDenied
	}
	ctx, cancel := context.WithTimeout(ctx, authenticateTimeout)
	defer cancel()
	grant, err := h.config.AuthorizeSubscription(ctx, token, channel, c)
	if err == nil && !grant.ExpiresAt.IsZero() && !grant.ExpiresAt.After(time.Now()) {
		err = ErrTokenExpired
	}
	if err == nil {
		err = checkInfo(grant.Info)
	}
	return grant, err
}
