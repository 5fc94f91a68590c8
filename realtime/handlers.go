package realtime

import (
	"context"
	"errors"
	"time"

	"github.com/centrifugal/centrifuge"
)

const (
	// authenticateTimeout bounds Config.Authenticate.
	authenticateTimeout = 5 * time.Second
	// refreshTime is how long after the end of a token its refresh may arrive.
	refreshTime = 5 * time.Second
	// subscribesAtOnce is how many subscriptions of one connection are set up in parallel.
	subscribesAtOnce = 4
	// publishesWaiting is how many publishes and history calls of one connection may wait for the first
	// of them; more are refused with error 111.
	publishesWaiting = 64
)

// connecting answers a connect frame: with the credentials that the door established, else with those of
// the frame's token.
func (h *Hub) connecting(ctx context.Context, event centrifuge.ConnectEvent) (centrifuge.ConnectReply, error) {
	conn := connectionOf(ctx)
	reply := centrifuge.ConnectReply{
		// Replies do not pass through the queue of pushes: one that recovers a whole history may be
		// larger than the queue and would cut the connection at each attempt.
		ReplyWithoutQueue: true,
	}
	credentials := conn.door
	switch {
	case credentials != nil:
	case event.Token == "" && h.AdmitsAnonymous():
		credentials = &Credentials{}
	default:
		fromToken, err := h.authenticate(ctx, event.Token)
		if err != nil {
			return reply, connectError(err)
		}
		credentials = &fromToken
		reply.ClientSideRefresh = true
	}
	conn.current.Store(credentials)
	reply.Credentials = &centrifuge.Credentials{
		UserID: credentials.User, ExpireAt: expireAt(credentials.ExpiresAt), Info: credentials.Info,
	}
	return reply, nil
}

func (h *Hub) authenticate(ctx context.Context, token string) (Credentials, error) {
	if token == "" || h.config.Authenticate == nil {
		return Credentials{}, ErrUnauthenticated
	}
	ctx, cancel := context.WithTimeout(ctx, authenticateTimeout)
	defer cancel()
	credentials, err := h.config.Authenticate(ctx, token)
	if err == nil && !credentials.ExpiresAt.IsZero() && !credentials.ExpiresAt.After(time.Now()) {
		err = ErrTokenExpired
	}
	if err != nil {
		return credentials, err
	}
	if err := checkInfo(credentials.Info); err != nil { // no doing of the client's, who is told of an internal error
		h.log.Error("realtime: the credentials of a token cannot be used", "err", err)
		return Credentials{}, err
	}
	return credentials, nil
}

// connectError is a terminal disconnect for bad tokens, else an error after which the client tries again.
func connectError(err error) error {
	if errors.Is(err, ErrUnauthenticated) {
		return centrifuge.DisconnectInvalidToken
	}
	return protocolError(err)
}

// expireAt is in the protocol's whole seconds, rounded up; 0 is never.
func expireAt(at time.Time) int64 {
	if at.IsZero() {
		return 0
	}
	return at.Add(time.Second - time.Nanosecond).Unix()
}

// connected sets the handlers of a client that has authenticated.
func (h *Hub) connected(client *centrifuge.Client) {
	conn := connectionOf(client.Context())
	if disconnect := h.revoked.hit(conn.credentials(), client.ID(), conn, conn.since); disconnect != nil {
		client.Disconnect(*disconnect)
		return
	}
	if credentials := conn.credentials(); credentials.anonymous() && !h.AdmitsAnonymous() { // any more
		client.Disconnect(centrifuge.DisconnectInvalidToken)
		return
	}
	client.OnSubscribe(func(event centrifuge.SubscribeEvent, answer centrifuge.SubscribeCallback) {
		if !conn.subscribes.do(subscribesAtOnce, h.config.ChannelLimit, h.spawn, func() { h.subscribe(client, event, answer) }) {
			answer(centrifuge.SubscribeReply{}, centrifuge.ErrorTooManyRequests)
		}
	})
	client.OnUnsubscribe(func(event centrifuge.UnsubscribeEvent) {
		h.views.leave(event.Channel, client.ID())
		conn.tokens.drop(event.Channel)
	})
	client.OnSubRefresh(func(event centrifuge.SubRefreshEvent, answer centrifuge.SubRefreshCallback) {
		if !conn.publishes.do(1, publishesWaiting, h.spawn, func() { answer(h.refreshSubscription(client, event)) }) {
			answer(centrifuge.SubRefreshReply{}, centrifuge.ErrorTooManyRequests)
		}
	})
	client.OnPublish(func(event centrifuge.PublishEvent, answer centrifuge.PublishCallback) {
		if !conn.publishes.do(1, publishesWaiting, h.spawn, func() { answer(h.clientPublish(client, event)) }) {
			answer(centrifuge.PublishReply{}, h.tooFast(conn))
		}
	})
	client.OnHistory(func(event centrifuge.HistoryEvent, answer centrifuge.HistoryCallback) {
		if !conn.publishes.do(1, publishesWaiting, h.spawn, func() { answer(h.clientHistory(client, event)) }) {
			answer(centrifuge.HistoryReply{}, centrifuge.ErrorTooManyRequests)
		}
	})
	client.OnPresence(func(event centrifuge.PresenceEvent, answer centrifuge.PresenceCallback) {
		if !conn.publishes.do(1, publishesWaiting, h.spawn, func() { answer(h.clientPresence(client, event)) }) {
			answer(centrifuge.PresenceReply{}, centrifuge.ErrorTooManyRequests)
		}
	})
	client.OnPresenceStats(func(event centrifuge.PresenceStatsEvent, answer centrifuge.PresenceStatsCallback) {
		if !conn.publishes.do(1, publishesWaiting, h.spawn, func() { answer(h.clientPresenceStats(client, event)) }) {
			answer(centrifuge.PresenceStatsReply{}, centrifuge.ErrorTooManyRequests)
		}
	})
	if conn.door == nil {
		client.OnRefresh(func(event centrifuge.RefreshEvent, answer centrifuge.RefreshCallback) {
			if !conn.publishes.do(1, publishesWaiting, h.spawn, func() { answer(h.refresh(client, event.Token)) }) {
				answer(centrifuge.RefreshReply{}, centrifuge.ErrorTooManyRequests)
			}
		})
	}
}

// spawn runs f in a goroutine that Stop waits for.
func (h *Hub) spawn(f func()) bool { return h.Go(func(context.Context) { f() }) }

func (h *Hub) clientPublish(client *centrifuge.Client, event centrifuge.PublishEvent) (centrifuge.PublishReply, error) {
	conn := connectionOf(client.Context())
	if !conn.limits.publish(h.namespaces.of(event.Channel), &h.config) {
		return centrifuge.PublishReply{}, h.tooFast(conn)
	}
	if err := h.may(conn, ActionPublish, event.Channel); err != nil {
		return centrifuge.PublishReply{}, protocolError(err)
	}
	// The publish outlives the connection: it may be committed already when the client goes.
	result, err := h.Publish(context.WithoutCancel(client.Context()), event.Channel, event.Data, PublishOptions{})
	if err != nil {
		return centrifuge.PublishReply{}, h.clientError(err, event.Channel)
	}
	return centrifuge.PublishReply{
		Result: &centrifuge.PublishResult{StreamPosition: centrifuge.StreamPosition(result.Position)},
	}, nil
}

func (h *Hub) clientHistory(client *centrifuge.Client, event centrifuge.HistoryEvent) (centrifuge.HistoryReply, error) {
	if err := h.may(connectionOf(client.Context()), ActionHistory, event.Channel); err != nil {
		return centrifuge.HistoryReply{}, protocolError(err)
	}
	if err := h.readable(event.Channel); err != nil {
		return centrifuge.HistoryReply{}, protocolError(err)
	}
	result, err := h.node.History(event.Channel, centrifuge.WithHistoryFilter(event.Filter))
	if err != nil {
		return centrifuge.HistoryReply{}, h.clientError(err, event.Channel)
	}
	return centrifuge.HistoryReply{Result: &result}, nil
}

// clientError turns an error into the client's, and logs it if it is this server's doing.
func (h *Hub) clientError(err error, channel string) error {
	if already, found := errors.AsType[*centrifuge.Error](err); found {
		return already
	}
	answer := protocolError(err)
	if answer == centrifuge.ErrorInternal {
		h.log.Warn("realtime: client command failed", "channel", channel, "err", err)
	}
	return answer
}
