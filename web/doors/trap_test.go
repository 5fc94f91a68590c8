package doors_test

import (
	"net"
	"testing"
	"time"

	"github.com/fasthttp/websocket"
	contrib "github.com/gofiber/contrib/websocket"
	"github.com/gofiber/fiber/v2"
	"github.com/stretchr/testify/require"
)

// The trap that TestNoMessageCrossesSockets guards against is real: who keeps contrib's wrapper of a connection
// after its handler has returned writes to whoever gets the wrapper next. The doors keep what is inside.
func TestPooledWrapperCrossesSockets(t *testing.T) {
	t.Parallel()
	app := fiber.New(fiber.Config{DisableStartupMessage: true})
	wrappers := make(chan *contrib.Conn, 1)
	app.Get("/", contrib.New(func(wrapper *contrib.Conn) {
		wrappers <- wrapper
		_, _, _ = wrapper.ReadMessage()
	}))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	go func() { _ = app.Listener(listener) }()
	defer func() { require.NoError(t, app.Shutdown()) }()
	dial := func() (*websocket.Conn, *contrib.Conn) {
		conn, _, err := websocket.DefaultDialer.DialContext(t.Context(), "ws://"+listener.Addr().String()+"/", nil)
		require.NoError(t, err)
		require.NoError(t, conn.SetReadDeadline(time.Now().Add(patience)))
		return conn, <-wrappers
	}

	kept := map[*contrib.Conn]bool{}
	for range 2000 { // a pool may give up what it holds, but not each time
		conn, wrapper := dial()
		if kept[wrapper] { // by somebody whose connection is closed
			require.NoError(t, wrapper.WriteMessage(websocket.TextMessage, []byte("for somebody else")))
			_, got, err := conn.ReadMessage()
			require.NoError(t, err)
			require.Equal(t, "for somebody else", string(got))
			require.NoError(t, conn.Close())
			return
		}
		kept[wrapper] = true
		require.NoError(t, conn.Close())
	}
	require.Fail(t, "the library does not reuse wrappers any more: the guard can go")
}
