package doors

import (
	"errors"
	"fmt"
	"strings"

	"github.com/gofiber/contrib/websocket"
	"github.com/gofiber/fiber/v2"

	"github.com/millrace-dev/millrace/realtime"
)

const headerLastEventID = "Last-Event-ID"

// checkSocketOrigin keeps other sites' pages from opening WebSockets. Browsers send an Origin with every
// handshake, so what comes without is a program; one that has a cookie is refused, since cookies are for browsers,
// unless an Authorization header is there, which is believed before any cookie.
func (d *Doors) checkSocketOrigin(c *fiber.Ctx) error {
	if c.Method() != fiber.MethodGet || !websocket.IsWebSocketUpgrade(c) || c.Get("Sec-WebSocket-Version") != "13" || c.Get("Sec-WebSocket-Key") == "" {
		return ErrNoUpgrade
	}
	origin := c.Get(fiber.HeaderOrigin)
	if origin == "" {
		if c.Get(fiber.HeaderCookie) != "" && c.Get(fiber.HeaderAuthorization) == "" {
			return ErrOrigin
		}
		return nil
	}
	if !d.config.Origins(origin, host(c)) {
		return ErrOrigin
	}
	return nil
}

// checkStreamOrigin does so for server-sent events. Browsers send no Origin with a GET to the page's own host,
// but newer ones say in Sec-Fetch-Site who asks.
func (d *Doors) checkStreamOrigin(c *fiber.Ctx) error {
	origin, site := c.Get(fiber.HeaderOrigin), c.Get("Sec-Fetch-Site")
	switch {
	case origin != "" && !d.config.Origins(origin, host(c)):
		return ErrOrigin
	case origin == "" && (site == "cross-site" || site == "same-site"):
		return ErrOrigin
	}
	return nil
}

// host is what the client asked for; a proxy's word counts only if the app says which proxies are trusted.
func host(c *fiber.Ctx) string {
	if c.App().Config().EnableTrustedProxyCheck {
		return c.Hostname()
	}
	return string(c.Request().Host())
}

// credentials returns nil when the request carries none.
func (d *Doors) credentials(c *fiber.Ctx) (*realtime.Credentials, error) {
	credentials, err := d.config.Identify(c)
	switch {
	case errors.Is(err, ErrNoCredentials):
		return nil, nil //nolint:nilnil // no credentials is an answer, not a failure
	case err != nil:
		return nil, err //nolint:wrapcheck // the server's own refusal
	}
	return &credentials, nil
}

// openStream opens the stream that a request asks for by ?channels=a,b or, for names with a comma, by several
// ?channel=, from the positions of its last event id on, which it returns too. Nothing is done for requests that
// there is no place for.
func (d *Doors) openStream(c *fiber.Ctx) (*place, *realtime.Stream, positions, error) {
	credentials, err := d.credentials(c)
	if err != nil {
		return nil, nil, positions{}, err
	}
	switch {
	case credentials != nil:
	case d.config.Hub.AdmitsAnonymous():
		credentials = new(realtime.Credentials)
	default:
		return nil, nil, positions{}, ErrNoCredentials
	}
	names := channelNames(c)
	if len(names) == 0 {
		return nil, nil, positions{}, ErrNoChannels
	}
	if !resumable(c, names) {
		return nil, nil, positions{}, fmt.Errorf("%w: their event id would not fit into a request", realtime.ErrChannelLimit)
	}
	place, err := d.open.admit()
	if err != nil {
		return nil, nil, positions{}, err
	}
	channels := startingAt(names, lastEventID(c))
	stream, err := d.config.Hub.OpenStream(*credentials, channels)
	if err != nil {
		place.leave()
		return nil, nil, positions{}, err //nolint:wrapcheck // says enough
	}
	place.expect(stream.Close)
	return place, stream, positionsOf(channels), nil
}

// resumable says whether the request can come again with the id of an event of these channels, as browsers will
// send it: the server does not read longer heads than its buffer, and an EventSource gives up when it is refused.
func resumable(c *fiber.Ctx, names []string) bool {
	limit := c.App().Config().ReadBufferSize
	const around = len(fiber.MethodGet+"  HTTP/1.1\r\n") + len(headerLastEventID+": \r\n")
	head := len(c.Request().Header.RequestURI()) + len(c.Request().Header.RawHeaders()) - len(c.Get(headerLastEventID))
	return around+head+longestID(names) <= limit
}

// channelNames copies the names out of the request, whose buffers are used again; each once.
func channelNames(c *fiber.Ctx) []string {
	var names []string
	seen := make(map[string]bool)
	add := func(name string) {
		if name != "" && !seen[name] {
			seen[name] = true
			names = append(names, name)
		}
	}
	query := c.Context().QueryArgs()
	for _, list := range query.PeekMulti("channels") {
		for name := range strings.SplitSeq(string(list), ",") {
			add(name)
		}
	}
	for _, name := range query.PeekMulti("channel") {
		add(string(name))
	}
	return names
}

// lastEventID prefers the header: a browser that reconnects sends it beside the address that it began with.
func lastEventID(c *fiber.Ctx) string {
	if id := c.Get(headerLastEventID); id != "" {
		return strings.Clone(id)
	}
	return strings.Clone(c.Query("last_event_id"))
}
