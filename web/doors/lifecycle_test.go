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

// Whoever is admitted while the doors stop is told so, and waited for.
func TestStopWhileUpgrading(t *testing.T) {
	t.Parallel()
	overBoth(t, func(t *testing.T, with setup) {
		s := open(t, with)
		var clients sync.WaitGroup
		begun := make(chan struct{}, 32) // each client dials twice: let in, and then refused
		for range cap(begun) / 2 {
			clients.Go(func() {
				for {
					conn, status := s.dial("/v1/ws", ann)
					begun <- struct{}{}
					if conn == nil {
						if status != http.StatusServiceUnavailable {
							t.Errorf("answered %d", status)
						}
						return
					}
					if code := (&client{t: t, conn: conn}).closed(); code != 3001 {
						t.Errorf("closed with %d", code)
					}
				}
			})
		}
		<-begun
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		require.NoError(t, s.doors.Stop(ctx))
		require.Zero(t, s.doors.Connections())
		clients.Wait()
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

// Sockets that vanish in the middle of deliveries leave nothing behind; TestMain looks for goroutines.
func TestAbruptEnds(t *testing.T) {
	t.Parallel()
	overBoth(t, func(t *testing.T, with setup) {
		vanish(t, open(t, with), 60, func(s *site) net.Conn {
			c := s.connected()
			c.send("subscribe", 2, `{"channel":"a"}`)
			return c.conn.NetConn()
		})
	})
	t.Run("raw", func(t *testing.T) {
		t.Parallel()
		vanish(t, open(t, setup{}), 60, func(s *site) net.Conn { return s.client("/v1/ws/raw?channels=a", ann).conn.NetConn() })
	})
	t.Run("sse", func(t *testing.T) {
		t.Parallel()
		vanish(t, open(t, setup{}), 60, (*site).stream)
	})
}

func vanish(t *testing.T, s *site, count int, join func(*site) net.Conn) {
	t.Helper()
	var conns []net.Conn
	for range count {
		conns = append(conns, join(s))
	}
	require.Equal(t, count, s.doors.Connections())
	for i, conn := range conns {
		if i%5 == 0 {
			s.publish("a", `"something"`)
		}
		require.NoError(t, conn.(*net.TCPConn).SetLinger(0)) // the close is a reset
		require.NoError(t, conn.Close())
	}
	require.Eventually(t, func() bool {
		s.publish("a", `"something"`) // an event stream sees the end when it writes
		return s.doors.Connections() == 0 && s.hub.Connections() == 0
	}, 2*patience, 10*time.Millisecond)
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
		require.Zero(t, crossings(t, open(t, with), "/v1/ws", 8))
	})
	t.Run("raw", func(t *testing.T) {
		t.Parallel()
		require.Zero(t, crossings(t, open(t, setup{}), "/v1/ws/raw?channels=", 8))
	})
}

// crossings lets sockets on channel "ours" vanish under a flood and counts what of it reaches later sockets, which
// are on channels of their own.
func crossings(t *testing.T, s *site, path string, rounds int) int {
	t.Helper()
	stop := make(chan struct{})
	var publishing sync.WaitGroup
	publishing.Go(func() {
		pace := time.NewTicker(100 * time.Microsecond)
		defer pace.Stop()
		for {
			select {
			case <-stop:
				return
			case <-pace.C:
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
