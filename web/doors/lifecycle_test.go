package doors_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/realtime"
	"github.com/millrace-dev/millrace/web/doors"
)

func TestStopTellsEverybodyToReconnect(t *testing.T) {
	t.Parallel()
	overBoth(t, func(t *testing.T, with setup) {
		s := open(t, with)
		official, raw, stream := s.connected(), s.client("/v1/ws/raw?channels=a", ann), s.events(on("a"), ann)
		silent := s.client("/v1/ws", nil) // has not connected yet
		stream.next()
		stopped := make(chan error, 1)
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			stopped <- s.doors.Stop(ctx)
		}()
		for _, c := range []*client{official, raw, silent} {
			require.Equal(t, 3001, c.closed())
		}
		require.Equal(t, message{"event": "disconnect", "code": 3001.0, "reason": "shutdown", "reconnect": true}, stream.next().json(t))
		require.NoError(t, <-stopped)
		require.Zero(t, s.doors.Connections())
		_, status := s.dial("/v1/ws", ann)
		require.Equal(t, http.StatusServiceUnavailable, status)
		require.Equal(t, http.StatusServiceUnavailable, s.events(on("a"), ann).response.StatusCode)
	})
}

// Peers that do not answer the close are cut off when the time is up.
func TestStopDoesNotWaitForEver(t *testing.T) {
	t.Parallel()
	overBoth(t, func(t *testing.T, with setup) {
		s := open(t, with)
		s.connected()
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		defer cancel()
		require.ErrorIs(t, s.doors.Stop(ctx), context.DeadlineExceeded)
		require.Eventually(t, func() bool { return s.doors.Connections() == 0 }, patience, time.Millisecond)
	})
}

func TestConnectionsAreLimited(t *testing.T) {
	t.Parallel()
	overBoth(t, func(t *testing.T, with setup) {
		with.doors.MaxConnections = 2
		with.doors.Heartbeat = 20 * time.Millisecond
		s := open(t, with)
		first := s.connected()
		stream := s.events(on("a"), ann)
		stream.next()
		for _, path := range []string{"/v1/ws", "/v1/ws/raw?channels=a"} {
			_, status := s.dial(path, ann)
			require.Equal(t, http.StatusServiceUnavailable, status)
		}
		require.Equal(t, 2, s.hub.Connections(), "what is refused leaves nothing behind")
		require.NoError(t, first.conn.Close())
		require.Eventually(t, func() bool { return s.doors.Connections() == 1 }, patience, time.Millisecond)
		s.connected()
	})
}

func TestPrepareRefusesReduceMemoryUsage(t *testing.T) {
	t.Parallel()
	require.Error(t, doors.Prepare(fiber.New(fiber.Config{ReduceMemoryUsage: true})))
}

// A client may send its first frame with the handshake, in one packet.
func TestFirstFrameWithTheHandshake(t *testing.T) {
	t.Parallel()
	overBoth(t, func(t *testing.T, with setup) {
		s := open(t, with)
		for range 50 {
			conn, err := net.Dial("tcp", s.host)
			require.NoError(t, err)
			command := `{"id":1,"connect":{}}`
			frame := append([]byte{0x81, 0x80 | byte(len(command)), 0, 0, 0, 0}, command...)
			handshake := fmt.Sprintf("GET /v1/ws HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer ann\r\nConnection: Upgrade\r\n"+
				"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", s.host)
			_, err = conn.Write(append([]byte(handshake), frame...))
			require.NoError(t, err)
			require.NoError(t, conn.SetReadDeadline(time.Now().Add(patience)))
			var got []byte
			for buffer := make([]byte, 4096); !contains(got, `"connect":{"client"`); {
				n, err := conn.Read(buffer)
				require.NoError(t, err, "%q", got)
				got = append(got, buffer[:n]...)
			}
			require.NoError(t, conn.Close())
		}
		require.Eventually(t, func() bool { return s.doors.Connections() == 0 }, patience, time.Millisecond)
	})
}

func contains(got []byte, part string) bool {
	for i := 0; i+len(part) <= len(got); i++ {
		if string(got[i:i+len(part)]) == part {
			return true
		}
	}
	return false
}

// Sockets that vanish in the middle of deliveries leave nothing behind; TestMain looks for goroutines.
func TestAbruptEnds(t *testing.T) {
	t.Parallel()
	overBoth(t, func(t *testing.T, with setup) {
		s := open(t, with)
		const each = 170
		var conns []net.Conn
		for range each {
			c := s.connected()
			c.send("subscribe", 2, `{"channel":"a"}`)
			conns = append(conns, c.conn.NetConn(), s.client("/v1/ws/raw?channels=a", ann).conn.NetConn(), s.stream())
		}
		require.Equal(t, 3*each, s.doors.Connections())
		for i, conn := range conns {
			if i%10 == 0 {
				s.publish("a", `"something"`)
			}
			require.NoError(t, conn.(*net.TCPConn).SetLinger(0)) // the close is a reset
			require.NoError(t, conn.Close())
		}
		require.Eventually(t, func() bool {
			s.publish("a", `"something"`) // an event stream sees the end when it writes
			return s.doors.Connections() == 0 && s.hub.Connections() == 0
		}, 2*patience, 10*time.Millisecond)
	})
}

// stream opens an event stream by hand, for its connection.
func (s *site) stream() net.Conn {
	s.t.Helper()
	conn, err := net.Dial("tcp", s.host)
	require.NoError(s.t, err)
	_, err = fmt.Fprintf(conn, "GET /v1/stream?channels=a HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer ann\r\n\r\n", s.host)
	require.NoError(s.t, err)
	require.NoError(s.t, conn.SetReadDeadline(time.Now().Add(patience)))
	_, err = conn.Read(make([]byte, 4096))
	require.NoError(s.t, err)
	return conn
}

// What is written for one user never reaches the socket of another that came after.
func TestNoMessageCrossesSockets(t *testing.T) {
	t.Parallel()
	overBoth(t, func(t *testing.T, with setup) {
		with.hub = realtime.Config{}
		s := open(t, with)
		for _, path := range []string{"/v1/ws/raw?channels=", "/v1/ws"} {
			require.Zero(t, crossings(t, s, path, 8))
		}
	})
}

// crossings lets sockets on channel "ours" vanish under a flood and counts what of it reaches later sockets, which
// are on channels of their own.
func crossings(t *testing.T, s *site, path string, rounds int) int {
	t.Helper()
	stop := make(chan struct{})
	var publishing sync.WaitGroup
	publishing.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				s.publish("ours", `"ours"`)
			}
		}
	})
	defer publishing.Wait()
	defer close(stop)
	join := func(channel string) *client {
		if path == "/v1/ws" {
			c := s.connected()
			c.send("subscribe", 7, fmt.Sprintf(`{"channel":%q}`, channel))
			return c
		}
		return s.client(path+channel, ann)
	}
	count := 0
	for round := range rounds {
		first := join("ours")
		first.next()
		require.NoError(t, first.conn.NetConn().Close())
		own := fmt.Sprint("own", round)
		second := join(own)
		second.next()
		s.publish(own, `"mine"`)
		for {
			m := second.next()
			data := m["data"]
			if data == nil {
				data = m.at("push", "pub", "data")
			}
			if data == "ours" {
				count++
			}
			if data == "mine" {
				break
			}
		}
		require.NoError(t, second.conn.Close())
	}
	return count
}
