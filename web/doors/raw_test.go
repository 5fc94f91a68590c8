package doors_test

import (
	"context"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/fasthttp/websocket"
	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/realtime"
	"github.com/millrace-dev/millrace/web/doors"
)

// noJobs is a source of views of nothing; oneJob has a job in state "queued".
type (
	noJobs struct{}
	oneJob struct{}
)

func (noJobs) Snapshot(context.Context, string) ([]byte, error) {
	return nil, realtime.ErrUnknownChannel
}
func (noJobs) Watch(string)   {}
func (noJobs) Unwatch(string) {}

func (oneJob) Snapshot(context.Context, string) ([]byte, error) {
	return []byte(`{"state":"queued"}`), nil
}
func (oneJob) Watch(string)   {}
func (oneJob) Unwatch(string) {}

func TestRawMessages(t *testing.T) {
	t.Parallel()
	s := open(t, setup{hub: realtime.Config{Namespaces: append(realtime.DefaultNamespaces(),
		realtime.Namespace{Name: "job", Source: oneJob{}},
		realtime.Namespace{Name: "bytes", Ephemeral: true, Binary: true},
	)}})
	first := s.publish("a", `1`)
	c := s.client("/v1/ws/raw?channels=a,bytes:x,job:1&last_event_id="+url.QueryEscape("a="+first.Epoch+":0"), ann)
	require.Equal(t, message{"event": "subscribed", "channel": "a", "offset": 0.0, "epoch": first.Epoch, "recovered": true}, c.next())
	require.Equal(t, message{"channel": "a", "offset": 1.0, "epoch": first.Epoch, "data": 1.0}, c.next())
	require.Equal(t, message{"event": "subscribed", "channel": "bytes:x", "recovered": false}, c.next())
	require.Equal(t, message{"event": "subscribed", "channel": "job:1", "recovered": false}, c.next())
	require.Equal(t, message{"channel": "job:1", "snapshot": true, "data": map[string]any{"state": "queued"}}, c.next())
	s.hub.Deliver("job:1", []byte(`{"state":"running"}`))
	require.Equal(t, message{"channel": "job:1", "data": map[string]any{"state": "running"}}, c.next())
	s.publish("bytes:x", "\x00\xff")
	require.Equal(t, message{"channel": "bytes:x", "base64": "AP8="}, c.next())
	require.NoError(t, c.conn.WriteMessage(websocket.TextMessage, []byte("ignored")))
	s.publish("a", `2`)
	require.InEpsilon(t, 2, c.next()["offset"], 0)
}

func TestRawAnswersPingsAndCloses(t *testing.T) {
	t.Parallel()
	s := open(t, setup{})
	c := s.client("/v1/ws/raw?channels=a", ann)
	pong := make(chan string, 1)
	c.conn.SetPongHandler(func(data string) error { pong <- data; return nil })
	require.NoError(t, c.conn.WriteControl(websocket.PingMessage, []byte("hi"), time.Now().Add(patience)))
	require.NoError(t, c.conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(1000, ""), time.Now().Add(patience)))
	require.Equal(t, websocket.CloseNormalClosure, c.closed())
	require.Equal(t, "hi", <-pong)
	require.Eventually(t, func() bool { return s.doors.Connections() == 0 }, patience, time.Millisecond)
}

func TestRawRefusals(t *testing.T) {
	t.Parallel()
	s := open(t, setup{})
	for path, status := range map[string]int{
		"/v1/ws/raw": 400, "/v1/ws/raw?channels=a,secret": 403, "/v1/ws/raw?channels=a%0A": 400,
	} {
		_, got := s.dial(path, ann)
		require.Equal(t, status, got, path)
	}
	_, status := s.dial("/v1/ws/raw?channels=a", nil)
	require.Equal(t, 401, status)
	require.Zero(t, s.hub.Connections())
}

// A peer that is gone without a word, and answers no pings, is let go.
func TestSilentRawPeerIsDropped(t *testing.T) {
	t.Parallel()
	s := open(t, setup{doors: doors.Config{Heartbeat: 20 * time.Millisecond}})
	c := s.client("/v1/ws/raw?channels=a", ann)
	require.Eventually(t, func() bool { return s.doors.Connections() == 0 }, patience, time.Millisecond)
	_ = c
}

// A living one is not, however quiet its channels are.
func TestQuietRawPeerIsKept(t *testing.T) {
	t.Parallel()
	s := open(t, setup{doors: doors.Config{Heartbeat: 400 * time.Millisecond}})
	c := s.client("/v1/ws/raw?channels=a", ann)
	time.AfterFunc(2*time.Second, func() { s.publish("a", `1`) })
	c.next()
	require.InEpsilon(t, 1, c.next()["data"], 0) // reading answers the pings
}

// A peer that reads nothing is cut off, and holds nothing any more.
func TestDeafPeerIsDropped(t *testing.T) {
	t.Parallel()
	overBoth(t, func(t *testing.T, with setup) {
		dropDeaf(t, with, func(s *site) { s.connected().ask("subscribe", `{"channel":"a"}`) })
	})
	t.Run("raw", func(t *testing.T) {
		t.Parallel()
		dropDeaf(t, setup{}, func(s *site) { s.client("/v1/ws/raw?channels=a", ann) })
	})
	t.Run("sse", func(t *testing.T) {
		t.Parallel()
		dropDeaf(t, setup{}, func(s *site) { s.stream() })
	})
}

// dropDeaf publishes to "a" until the peer that join makes is gone.
func dropDeaf(t *testing.T, with setup, join func(*site)) {
	t.Helper()
	with.doors.WriteTimeout, with.hub.QueueSize, with.linger = 500*time.Millisecond, 64<<10, 500*time.Millisecond
	s := open(t, with)
	join(s)
	data := `"` + strings.Repeat("x", 50<<10) + `"`
	for deadline := time.Now().Add(2 * patience); s.doors.Connections() > 0; {
		require.True(t, time.Now().Before(deadline))
		s.publish("a", data)
	}
}

// Names outlive the request that they came with; its buffers are used for the next one.
func TestNamesAreCopied(t *testing.T) {
	t.Parallel()
	s := open(t, setup{})
	first := s.client("/v1/ws/raw?channels=first-channel", ann)
	require.Equal(t, "first-channel", first.next()["channel"])
	stream := s.events(on("other-channel"), ann)
	stream.next()
	for range 30 {
		c := s.client("/v1/ws/raw?channels=later-channel", ann)
		c.next()
		require.NoError(t, c.conn.Close())
	}
	s.publish("first-channel", `1`)
	require.Equal(t, "first-channel", first.next()["channel"])
	s.publish("other-channel", `1`)
	require.Equal(t, "other-channel", stream.next().json(t)["channel"])
	s.hub.DisconnectWhere(func(c realtime.Credentials) bool { return c.User == "ann" })
	require.Equal(t, 3503, first.closed())
}
