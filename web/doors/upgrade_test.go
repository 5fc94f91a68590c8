package doors

import (
	"errors"
	"net"
	"net/http"
	"testing"

	"github.com/fasthttp/websocket"
	contrib "github.com/gofiber/contrib/websocket"
	"github.com/gofiber/fiber/v2"
	"github.com/stretchr/testify/require"
)

// What the server keeps for other requests has no credentials in it, and nothing of the server, its buffers above
// all, goes with the connection.
func TestUpgradePartsConnectionAndRequest(t *testing.T) {
	t.Parallel()
	app := fiber.New(fiber.Config{DisableStartupMessage: true})
	require.NoError(t, Prepare(app))
	left, taken := make(chan []string, 1), make(chan net.Conn, 1)
	app.Get("/", func(c *fiber.Ctx) error {
		err := upgrade(c, func(conn net.Conn, _ []byte, _ string) { taken <- conn }, func() { close(taken) })
		left <- []string{c.Get("Authorization"), c.Get("Cookie"), c.Cookies("session"), c.Query("token"), c.Query("channels")}
		return err
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	go func() { _ = app.Listener(listener) }()
	defer func() { require.NoError(t, app.Shutdown()) }()

	conn, response, err := websocket.DefaultDialer.DialContext(t.Context(), "ws://"+listener.Addr().String()+"/?token=secret&channels=a",
		http.Header{"Authorization": {"Bearer secret"}, "Cookie": {"session=secret"}})
	require.NoError(t, err)
	require.Equal(t, http.StatusSwitchingProtocols, response.StatusCode)
	defer func() { _ = conn.Close() }()
	require.Equal(t, []string{"", "", "", "", "a"}, <-left)
	raw := <-taken
	require.IsType(t, new(net.TCPConn), raw)
	require.NoError(t, raw.Close())
}

// The wrapper copies the request's headers, cookies and query, and goes back to a pool with them.
func TestUpgradeLeavesNoSecretsInTheWrapper(t *testing.T) {
	t.Parallel()
	app := fiber.New(fiber.Config{DisableStartupMessage: true})
	seen := make(chan []string, 1)
	app.Get("/", func(c *fiber.Ctx) error {
		dropSecrets(c)
		return contrib.New(func(wrapper *contrib.Conn) {
			seen <- []string{
				wrapper.Headers("Authorization"), wrapper.Headers("Cookie"), wrapper.Cookies("session"), wrapper.Query("token"),
				wrapper.Query("channels"),
			}
		}, new(Doors).contribConfig())(c)
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	go func() { _ = app.Listener(listener) }()
	defer func() { require.NoError(t, app.Shutdown()) }()

	conn, response, err := websocket.DefaultDialer.DialContext(t.Context(), "ws://"+listener.Addr().String()+"/?token=secret&channels=a",
		http.Header{"Authorization": {"Bearer secret"}, "Cookie": {"session=secret"}})
	require.NoError(t, err)
	require.Equal(t, http.StatusSwitchingProtocols, response.StatusCode)
	defer func() { _ = conn.Close() }()
	require.Equal(t, []string{"", "", "", "", "a"}, <-seen)
}

// Without Prepare the server would close connections under their goroutines.
func TestUpgradeWantsAPreparedApp(t *testing.T) {
	t.Parallel()
	app := fiber.New()
	var got error
	app.Get("/", func(c *fiber.Ctx) error {
		got = errors.Join(upgrade(c, nil, nil), new(Doors).upgradePlain(c, nil))
		return nil
	})
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
	require.NoError(t, err)
	request.Host = "localhost"
	response, err := app.Test(request)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.ErrorIs(t, got, errNotPrepared)
}
