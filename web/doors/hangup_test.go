package doors_test

import (
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// No heartbeat comes while these tests run, so nothing but the peer's end can tell that it is gone.
func withoutHeartbeat(with setup) setup {
	with.doors.Heartbeat = time.Hour
	return with
}

func TestAStreamEndsWithItsReader(t *testing.T) {
	t.Parallel()
	overBoth(t, func(t *testing.T, with setup) {
		s := open(t, withoutHeartbeat(with))
		reader := s.events(url.Values{"channels": {"news"}, "token": {"ada"}}, nil)
		s.publish("news", `{}`)
		reader.next()
		require.Equal(t, 1, s.doors.Connections())

		require.NoError(t, reader.response.Body.Close())
		require.Eventually(t, func() bool { return s.doors.Connections() == 0 }, patience, 10*time.Millisecond)
	})
}

// Bytes behind the request are read and forgotten, and what comes after a few of them is not read at all.
func TestAStreamWhoseReaderSendsGoesOn(t *testing.T) {
	t.Parallel()
	overBoth(t, func(t *testing.T, with setup) {
		s := open(t, withoutHeartbeat(with))
		for _, bytes := range []int{1, 100_000} {
			conn, err := net.Dial("tcp", s.host)
			require.NoError(t, err)
			t.Cleanup(func() { _ = conn.Close() })
			_, err = fmt.Fprintf(conn, "GET /v1/stream?channels=news&token=ada HTTP/1.1\r\nHost: %s\r\n\r\n", s.host)
			require.NoError(t, err)
			expect(t, conn, "retry: ")

			_, err = io.WriteString(conn, strings.Repeat("x", bytes))
			require.NoError(t, err)
			s.publish("news", `{"after":"that"}`)
			expect(t, conn, `"after":"that"`)
		}
	})
}

// expect reads until text has come.
func expect(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(patience)))
	var got strings.Builder
	for buffer := make([]byte, 4096); !strings.Contains(got.String(), text); {
		n, err := conn.Read(buffer)
		got.Write(buffer[:n])
		require.NoError(t, err, got.String())
	}
}
