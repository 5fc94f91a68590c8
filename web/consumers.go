package web

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/gofiber/fiber/v2"

	"github.com/millrace-dev/millrace/functions"
	"github.com/millrace-dev/millrace/functions/consumers"
	"github.com/millrace-dev/millrace/functions/runtimes"
	"github.com/millrace-dev/millrace/internal/auth"
	"github.com/millrace-dev/millrace/realtime"
	"github.com/millrace-dev/millrace/web/doors"
)

func (s *Server) consumerRoutes() []Route {
	return []Route{{
		// Whose path it is decides who may connect, so the handler does.
		Method: http.MethodGet, Path: runtimes.RoutePrefix + "*", Scope: Optional, Timeout: Endless, TokenQuery: true,
		Upgrade: true, AnyQuery: true, Unlisted: true, Handler: s.consume,
		Summary: "WebSockets of functions: what exports socket.route.",
	}}
}

// consume is the door of the functions that handle WebSockets.
func (s *Server) consume(c *fiber.Ctx) error {
	consumer, ok := s.cfg.Functions.Consumer(c.Path())
	if !ok {
		return newProblem(CodeNotFound, "No function has a socket.route that matches this path.")
	}
	who := identityOf(c)
	if err := mayConnect(consumer, who); err != nil {
		return err
	}
	about := s.aboutConnection(c, who)
	return s.doors.Frames(c, func(peer *doors.Peer) (doors.Frames, error) { //nolint:wrapcheck // mapped by problemOf
		return s.connect(consumer, who, about, peer)
	})
}

// mayConnect refuses who the consumer is not open to. Keys must be such as may run the function.
func mayConnect(consumer functions.Consumer, who auth.Identity) error {
	switch {
	case consumer.Access == runtimes.AccessPublic:
		return nil
	case who.Kind == 0:
		return newProblem(CodeUnauthenticated, "")
	case who.User != "" && consumer.Access == runtimes.AccessUser:
		return nil
	case who.Allows(auth.ScopeJobsSubmit, consumer.Function):
		return nil
	}
	return forbidden(auth.ScopeJobsSubmit, consumer.Function)
}

// shownHeaders are those of a request that its consumer sees: none that prove who somebody is.
var shownHeaders = []string{
	fiber.HeaderHost, fiber.HeaderOrigin, fiber.HeaderUserAgent, fiber.HeaderAcceptLanguage,
}

const (
	maxQuery = 64      // parameters that a consumer sees
	maxValue = 2 << 10 // bytes of a value, or a name, among them; of headers too
)

// aboutConnection copies what a consumer sees of the request, whose buffers are used again.
func (s *Server) aboutConnection(c *fiber.Ctx, who auth.Identity) consumers.About {
	about := consumers.About{ID: rand.Text(), Query: map[string]string{}, Headers: map[string]string{}}
	for _, name := range shownHeaders {
		if value := c.Get(name); value != "" {
			about.Headers[strings.ToLower(name)] = shown(value)
		}
	}
	for name, value := range c.Context().QueryArgs().All() {
		if name := shown(string(name)); name != "token" && len(about.Query) < maxQuery {
			about.Query[name] = shown(string(value))
		}
	}
	if who.User != "" {
		about.User = &consumers.User{ID: who.User, Info: who.Info}
	}
	return about
}

// shown is a copy of a text, valid and of a bounded length.
func shown(text string) string {
	return strings.Clone(strings.ToValidUTF8(text[:min(len(text), maxValue)], "\uFFFD"))
}

// connect joins the peer, the function and the hub.
func (s *Server) connect(consumer functions.Consumer, who auth.Identity, about consumers.About, peer *doors.Peer) (doors.Frames, error) {
	feed, err := s.cfg.Hub.OpenFeed(s.owners.ofConsumer(who))
	if err != nil {
		return nil, fmt.Errorf("take a connection of %s: %w", consumer.Function, err)
	}
	f := &consumerFrames{feed: feed}
	f.Connection, err = s.cfg.Functions.Connect(consumer, about, peer, f)
	if err != nil {
		feed.Close()
		return nil, err //nolint:wrapcheck // says what was being done
	}
	f.pump.Go(f.follow)
	f.Begin()
	return f, nil
}

// ofConsumer are the credentials of a consumer's connection. The function decides which channels it joins, as it does
// where it publishes; when who came is revoked, expires or is disconnected by an operator, the connection ends.
func (o *jobOwners) ofConsumer(who auth.Identity) realtime.Credentials {
	credentials := o.credentials(who)
	credentials.Admitted = true
	credentials.May = func(action realtime.Action, _ string) bool { return action == realtime.ActionSubscribe }
	return credentials
}

// consumerFrames joins a door, a consumer's connection and its feed of channels.
type consumerFrames struct {
	*consumers.Connection

	feed *realtime.Feed
	pump sync.WaitGroup
	over atomic.Bool // the peer is gone, and with it the feed
}

// follow hands the channels' messages to the connection, and ends it when the hub does.
func (f *consumerFrames) follow() {
	why := f.feed.Run(func(event realtime.Event) {
		if event.Kind == realtime.EventMessage || event.Kind == realtime.EventSnapshot {
			f.Deliver(event.Channel, event.Position.Offset, event.Kind == realtime.EventSnapshot, event.Data)
		}
	})
	if !f.over.Load() {
		f.Disconnect(why.Code, why.Reason)
	}
}

// Disconnect is of doors.Frames. An instance that stops says so with the code that every WebSocket client knows.
func (f *consumerFrames) Disconnect(code uint32, reason string) {
	const shutdown = 3001
	if code == shutdown {
		f.Connection.Disconnect(consumers.CodeGoingAway, reason)
		return
	}
	f.Connection.Disconnect(int(code), reason)
}

// Join is of consumers.Channels.
func (f *consumerFrames) Join(ctx context.Context, channel string) error {
	err := f.feed.Join(ctx, channel)
	if errors.Is(err, realtime.ErrChannelLimit) {
		return fmt.Errorf("join %s: a connection may be in so many channels only", channel)
	}
	return err
}

// Leave is of consumers.Channels.
func (f *consumerFrames) Leave(ctx context.Context, channel string) error {
	return f.feed.Leave(ctx, channel)
}

// Close is of consumers.Channels: the connection is over.
func (f *consumerFrames) Close() {
	f.over.Store(true)
	f.feed.Close()
	f.pump.Wait()
}
