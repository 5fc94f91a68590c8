package doors_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/fasthttp/websocket"
	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/realtime"
)

// overSockets runs a test over the three kinds of WebSocket. join returns one that is in its normal state.
func overSockets(t *testing.T, test func(t *testing.T, with setup, join func(*site) *client)) {
	t.Helper()
	overBoth(t, func(t *testing.T, with setup) { test(t, with, (*site).connected) })
	t.Run("raw", func(t *testing.T) {
		t.Parallel()
		test(t, setup{}, func(s *site) *client { return s.client("/v1/ws/raw?channels=a", ann) })
	})
}

// claiming is the head of a frame that says how long it is.
func claiming(first byte, length uint64) []byte {
	return append(binary.BigEndian.AppendUint64([]byte{first, 0x80 | 127}, length), 0, 0, 0, 0)
}

// What breaks the framing is answered with RFC 6455's own codes, before the bytes that it announces come.
func TestHostileFrames(t *testing.T) {
	t.Parallel()
	overSockets(t, func(t *testing.T, with setup, join func(*site) *client) {
		s := open(t, with)
		for name, c := range map[string]struct {
			frame []byte
			code  int
		}{
			"2^63 bytes":         {claiming(0x82, 1<<63), websocket.CloseMessageTooBig},
			"2^64-1 bytes":       {claiming(0x81, 1<<64-1), websocket.CloseMessageTooBig},
			"2^62 bytes":         {claiming(0x82, 1<<62), websocket.CloseMessageTooBig},
			"a ping of 2^63":     {claiming(0x89, 1<<63), websocket.CloseProtocolError},
			"unmasked":           {[]byte{0x81, 1, 'x'}, websocket.CloseProtocolError},
			"first reserved bit": {masked(0xc1, "{}"), websocket.CloseProtocolError},
			"other reserved bit": {masked(0x91, "{}"), websocket.CloseProtocolError},
			"unknown control":    {masked(0x8b, ""), websocket.CloseProtocolError},
		} {
			peer := join(s)
			_, err := peer.conn.NetConn().Write(c.frame)
			require.NoError(t, err)
			require.Equal(t, c.code, peer.closed(), name)
		}
	})
}

// A message that never ends is cut: by its size when its parts hold something, else by the silence that it is.
func TestFragmentsForEver(t *testing.T) {
	t.Parallel()
	overSockets(t, func(t *testing.T, with setup, join func(*site) *client) {
		with.hub.PingInterval, with.doors.Heartbeat = time.Second, 100*time.Millisecond
		s := open(t, with)
		for name, part := range map[string]string{"of a kilobyte": strings.Repeat("x", 1<<10), "empty": ""} {
			peer := join(s)
			_, err := peer.conn.NetConn().Write(masked(0x01, part))
			require.NoError(t, err)
			stop := make(chan struct{})
			go func() { // ends with the connection at the latest
				more := bytes.Repeat(masked(0x00, part), 10)
				for {
					if _, err := peer.conn.NetConn().Write(more); err != nil {
						return
					}
					select {
					case <-stop:
						return
					case <-time.After(time.Millisecond):
					}
				}
			}()
			if part != "" {
				require.Equal(t, websocket.CloseMessageTooBig, peer.closed(), name)
			} else { // the plain socket has nobody to tell: its reader never sees a message
				require.Eventually(t, func() bool { return s.hub.Connections() == 0 }, patience, 10*time.Millisecond, name)
			}
			close(stop)
			_ = peer.conn.Close()
			require.Eventually(t, func() bool { return s.doors.Connections() == 0 }, patience, 10*time.Millisecond, name)
		}
	})
}

// What is no command ends the connection with the protocol's 3501, whatever it is instead.
func TestGarbage(t *testing.T) {
	t.Parallel()
	overBoth(t, func(t *testing.T, with setup) {
		s := open(t, with)
		for _, text := range []string{
			"x", "null", "7", "[]", `"connect"`, "{", `{"id":-1,"connect":{}}`, `{"id":1,"connect":7}`, `{"id":1e99,"connect":{}}`,
			strings.Repeat("[", 60_000), strings.Repeat(`{"id":`, 10_000), "{}{}", "\x00", "{\"id\":2,\"subscribe\":{\"channel\":\"\\ud800\"}",
		} {
			c := s.connected()
			require.NoError(t, c.conn.WriteMessage(websocket.TextMessage, []byte(text)))
			require.Equal(t, 3501, c.closed(), "%.40q", text)
		}
		for _, bytes := range []string{
			"\xff", "\xff\xff\xff\xff\xff\xff\xff\xff\x7f", "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", "\x05\x08", "\x02\xff\xff",
			"\x04\x22\xff\xff\xff", "\x03\x0a\x7fx", strings.Repeat("\x01", 3),
		} {
			c := s.client("/v1/ws?format=protobuf", ann)
			require.NoError(t, c.conn.WriteMessage(websocket.BinaryMessage, []byte(bytes)))
			require.Equal(t, 3501, c.closedWithin(), "%q", bytes)
		}
	})
}

// closedWithin reads frames that are no JSON until the close frame.
func (c *client) closedWithin() int {
	c.t.Helper()
	require.NoError(c.t, c.conn.SetReadDeadline(time.Now().Add(patience)))
	for {
		if _, _, err := c.conn.ReadMessage(); err != nil {
			closed := &websocket.CloseError{}
			require.ErrorAs(c.t, err, &closed)
			return closed.Code
		}
	}
}

// A thousand commands in a frame are as many as in frames of their own: publishes over the rate are refused one by
// one, and whoever sends too many others is cut.
func TestTooManyCommands(t *testing.T) {
	t.Parallel()
	overBoth(t, func(t *testing.T, with setup) {
		with.hub.CommandRate, with.hub.PublishRate = 50, 50
		s := open(t, with)
		lines := func(count int, command string) []byte {
			var b strings.Builder
			for n := range count {
				fmt.Fprintf(&b, command+"\n", n+2)
			}
			return []byte(b.String())
		}
		const publish, few = `{"id":%d,"publish":{"channel":"a","data":1}}`, 150
		c := s.connected()
		require.NoError(t, c.conn.WriteMessage(websocket.TextMessage, lines(few, publish)))
		refused := 0
		for range few {
			if m := c.next(); m["error"] != nil {
				require.InEpsilon(t, 111, m.at("error", "code"), 0)
				refused++
			}
		}
		require.Positive(t, refused)
		page, err := s.hub.History(t.Context(), "a", realtime.HistoryQuery{})
		require.NoError(t, err)
		require.EqualValues(t, few-refused, page.Top.Offset)

		require.NoError(t, c.conn.WriteMessage(websocket.TextMessage, lines(1000, `{"id":%d,"history":{"channel":"a"}}`)))
		require.Equal(t, 3013, c.closed())

		binary := s.client("/v1/ws?format=protobuf", ann)
		connect := []byte{4, 0x08, 1, 0x22, 0} // {id: 1, connect: {}}
		require.NoError(t, binary.conn.WriteMessage(websocket.BinaryMessage, bytes.Repeat(connect, 1000)))
		require.Contains(t, []int{3013, 3501}, binary.closedWithin(), "connecting twice is a mistake by itself")
	})
}

// Frames that mean nothing count too.
func TestFloodsAreCut(t *testing.T) {
	t.Parallel()
	overSockets(t, func(t *testing.T, with setup, join func(*site) *client) {
		s := open(t, with)
		for name, frame := range map[string][]byte{
			"pings": masked(0x89, "x"), "pongs": masked(0x8a, "x"),
		} {
			peer := join(s)
			_, err := peer.conn.NetConn().Write(bytes.Repeat(frame, 5000))
			require.NoError(t, err)
			require.Equal(t, 3013, peer.closed(), name)
		}
	})
}

// hostileNames are no channels, or must be nobody's but their own.
func hostileNames() map[string]bool {
	return map[string]bool{ // whether it is a name
		"":                       false,
		"a\x00":                  false,
		"a\n":                    false,
		"\ta":                    false,
		"a\u0085":                false,
		":a":                     false,
		"room:":                  false,
		"a\xff":                  false,
		strings.Repeat("a", 300): false,
		strings.Repeat("ä", 128): false, // 256 bytes
		"*":                      true,
		"..":                     true,
		"../secret":              true,
		"a/b":                    true,
		"sеcret":                 true, // with a Cyrillic е
		"room:*":                 true,
		"%00":                    true,
		"a%2Fb":                  true,
		strings.Repeat("a", 255): true,
	}
}

// A name is compared byte by byte: none stands for others, and what is none is refused in the door's own way.
func TestHostileChannelNames(t *testing.T) {
	t.Parallel()
	overBoth(t, func(t *testing.T, with setup) {
		s := open(t, with)
		for name, ok := range hostileNames() {
			if !strings.Contains(name, "\xff") { // no text message can hold that
				c := s.connected()
				c.send("subscribe", 9, fmt.Sprintf(`{"channel":%s}`, quoted(name)))
				m, err := c.read()
				switch {
				case ok:
					require.NotNil(t, m.at("subscribe"), "%q: %v", name, m)
					s.publish("secret", `"not yours"`)
					s.publish(name, `"mine"`)
					require.Equal(t, "mine", c.next().at("push", "pub", "data"), "%q", name)
				case err == nil:
					require.Contains(t, []any{107.0, 108.0}, m.at("error", "code"), "%q: %v", name, m)
				default:
					require.Equal(t, 3501, c.closed(), "%q", name)
				}
			}
			for _, answered := range []int{s.status("/v1/stream?" + url.Values{"channel": {name}}.Encode())} {
				want := 400
				if ok {
					want = 200
				}
				require.Equal(t, want, answered, "%q", name)
			}
		}
	})
}

// quoted is JSON of a text, control characters included.
func quoted(text string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range text {
		fmt.Fprintf(&b, `\u%04x`, r)
	}
	return b.String() + `"`
}

// status is that of a stream's answer.
func (s *site) status(path string) int {
	s.t.Helper()
	query, err := url.ParseQuery(path[strings.IndexByte(path, '?')+1:])
	require.NoError(s.t, err)
	stream := s.events(query, ann)
	_ = stream.response.Body.Close()
	return stream.response.StatusCode
}

// What one has no right to is refused with the protocol's code, and does not happen.
func TestCommandsWithoutTheRight(t *testing.T) {
	t.Parallel()
	overBoth(t, func(t *testing.T, with setup) {
		s := open(t, with)
		before, err := s.hub.History(t.Context(), "secret", realtime.HistoryQuery{})
		require.NoError(t, err)
		c := s.connected()
		for command, parameters := range map[string]string{
			"publish":   `{"channel":"secret","data":1}`,
			"subscribe": `{"channel":"secret"}`,
			"history":   `{"channel":"secret","limit":1}`,
		} {
			require.InEpsilon(t, 103, c.ask(command, parameters).at("error", "code"), 0, command)
		}
		after, err := s.hub.History(t.Context(), "secret", realtime.HistoryQuery{})
		require.NoError(t, err)
		require.Equal(t, before.Top.Offset, after.Top.Offset)

		for command, parameters := range map[string]string{ // nobody may, or it does not exist here
			"presence": `{"channel":"secret"}`, "presence_stats": `{"channel":"secret"}`, "rpc": `{"method":"x"}`,
		} {
			require.NotNil(t, c.ask(command, parameters).at("error", "code"), command)
		}
		require.NotNil(t, c.ask("publish", `{"channel":"a","data":1}`).at("publish"), "the connection goes on")
	})
}
