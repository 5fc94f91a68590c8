package doors_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/fasthttp/websocket"
	"github.com/gofiber/fiber/v2"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/millrace-dev/millrace/realtime"
	"github.com/millrace-dev/millrace/web/doors"
)

// patience is for machines that have much else to do.
const patience = 30 * time.Second

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// The first two end with the process, the others within seconds of a server's or hub's end.
		goleak.IgnoreTopFunction("github.com/FZambia/eagle.(*Eagle).aggregate"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"),
		goleak.IgnoreAnyFunction("github.com/centrifugal/centrifuge/internal/dissolve.(*Dissolver).runWorker"),
	)
}

// site is a listening app with the doors in it and a hub behind them.
type site struct {
	t     *testing.T
	hub   *realtime.Hub
	doors *doors.Doors
	host  string
}

type setup struct {
	hub    realtime.Config
	doors  doors.Config
	server fiber.Config
	linger time.Duration // 0 is that of the doors
	frames func(peer *doors.Peer) (doors.Frames, error)
	tls    *tls.Config // nil: the server speaks without
}

// credentialsOf is the tests' way of saying who asks: "Bearer ann" is the user ann, who may do everything but
// nothing with channels that begin with "secret".
func credentialsOf(c *fiber.Ctx) (realtime.Credentials, error) {
	user := strings.TrimPrefix(c.Get(fiber.HeaderAuthorization), "Bearer ")
	if user == "" {
		user = c.Query("token")
	}
	if user == "" {
		user = c.Cookies("session")
	}
	if user == "" {
		return realtime.Credentials{}, doors.ErrNoCredentials
	}
	return credentials(strings.Clone(user))
}

var errBadKey = errors.New("bad key")

func credentials(user string) (realtime.Credentials, error) {
	if user == "bad" {
		return realtime.Credentials{}, errBadKey
	}
	return realtime.Credentials{User: user, Key: "key-" + user, May: func(_ realtime.Action, channel string) bool {
		return !strings.HasPrefix(channel, "secret")
	}}, nil
}

// overBoth runs a test of the official protocol over its two doors.
func overBoth(t *testing.T, test func(t *testing.T, with setup)) {
	t.Helper()
	for name, noPolling := range map[string]bool{"polled": false, "goroutines": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, setup{doors: doors.Config{NoPolling: noPolling}})
		})
	}
}

// open starts a site for the time of a test.
func open(t *testing.T, s setup) *site {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	s.hub.Logger = quiet
	if s.doors.Logger == nil {
		s.doors.Logger = quiet
	}
	if s.hub.Authenticate == nil {
		s.hub.Authenticate = func(_ context.Context, token string) (realtime.Credentials, error) { return credentials(token) }
	}
	hub, err := realtime.NewInMemory(s.hub)
	require.NoError(t, err)
	require.NoError(t, hub.Start(t.Context()))
	s.doors.Hub, s.doors.Identify = hub, credentialsOf
	if s.doors.Origins == nil {
		s.doors.Origins = func(origin, host string) bool {
			u, err := url.Parse(origin)
			return err == nil && (strings.EqualFold(u.Host, host) || strings.EqualFold(origin, "https://app.example.com"))
		}
	}
	d, err := doors.New(s.doors)
	require.NoError(t, err)

	if s.linger > 0 {
		d.SetLingerTime(s.linger)
	}

	s.server.DisableStartupMessage = true
	s.server.ErrorHandler = refuse
	app := fiber.New(s.server)
	require.NoError(t, doors.Prepare(app))
	app.Get("/v1/ws", d.Protocol)
	app.Get("/v1/stream", d.Stream)
	app.Get("/v1/ws/raw", d.Raw)
	app.Get("/frames", func(c *fiber.Ctx) error { return d.Frames(c, s.frames) })
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	if s.tls != nil {
		listener = tls.NewListener(listener, s.tls)
	}
	served := make(chan error, 1)
	go func() { served <- app.Listener(listener) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		require.NoError(t, d.Stop(ctx))
		require.NoError(t, hub.Stop(ctx))
		require.NoError(t, app.ShutdownWithContext(ctx))
		require.NoError(t, <-served)
	})
	return &site{t: t, hub: hub, doors: d, host: listener.Addr().String()}
}

// refuse stands for the server's problem documents.
func refuse(c *fiber.Ctx, err error) error {
	status := map[error]int{
		doors.ErrNoCredentials: 401, errBadKey: 401, doors.ErrOrigin: 403, realtime.ErrDenied: 403, doors.ErrNoUpgrade: 426,
		doors.ErrNoChannels: 400, realtime.ErrChannelName: 400, doors.ErrFull: 503, doors.ErrStopping: 503, realtime.ErrUnknownChannel: 404, realtime.ErrChannelLimit: 400,
	}
	for known, code := range status {
		if errors.Is(err, known) {
			c.Set(fiber.HeaderContentType, "application/problem+json")
			return c.Status(code).SendString(fmt.Sprintf(`{"status":%d}`, code))
		}
	}
	return c.Status(http.StatusInternalServerError).SendString("{}")
}

// headers makes a header of "Name: value" lines.
func headers(lines ...string) http.Header {
	h := http.Header{}
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		h.Set(name, value)
	}
	return h
}

var ann = headers("Authorization: Bearer ann")

// dial opens a WebSocket; the status is that of the answer.
func (s *site) dial(path string, header http.Header) (*websocket.Conn, int) {
	s.t.Helper()
	dialer := websocket.Dialer{HandshakeTimeout: patience, EnableCompression: true}
	conn, response, err := dialer.DialContext(s.t.Context(), "ws://"+s.host+path, header)
	if conn == nil {
		require.NotNil(s.t, response, "%v", err)
		return nil, response.StatusCode
	}
	require.NoError(s.t, err)
	s.t.Cleanup(func() { _ = conn.Close() })
	return conn, response.StatusCode
}

// client is the test's end of a WebSocket with JSON messages.
type client struct {
	t       *testing.T
	conn    *websocket.Conn
	pending []message
	last    int
}

type message map[string]any

// at walks into nested objects; nil when something is missing.
func (m message) at(path ...string) any {
	var here any = map[string]any(m)
	for _, key := range path {
		object, ok := here.(map[string]any)
		if !ok {
			return nil
		}
		here = object[key]
	}
	return here
}

func (s *site) client(path string, header http.Header) *client {
	s.t.Helper()
	conn, status := s.dial(path, header)
	require.Equal(s.t, http.StatusSwitchingProtocols, status)
	return &client{t: s.t, conn: conn}
}

// connected is an official-protocol client whose connect was accepted.
func (s *site) connected() *client {
	s.t.Helper()
	c := s.client("/v1/ws", ann)
	require.NotNil(s.t, c.ask("connect", `{}`).at("connect", "client"))
	return c
}

func (c *client) send(command string, id int, parameters string) {
	c.t.Helper()
	require.NoError(c.t, c.conn.WriteMessage(websocket.TextMessage, fmt.Appendf(nil, `{"id":%d,%q:%s}`, id, command, parameters)))
}

// ask sends a command and returns its answer; what came before it is kept.
func (c *client) ask(command, parameters string) message {
	c.t.Helper()
	c.last++
	c.send(command, c.last, parameters)
	var before []message
	for {
		m := c.next()
		if m["id"] == float64(c.last) {
			c.pending = append(before, c.pending...)
			return m
		}
		before = append(before, m)
	}
}

// next is the next message that is no ping.
func (c *client) next() message {
	c.t.Helper()
	for {
		m, err := c.read()
		require.NoError(c.t, err)
		if len(m) > 0 {
			return m
		}
	}
}

func (c *client) read() (message, error) {
	if len(c.pending) == 0 {
		if err := c.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
			return nil, err
		}
		_, frame, err := c.conn.ReadMessage()
		if err != nil {
			return nil, err
		}
		for line := range strings.SplitSeq(strings.TrimSpace(string(frame)), "\n") {
			var m message
			if err := json.Unmarshal([]byte(line), &m); err != nil {
				return nil, fmt.Errorf("%q: %w", line, err)
			}
			c.pending = append(c.pending, m)
		}
	}
	m := c.pending[0]
	c.pending = c.pending[1:]
	return m, nil
}

// closed reads until the close frame and returns its code.
func (c *client) closed() int {
	c.t.Helper()
	for {
		_, err := c.read()
		if closed, ok := errors.AsType[*websocket.CloseError](err); ok {
			return closed.Code
		}
		require.NoError(c.t, err)
	}
}

func (s *site) publish(channel, data string) realtime.Position {
	s.t.Helper()
	result, err := s.hub.Publish(s.t.Context(), channel, []byte(data), realtime.PublishOptions{})
	require.NoError(s.t, err)
	return result.Position
}
