//go:build !race

package doors_test

import (
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fasthttp/websocket"
	contrib "github.com/gofiber/contrib/websocket"
	"github.com/gofiber/fiber/v2"
	"github.com/stretchr/testify/require"
)

// The trap that TestNoMessageCrossesSockets guards against is real: a writer that is not joined before its handler
// returns, and keeps the pooled wrapper, writes to whoever gets the wrapper next. (It is a data race too, so this
// test is not for -race.)
//
//nolint:paralleltest // it writes into the sockets of whatever runs beside it
func TestPooledWrapperCrossesSockets(t *testing.T) {
	app := fiber.New(fiber.Config{DisableStartupMessage: true})
	var writers sync.WaitGroup
	var round atomic.Pointer[chan struct{}] // closed at the end of a round
	app.Get("/:who", contrib.New(func(wrapper *contrib.Conn) {
		if wrapper.Params("who") == "ours" {
			over := *round.Load()
			writers.Go(func() { keepWriting(wrapper, over) })
		}
		_, _, _ = wrapper.ReadMessage()
	}))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	go func() { _ = app.Listener(listener) }()
	defer func() { require.NoError(t, app.Shutdown()) }()
	dial := func(who string) *websocket.Conn {
		conn, _, err := websocket.DefaultDialer.DialContext(t.Context(), "ws://"+listener.Addr().String()+"/"+who, nil)
		require.NoError(t, err)
		return conn
	}

	crossed := false
	for range 200 {
		over := make(chan struct{})
		round.Store(&over)
		first := dial("ours")
		_, _, err := first.ReadMessage() // the writer is at work
		require.NoError(t, err)
		require.NoError(t, first.Close())
		second := dial("mine")
		require.NoError(t, second.SetReadDeadline(time.Now().Add(20*time.Millisecond)))
		_, got, err := second.ReadMessage()
		crossed = err == nil && string(got) == "ours"
		close(over)
		writers.Wait()
		require.NoError(t, second.Close())
		if crossed {
			break
		}
	}
	require.True(t, crossed, "the library does not reuse wrappers any more: the guard can go")
}

// keepWriting is the writer that nobody joins. What the library makes of it may also be a panic.
func keepWriting(wrapper *contrib.Conn, done chan struct{}) {
	defer func() { _ = recover() }()
	for {
		select {
		case <-done:
			return
		default:
			_ = wrapper.WriteMessage(websocket.TextMessage, []byte("ours"))
			runtime.Gosched()
		}
	}
}
