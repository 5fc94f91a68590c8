package doors_test

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/fasthttp/websocket"
	"github.com/stretchr/testify/require"
)

// masked makes a client's frame; the mask of zeros leaves the payload readable.
func masked(first byte, payload string) []byte {
	b := []byte{first, 0x80 | byte(min(len(payload), 126))}
	if len(payload) > 125 {
		b = binary.BigEndian.AppendUint16(b, uint16(len(payload)))
	}
	return append(append(b, 0, 0, 0, 0), payload...)
}

// However a client cuts its frames, the commands in them arrive.
func TestFramesInPieces(t *testing.T) {
	t.Parallel()
	overBoth(t, func(t *testing.T, with setup) {
		s := open(t, with)
		c := s.client("/v1/ws", ann)
		for _, b := range masked(0x81, `{"id":1,"connect":{}}`) { // byte by byte
			_, err := c.conn.NetConn().Write([]byte{b})
			require.NoError(t, err)
		}
		require.NotNil(t, c.next().at("connect"))

		pong := make(chan string, 1)
		c.conn.SetPongHandler(func(data string) error { pong <- data; return nil })
		subscribe := masked(0x01, `{"id":2,"subscr`) // two fragments with a ping between, and a message behind
		subscribe = append(subscribe, masked(0x89, "hi")...)
		subscribe = append(subscribe, masked(0x80, `ibe":{"channel":"a"}}`)...)
		subscribe = append(subscribe, masked(0x81, `{"id":3,"publish":{"channel":"a","data":1}}`)...)
		_, err := c.conn.NetConn().Write(subscribe)
		require.NoError(t, err)
		answered := map[any]bool{}
		for !answered[2.0] || !answered[3.0] {
			answered[c.next()["id"]] = true
		}
		require.Equal(t, "hi", <-pong)
	})
}

func TestWireBreaches(t *testing.T) {
	t.Parallel()
	overBoth(t, func(t *testing.T, with setup) {
		s := open(t, with)
		for name, frame := range map[string][]byte{
			"unmasked":                {0x81, 1, 'x'},
			"reserved bit":            masked(0xa1, ""),
			"unknown opcode":          masked(0x83, ""),
			"continuation of nothing": masked(0x80, ""),
			"ping in parts":           masked(0x09, ""),
			"bad close code":          masked(0x88, "\x03\xed"),
		} {
			c := s.connected()
			_, err := c.conn.NetConn().Write(frame)
			require.NoError(t, err)
			require.Equal(t, websocket.CloseProtocolError, c.closed(), name)
			require.NoError(t, c.conn.Close())
		}
		require.Eventually(t, func() bool { return s.doors.Connections() == 0 }, patience, time.Millisecond)
	})
}

// The close handshake that a client begins ends on both sides, and its connection is closed here.
func TestClientCloses(t *testing.T) {
	t.Parallel()
	overBoth(t, func(t *testing.T, with setup) {
		s := open(t, with)
		c := s.connected()
		require.NoError(t, c.conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(1000, "bye"), time.Now().Add(patience)))
		require.Equal(t, websocket.CloseNormalClosure, c.closed())
		require.NoError(t, c.conn.NetConn().SetReadDeadline(time.Now().Add(patience)))
		_, err := c.conn.NetConn().Read(make([]byte, 1))
		require.Error(t, err)
		require.Eventually(t, func() bool { return s.doors.Connections() == 0 && s.hub.Connections() == 0 }, patience, time.Millisecond)
	})
}
