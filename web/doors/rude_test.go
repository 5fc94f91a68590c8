package doors_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fasthttp/websocket"
	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/realtime"
	"github.com/millrace-dev/millrace/web/doors"
)

// handshake is the request for the official protocol's door, as bytes.
func (s *site) handshake() []byte {
	return fmt.Appendf(nil, "GET /v1/ws HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer ann\r\nConnection: Upgrade\r\n"+
		"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", s.host)
}

func (s *site) connect() *net.TCPConn {
	s.t.Helper()
	conn, err := net.Dial("tcp", s.host)
	require.NoError(s.t, err)
	s.t.Cleanup(func() { _ = conn.Close() })
	require.NoError(s.t, conn.SetDeadline(time.Now().Add(patience)))
	return conn.(*net.TCPConn)
}

// A client may send its first frame with the handshake, in one packet, or right behind it.
func TestFirstFrameWithTheHandshake(t *testing.T) {
	t.Parallel()
	overBoth(t, func(t *testing.T, with setup) {
		s := open(t, with)
		first := masked(0x81, `{"id":1,"connect":{}}`)
		for round := range 60 {
			conn := s.connect()
			if round%2 == 0 {
				_, err := conn.Write(append(s.handshake(), first...))
				require.NoError(t, err)
			} else {
				_, err := conn.Write(s.handshake())
				require.NoError(t, err)
				_, err = conn.Write(first)
				require.NoError(t, err)
			}
			var got []byte
			for buffer := make([]byte, 4096); !bytes.Contains(got, []byte(`"connect":{"client"`)); {
				n, err := conn.Read(buffer)
				require.NoError(t, err, "%q", got)
				got = append(got, buffer[:n]...)
			}
			require.NoError(t, conn.Close())
		}
		require.Eventually(t, func() bool { return s.doors.Connections() == 0 }, patience, time.Millisecond)
	})
}

// Connections that are reset while they are taken over, before or after the answer, leave nothing behind.
func TestResetsDuringTheHandshake(t *testing.T) {
	t.Parallel()
	overBoth(t, func(t *testing.T, with setup) {
		var log logged
		with.doors.Logger = slog.New(slog.NewTextHandler(&log, nil))
		s := open(t, with)
		s.doors.SetClaimTimeout(500 * time.Millisecond) // what is reset before the answer is not upgraded
		var clients sync.WaitGroup
		for range 8 {
			clients.Go(func() {
				for round := range 40 {
					conn := s.connect()
					_, err := conn.Write(append(s.handshake(), masked(0x81, `{"id":1,"connect":{}}`)...))
					if round%4 > 0 && err == nil {
						_, err = conn.Read(make([]byte, 1<<(round%4)*10))
					}
					if err = errors.Join(err, conn.SetLinger(0), conn.Close()); err != nil { // the close is a reset
						t.Error(err)
					}
				}
			})
		}
		clients.Wait()
		require.Eventually(t, func() bool { return s.doors.Connections() == 0 && s.hub.Connections() == 0 }, 2*patience, time.Millisecond)
		require.Empty(t, log.String())
	})
}

// logged is a log that may be written from anywhere.
type logged struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// When the peer has answered the close, the connection is closed from here, and at once: browsers wait for that.
func TestAnsweredCloseEndsTheConnection(t *testing.T) {
	t.Parallel()
	overBoth(t, func(t *testing.T, with setup) {
		with.linger = time.Hour
		s := open(t, with)
		for user, path := range map[string]string{"ann": "/v1/ws", "bob": "/v1/ws/raw?channels=a"} {
			c := s.client(path, headers("Authorization: Bearer "+user))
			if path == "/v1/ws" {
				c.ask("connect", `{}`)
			}
			s.hub.DisconnectWhere(func(who realtime.Credentials) bool { return who.User == user })
			require.Equal(t, 3503, c.closed()) // reading it sent the answer
			require.NoError(t, c.conn.NetConn().SetReadDeadline(time.Now().Add(patience)))
			_, err := c.conn.NetConn().Read(make([]byte, 1))
			require.ErrorIs(t, err, io.EOF)
		}
	})
}

// So it is after a breach, which leaves nothing that could be read as an answer.
func TestBreachEndsTheConnection(t *testing.T) {
	t.Parallel()
	overBoth(t, func(t *testing.T, with setup) {
		with.linger = time.Hour
		s := open(t, with)
		for _, frame := range [][]byte{masked(0x83, ""), masked(0x88, "\x03\xed")} {
			c := s.connected()
			_, err := c.conn.NetConn().Write(append(frame, "whatever"...))
			require.NoError(t, err)
			require.Equal(t, websocket.CloseProtocolError, c.closed())
			require.NoError(t, c.conn.NetConn().SetReadDeadline(time.Now().Add(patience)))
			_, err = c.conn.NetConn().Read(make([]byte, 1))
			require.ErrorIs(t, err, io.EOF)
		}
	})
}

func TestTextMustBeUTF8(t *testing.T) {
	t.Parallel()
	overBoth(t, func(t *testing.T, with setup) {
		s := open(t, with)
		c := s.connected()
		c.send("publish", 2, "{\"channel\":\"a\",\"data\":\"\xff\"}")
		require.Equal(t, websocket.CloseInvalidFramePayloadData, c.closed())
	})
}

// What a breach is answered with gets through although there is something else to write at that moment: the
// connection is read on and ends without a reset.
func TestRawBreachUnderPublications(t *testing.T) {
	t.Parallel()
	s := open(t, setup{linger: time.Hour})
	stop := make(chan struct{})
	var publishing sync.WaitGroup
	publishing.Go(func() {
		pace := time.NewTicker(time.Millisecond)
		defer pace.Stop()
		for {
			select {
			case <-stop:
				return
			case <-pace.C:
				s.publish("a", `1`)
			}
		}
	})
	defer publishing.Wait()
	defer close(stop)
	for range 5 {
		c := s.client("/v1/ws/raw?channels=a", ann)
		c.next()
		_, err := c.conn.NetConn().Write(masked(0x82, strings.Repeat("x", 5<<10)))
		require.NoError(t, err)
		require.Equal(t, websocket.CloseMessageTooBig, c.closed())
		for range 20 { // goes on for longer than the next publications take
			_, err = c.conn.NetConn().Write(make([]byte, 8<<10))
			require.NoError(t, err)
			time.Sleep(time.Millisecond)
		}
		require.NoError(t, c.conn.NetConn().(interface{ CloseWrite() error }).CloseWrite())
		_, err = c.conn.NetConn().Read(make([]byte, 1))
		require.ErrorIs(t, err, io.EOF)
	}
}

// A flood of pings is answered, before the close that follows it, and whoever does not read the answers is cut.
func TestPingFlood(t *testing.T) {
	t.Parallel()
	overBoth(t, func(t *testing.T, with setup) {
		s := open(t, with)
		c := s.connected()
		var pongs []string
		c.conn.SetPongHandler(func(data string) error { pongs = append(pongs, data); return nil })
		var flood []byte
		var want []string
		for n := range 500 {
			want = append(want, fmt.Sprint(n))
			flood = append(flood, masked(0x89, fmt.Sprint(n))...)
		}
		_, err := c.conn.NetConn().Write(append(flood, masked(0x88, "\x03\xe8")...))
		require.NoError(t, err)
		require.Equal(t, websocket.CloseNormalClosure, c.closed())
		require.Equal(t, want, pongs)
	})
	t.Run("unread", func(t *testing.T) {
		t.Parallel()
		s := open(t, setup{doors: doors.Config{WriteTimeout: 500 * time.Millisecond}})
		c := s.connected()
		flood := bytes.Repeat(masked(0x89, strings.Repeat("x", 125)), 1000)
		require.NoError(t, c.conn.NetConn().SetWriteDeadline(time.Now().Add(patience)))
		for {
			if _, err := c.conn.NetConn().Write(flood); err != nil {
				require.NotErrorIs(t, err, os.ErrDeadlineExceeded)
				break
			}
		}
		require.Eventually(t, func() bool { return s.doors.Connections() == 0 }, patience, time.Millisecond)
	})
}

// Nothing is subscribed for those who are refused.
func TestRefusalsComeBeforeTheWork(t *testing.T) {
	t.Parallel()
	source := new(countedSource)
	with := setup{hub: realtime.Config{Namespaces: append(realtime.DefaultNamespaces(), realtime.Namespace{Name: "job", Source: source})}}
	with.doors.MaxConnections = 1
	s := open(t, with)
	s.connected()
	_, status := s.dial("/v1/ws/raw?channels=job:1", ann)
	require.Equal(t, 503, status)
	require.Equal(t, 503, s.events(on("job:1"), ann).response.StatusCode)
	require.Zero(t, source.snapshots.Load())
}

type countedSource struct{ snapshots atomic.Int32 }

func (s *countedSource) Snapshot(context.Context, string) ([]byte, error) {
	s.snapshots.Add(1)
	return []byte(`{}`), nil
}
func (*countedSource) Watch(string)   {}
func (*countedSource) Unwatch(string) {}
