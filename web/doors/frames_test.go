package doors_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fasthttp/websocket"
	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/realtime"
	"github.com/millrace-dev/millrace/web/doors"
)

// echo sends back what comes, and keeps how its connection ended.
type echo struct {
	peer *doors.Peer
	// react, where it is set, is called instead.
	react func(e *echo, binary bool, message []byte) bool
	ends  chan string
}

func (e *echo) Receive(binary bool, message []byte) bool {
	if e.react != nil {
		return e.react(e, binary, message)
	}
	return e.peer.Send(binary, message) == nil
}

func (e *echo) Disconnect(code uint32, reason string) { e.peer.Close(int(code), reason) }

func (e *echo) End(code int, reason string) { e.ends <- fmt.Sprint(code, " ", reason) }

// echoing is a site whose frames come back, and where the ends of connections are told.
func echoing(t *testing.T, with setup, react func(e *echo, binary bool, message []byte) bool) (*site, <-chan string) {
	t.Helper()
	ends := make(chan string, 1000)
	with.frames = func(peer *doors.Peer) (doors.Frames, error) {
		return &echo{peer: peer, react: react, ends: ends}, nil
	}
	return open(t, with), ends
}

func (c *client) frame() (form int, data string) {
	c.t.Helper()
	require.NoError(c.t, c.conn.SetReadDeadline(time.Now().Add(patience)))
	form, frame, err := c.conn.ReadMessage()
	require.NoError(c.t, err)
	return form, string(frame)
}

func (c *client) closedBy() *websocket.CloseError {
	c.t.Helper()
	for {
		require.NoError(c.t, c.conn.SetReadDeadline(time.Now().Add(patience)))
		if _, _, err := c.conn.ReadMessage(); err != nil {
			var why *websocket.CloseError
			require.ErrorAs(c.t, err, &why)
			return why
		}
	}
}

func ending(t *testing.T, ends <-chan string) string {
	t.Helper()
	select {
	case end := <-ends:
		return end
	case <-time.After(patience):
		require.FailNow(t, "the connection did not end")
		return ""
	}
}

func TestFramesComeBackAsTheyWere(t *testing.T) {
	t.Parallel()
	s, ends := echoing(t, setup{}, nil)
	c := s.client("/frames", nil)
	for form, data := range map[int]string{websocket.TextMessage: "안녕", websocket.BinaryMessage: "\x00\xff", 0: ""} {
		form = max(form, websocket.TextMessage)
		require.NoError(t, c.conn.WriteMessage(form, []byte(data)))
		gotForm, got := c.frame()
		require.Equal(t, form, gotForm)
		require.Equal(t, data, got)
	}
	require.NoError(t, c.conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(4001, "bye"), time.Now().Add(patience)))
	require.Equal(t, 4001, c.closedBy().Code)
	require.Equal(t, "4001 bye", ending(t, ends))
	require.Eventually(t, func() bool { return s.doors.Connections() == 0 }, patience, time.Millisecond)
}

// TestNoFrameCrossesConnections is for pooled buffers (W1): everybody gets their own frames, in order.
func TestNoFrameCrossesConnections(t *testing.T) {
	t.Parallel()
	s, _ := echoing(t, setup{}, nil)
	var peers sync.WaitGroup
	for i := range 20 {
		c := s.client("/frames", nil)
		mine := strings.Repeat(fmt.Sprint("user ", i, " "), 1+i*50)
		peers.Go(func() {
			for n := range 50 {
				if c.conn.WriteMessage(websocket.TextMessage, fmt.Append(nil, mine, n)) != nil {
					return
				}
			}
		})
		peers.Go(func() {
			for n := range 50 {
				_, data, err := c.conn.ReadMessage()
				if err != nil || string(data) != fmt.Sprint(mine, n) {
					t.Errorf("peer %d got %.40q instead of its frame %d: %v", i, data, n, err)
					return
				}
			}
		})
	}
	peers.Wait()
}

func TestFramesThatBreakARule(t *testing.T) {
	t.Parallel()
	s, ends := echoing(t, setup{hub: realtime.Config{Namespaces: []realtime.Namespace{{Ephemeral: true, MaxSize: 100}}}}, nil)
	for name, tc := range map[string]struct {
		form int
		data string
		code int
	}{
		"too large": {websocket.BinaryMessage, strings.Repeat("x", s.hub.MaxFrame()+1), websocket.CloseMessageTooBig},
		"not UTF-8": {websocket.TextMessage, "\xff", websocket.CloseInvalidFramePayloadData},
	} {
		c := s.client("/frames", nil)
		require.NoError(t, c.conn.WriteMessage(tc.form, []byte(tc.data)), name)
		require.Equal(t, tc.code, c.closedBy().Code, name)
		ending(t, ends)
	}
}

func TestWhoSendsTooManyFramesIsCut(t *testing.T) {
	t.Parallel()
	s, ends := echoing(t, setup{doors: doors.Config{FrameRate: 1}}, nil)
	c := s.client("/frames", nil)
	for range 100 { // at one a second, some come too early on any machine
		_ = c.conn.WriteMessage(websocket.TextMessage, []byte("x"))
	}
	require.Equal(t, 3013, c.closedBy().Code)
	require.Contains(t, ending(t, ends), "3013")
}

func TestWhoDoesNotReadIsCut(t *testing.T) {
	t.Parallel()
	full := make(chan error, 1)
	s, ends := echoing(t, setup{doors: doors.Config{WriteTimeout: 100 * time.Millisecond}, linger: time.Second},
		func(e *echo, _ bool, _ []byte) bool {
			for {
				if err := e.peer.Send(true, make([]byte, 256<<10)); err != nil {
					full <- err
					return false
				}
			}
		})
	c := s.client("/frames", nil)
	require.NoError(t, c.conn.WriteMessage(websocket.TextMessage, nil))
	require.ErrorIs(t, <-full, doors.ErrPeerClosed)
	require.NotEmpty(t, ending(t, ends))
}

func TestAPeerThatVanishes(t *testing.T) {
	t.Parallel()
	s, ends := echoing(t, setup{}, nil)
	c := s.client("/frames", nil)
	require.NoError(t, c.conn.NetConn().Close())
	require.Equal(t, "1006 ", ending(t, ends))
}

func TestAPeerThatFallsSilentIsNotKept(t *testing.T) {
	t.Parallel()
	s, ends := echoing(t, setup{doors: doors.Config{Heartbeat: 20 * time.Millisecond}, linger: 20 * time.Millisecond}, nil)
	answering := s.client("/frames", nil)
	silent := s.client("/frames", nil)
	silent.conn.SetPingHandler(func(string) error { return nil })
	go func() { _, _, _ = silent.conn.ReadMessage() }()
	require.Equal(t, "1006 ", ending(t, ends))
	_ = answering.conn.Close()
}

// TestEndIsWaitedFor: the doors are not stopped before the last handler has ended.
func TestEndIsWaitedFor(t *testing.T) {
	t.Parallel()
	s, ends := echoing(t, setup{}, nil)
	c := s.client("/frames", nil)
	require.NoError(t, c.conn.WriteMessage(websocket.TextMessage, []byte("here")))
	c.frame()
	go func() { c.closedBy() }()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	require.NoError(t, s.doors.Stop(ctx))
	require.Contains(t, <-ends, "3001")
	_, status := s.dial("/frames", nil)
	require.Equal(t, http.StatusServiceUnavailable, status)
}

func TestAPanicEndsItsConnectionAlone(t *testing.T) {
	t.Parallel()
	s, ends := echoing(t, setup{}, func(e *echo, binary bool, message []byte) bool {
		if string(message) == "panic" {
			panic("as asked")
		}
		return e.peer.Send(binary, message) == nil
	})
	c, other := s.client("/frames", nil), s.client("/frames", nil)
	require.NoError(t, c.conn.WriteMessage(websocket.TextMessage, []byte("panic")))
	require.Equal(t, "1006 ", ending(t, ends))
	require.NoError(t, other.conn.WriteMessage(websocket.TextMessage, []byte("still here")))
	_, data := other.frame()
	require.Equal(t, "still here", data)
}

func TestFramesRefusals(t *testing.T) {
	t.Parallel()
	s, _ := echoing(t, setup{doors: doors.Config{MaxConnections: 1}}, nil)
	for want, header := range map[int]http.Header{
		http.StatusForbidden:       headers("Origin: https://evil.example"),
		http.StatusUpgradeRequired: headers("Sec-WebSocket-Version: 12"),
	} {
		if want == http.StatusUpgradeRequired {
			response, err := http.Get("http://" + s.host + "/frames") //nolint:noctx // of a test
			require.NoError(t, err)
			require.NoError(t, response.Body.Close())
			require.Equal(t, want, response.StatusCode)
			continue
		}
		_, status := s.dial("/frames", header)
		require.Equal(t, want, status)
	}
	s.client("/frames", headers("Origin: http://"+s.host))
	_, status := s.dial("/frames", nil)
	require.Equal(t, http.StatusServiceUnavailable, status)
}

func TestWhatCannotBeTakenIsToldToComeBack(t *testing.T) {
	t.Parallel()
	s := open(t, setup{frames: func(*doors.Peer) (doors.Frames, error) { return nil, errors.New("no") }}) //nolint:err113 // of a test
	require.Equal(t, 1013, s.client("/frames", nil).closedBy().Code)
	require.Eventually(t, func() bool { return s.doors.Connections() == 0 }, patience, time.Millisecond)
}
