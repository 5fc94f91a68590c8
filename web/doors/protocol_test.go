package doors_test

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/fasthttp/websocket"
	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/realtime"
)

func TestProtocolRecovers(t *testing.T) {
	t.Parallel()
	overBoth(t, func(t *testing.T, with setup) {
		s := open(t, with)
		c := s.connected()
		epoch := c.ask("subscribe", `{"channel":"room:a"}`).at("subscribe", "epoch")
		require.NotNil(t, c.ask("publish", `{"channel":"room:a","data":{"n":1}}`).at("publish"))
		require.InEpsilon(t, 1, c.next().at("push", "pub", "offset"), 0)
		require.NoError(t, c.conn.NetConn().Close())

		for n := 2; n <= 20; n++ {
			s.publish("room:a", fmt.Sprintf(`{"n":%d}`, n))
		}
		c = s.connected()
		reply := c.ask("subscribe", fmt.Sprintf(`{"channel":"room:a","recover":true,"offset":1,"epoch":%q}`, epoch))
		require.Equal(t, true, reply.at("subscribe", "recovered"))
		require.Len(t, reply.at("subscribe", "publications"), 19)
		s.publish("room:a", `{"n":21}`)
		require.InEpsilon(t, 21, c.next().at("push", "pub", "offset"), 0)
	})
}

func TestProtocolConnectsByToken(t *testing.T) {
	t.Parallel()
	overBoth(t, func(t *testing.T, with setup) {
		s := open(t, with)
		c := s.client("/v1/ws", nil)
		require.NotNil(t, c.ask("connect", `{"token":"ann"}`).at("connect"))
		c = s.client("/v1/ws", nil)
		c.send("connect", 1, `{}`)
		require.Equal(t, 3500, c.closed())
		_, status := s.dial("/v1/ws", headers("Authorization: Bearer bad"))
		require.Equal(t, http.StatusUnauthorized, status)
	})
}

func TestProtocolSpeaksProtobuf(t *testing.T) {
	t.Parallel()
	overBoth(t, func(t *testing.T, with setup) {
		s := open(t, with)
		for _, path := range []string{"/v1/ws?format=protobuf", "/v1/ws"} {
			header := headers("Authorization: Bearer ann")
			if !strings.Contains(path, "?") {
				header.Set("Sec-WebSocket-Protocol", "centrifuge-protobuf")
			}
			c := s.client(path, header)
			// A command {id: 1, connect: {}} with its length before it.
			require.NoError(t, c.conn.WriteMessage(websocket.BinaryMessage, []byte{4, 0x08, 1, 0x22, 0}))
			form, frame, err := c.conn.ReadMessage()
			require.NoError(t, err)
			require.Equal(t, websocket.BinaryMessage, form)
			require.Equal(t, []byte{0x08, 1}, frame[1:3])
		}
	})
}

// Both doors take the same one of the subprotocols that a client offers.
func TestSubprotocols(t *testing.T) {
	t.Parallel()
	overBoth(t, func(t *testing.T, with setup) {
		s := open(t, with)
		for offer, want := range map[string]string{
			"":                    "",
			"mqtt":                "",
			"centrifuge-protobuf": "centrifuge-protobuf",
			"mqtt, centrifuge-protobuf,centrifuge-json": "centrifuge-json",
		} {
			header := headers("Authorization: Bearer ann")
			if offer != "" {
				header.Set("Sec-WebSocket-Protocol", offer)
			}
			require.Equal(t, want, s.client("/v1/ws", header).conn.Subprotocol(), offer)
		}
	})
}

func TestUnauthenticatedSocketIsClosed(t *testing.T) {
	t.Parallel()
	overBoth(t, func(t *testing.T, with setup) {
		with.hub = realtime.Config{ConnectTimeout: 50 * time.Millisecond}
		s := open(t, with)
		require.Equal(t, 3502, s.client("/v1/ws", nil).closed())
	})
}

// A close frame must arrive although the server has not read everything that was sent.
func TestCloseFrameSurvivesUnreadBytes(t *testing.T) {
	t.Parallel()
	flooded := func(t *testing.T, s *site, path string, want int) {
		t.Helper()
		flood := bytes.Repeat(masked(0x82, strings.Repeat("x", 60<<10)), 20)
		for range 5 {
			c := s.client(path, ann)
			_, _ = c.conn.NetConn().Write(flood) // the first of the frames ends the connection
			require.Equal(t, want, c.closed(), path)
			_ = c.conn.Close()
		}
	}
	overBoth(t, func(t *testing.T, with setup) {
		with.linger = time.Hour
		flooded(t, open(t, with), "/v1/ws", 3501) // not a command
	})
	t.Run("raw", func(t *testing.T) {
		t.Parallel()
		flooded(t, open(t, setup{linger: time.Hour}), "/v1/ws/raw?channels=a", websocket.CloseMessageTooBig)
	})
}

func TestFrameOverTheLimit(t *testing.T) {
	t.Parallel()
	overBoth(t, func(t *testing.T, with setup) {
		s := open(t, with)
		c := s.connected()
		require.NoError(t, c.conn.WriteMessage(websocket.TextMessage, make([]byte, 100<<10)))
		s.publish("a", `1`)
		require.Equal(t, websocket.CloseMessageTooBig, c.closed())
	})
}

func TestCompressionIsNotNegotiated(t *testing.T) {
	t.Parallel()
	overBoth(t, func(t *testing.T, with setup) {
		s := open(t, with)
		for _, path := range []string{"/v1/ws", "/v1/ws/raw?channels=a"} {
			dialer := websocket.Dialer{EnableCompression: true}
			conn, response, err := dialer.DialContext(t.Context(), "ws://"+s.host+path, ann)
			require.NoError(t, err)
			require.Empty(t, response.Header.Get("Sec-WebSocket-Extensions"))
			_ = conn.Close()

			// A frame that says it is compressed all the same breaks the protocol.
			c := s.client(path, ann)
			_, err = c.conn.NetConn().Write([]byte{0xc1, 0x81, 0, 0, 0, 0, 'x'})
			require.NoError(t, err)
			require.Equal(t, websocket.CloseProtocolError, c.closed())
		}
	})
}

func TestSlowProtocolClientIsCutAndRecovers(t *testing.T) {
	t.Parallel()
	overBoth(t, func(t *testing.T, with setup) {
		with.linger = time.Hour
		with.hub = realtime.Config{
			QueueSize:  64 << 10,
			Namespaces: []realtime.Namespace{{HistorySize: 1000, HistoryTTL: time.Minute}},
		}
		s := open(t, with)
		c := s.connected()
		epoch := c.ask("subscribe", `{"channel":"a"}`).at("subscribe", "epoch")
		data := `"` + strings.Repeat("x", 50<<10) + `"`
		sent := 0
		for s.hub.Connections() > 0 { // fills the kernel's buffers, then the queue
			require.Less(t, sent, 900)
			s.publish("a", data)
			sent++
		}
		s.publish("a", data) // nobody is connected: whatever was still flushed, this one was not
		sent++
		seen := 0
		for {
			m, err := c.read()
			if err != nil {
				require.True(t, websocket.IsCloseError(err, 3008), "%v", err)
				break
			}
			if m.at("push", "pub") != nil {
				seen++
			}
		}
		require.Less(t, seen, sent)
		c = s.connected()
		reply := c.ask("subscribe", fmt.Sprintf(`{"channel":"a","recover":true,"offset":%d,"epoch":%q}`, seen, epoch))
		require.Equal(t, true, reply.at("subscribe", "recovered"))
		require.Len(t, reply.at("subscribe", "publications"), sent-seen)
	})
}
