package doors

import (
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/fasthttp/websocket"
	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/web/doors/internal/wsframe"
)

// ofClient makes a client's frame of up to 64 kB; the mask of zeros leaves the payload readable.
func ofClient(payload string) []byte {
	frame := wsframe.Append(nil, wsframe.Text, []byte(payload))
	header := len(frame) - len(payload)
	frame[1] |= 0x80
	return append(append(frame[:header:header], 0, 0, 0, 0), payload...)
}

// What came with the handshake, more than fits into the library's buffer and cut anywhere, is read before the rest;
// and of the library's own handshake the peer sees nothing.
func TestLibraryConnGoesOnFromTheHandshake(t *testing.T) {
	t.Parallel()
	here, there := net.Pipe()
	defer func() { require.NoError(t, there.Close()) }()
	require.NoError(t, there.SetDeadline(time.Now().Add(soon)))
	want := []string{strings.Repeat("a", 2*readBuffer), "b", strings.Repeat("c", readBuffer), "d"}
	var stream []byte
	for _, message := range want {
		stream = append(stream, ofClient(message)...)
	}
	cut := len(stream) - readBuffer
	conn, err := libraryConn(here, stream[:cut:cut])
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close()) }()

	go func() { _, _ = there.Write(stream[cut:]) }()
	for _, message := range want {
		_, got, err := conn.ReadMessage()
		require.NoError(t, err)
		require.Equal(t, message, string(got))
	}
	go func() { _ = conn.WriteMessage(websocket.TextMessage, []byte("hello")) }()
	answer := wsframe.Append(nil, wsframe.Text, []byte("hello"))
	got := make([]byte, len(answer))
	_, err = io.ReadFull(there, got)
	require.NoError(t, err)
	require.Equal(t, answer, got)
}
