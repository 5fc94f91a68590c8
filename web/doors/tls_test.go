package doors_test

import (
	"bytes"
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/fasthttp/websocket"
	"github.com/stretchr/testify/require"
)

// Under TLS in the process, where no poller can read, the WebSockets work as without: also what comes with the
// handshake, in its record or in the next one, arrives, and the close says why.
func TestWebSocketsUnderTLS(t *testing.T) {
	t.Parallel()
	issuer := httptest.NewTLSServer(http.NotFoundHandler()) // for its certificate
	issuer.Close()
	secured := issuer.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	secured.ServerName = "example.com"
	s := open(t, setup{tls: &tls.Config{Certificates: issuer.TLS.Certificates}})

	for _, records := range []int{1, 2} {
		conn, err := tls.Dial("tcp", s.host, secured)
		require.NoError(t, err)
		require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
		first := masked(0x81, `{"id":1,"connect":{}}`)
		if records == 1 {
			_, err = conn.Write(append(s.handshake(), first...))
		} else if _, err = conn.Write(s.handshake()); err == nil {
			_, err = conn.Write(first)
		}
		require.NoError(t, err)
		var got []byte
		for buffer := make([]byte, 4096); !bytes.Contains(got, []byte(`"connect":{"client"`)); {
			n, err := conn.Read(buffer)
			require.NoError(t, err, "%q", got)
			got = append(got, buffer[:n]...)
		}
		require.NoError(t, conn.Close())
	}
	require.Eventually(t, func() bool { return s.doors.Connections() == 0 }, patience, time.Millisecond)

	dialer := websocket.Dialer{HandshakeTimeout: patience, TLSClientConfig: secured}
	open := func(path string) *client {
		conn, _, err := dialer.DialContext(t.Context(), "wss://"+s.host+path, ann)
		require.NoError(t, err)
		t.Cleanup(func() { _ = conn.Close() })
		return &client{t: t, conn: conn}
	}
	official, raw := open("/v1/ws"), open("/v1/ws/raw?channels=a")
	require.NotNil(t, official.ask("connect", `{}`).at("connect", "client"))
	require.Equal(t, "subscribed", raw.next()["event"])
	s.publish("a", `"hello"`)
	require.Equal(t, "hello", raw.next()["data"])
	stopped := make(chan error, 1)
	go func() { stopped <- s.doors.Stop(t.Context()) }()
	require.Equal(t, 3001, official.closed())
	require.Equal(t, 3001, raw.closed())
	require.NoError(t, <-stopped)
}
