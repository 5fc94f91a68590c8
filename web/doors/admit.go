package doors

import (
	"errors"
	"strings"

	"github.com/gofiber/contrib/websocket"
	"github.com/gofiber/fiber/v2"

	"github.com/millrace-dev/millrace/realtime"
)

// checkSocketOrigin keeps other sites' pages from opening WebSockets. Browsers send an Origin with every
// handshake, so what comes without is a program; one that has nothing but a cookie is refused, since cookies are
// for browsers.
func (d *Doors) checkSocketOrigin(c *fiber.Ctx) error {
	if !websocket.IsWebSocketUpgrade(c) || c.Get("Sec-WebSocket-Version") != "13" || c.Get("Sec-WebSocket-Key") == "" {
		return ErrNoUpgrade
	}
	origin := c.Get(fiber.HeaderOrigin)
	if origin == "" {
		explicit := c.Get(fiber.HeaderAuthorization) != "" || c.Query("token") != ""
		if !explicit && c.Get(fiber.HeaderCookie) != "" {
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
// ?channel=, from the positions of its last event id on, which it returns too.
func (d *Doors) openStream(c *fiber.Ctx) (*realtime.Stream, positions, error) {
	credentials, err := d.credentials(c)
	if err != nil {
		return nil, nil, err
	}
	if credentials == nil {
		return nil, nil, ErrNoCredentials
	}
	names := channelNames(c)
	if len(names) == 0 {
		return nil, nil, ErrNoChannels
	}
	channels := startingAt(names, lastEventID(c))
	stream, err := d.config.Hub.OpenStream(*credentials, channels)
	if err != nil {
		return nil, nil, err //nolint:wrapcheck // says enough
	}
	return stream, positionsOf(channels), nil
}

// channelNames copies the names out of the request, whose buffers are used again.
func channelNames(c *fiber.Ctx) []string {
	var names []string
	query := c.Context().QueryArgs()
	for _, list := range query.PeekMulti("channels") {
		for name := range strings.SplitSeq(string(list), ",") {
			if name != "" {
				names = append(names, name)
			}
		}
	}
	for _, name := range query.PeekMulti("channel") {
		if len(name) > 0 {
			names = append(names, string(name))
		}
	}
	return names
}

// lastEventID prefers the header: a browser that reconnects sends it beside the address that it began with.
func lastEventID(c *fiber.Ctx) string {
	if id := c.Get("Last-Event-ID"); id != "" {
		return strings.Clone(id)
	}
	return strings.Clone(c.Query("last_event_id"))
}
