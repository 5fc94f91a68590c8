package doors

import (
	"context"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/web/doors/internal/poll"
	"github.com/millrace-dev/millrace/web/doors/internal/wsframe"
)

// halfWriter writes the first half of what it gets, once, and then nothing any more, as a full socket does.
type halfWriter struct {
	*net.TCPConn
	writes atomic.Int32
}

var errFull = errors.New("full")

func (h *halfWriter) Write(b []byte) (int, error) {
	if h.writes.Add(1) > 1 {
		return len(b), nil
	}
	n, err := h.TCPConn.Write(b[:len(b)/2])
	return n, errors.Join(errFull, err)
}

// After half a frame nothing may be written that the peer would take for the other half, and the connection ends.
func TestHalfAFrameIsTheLast(t *testing.T) {
	t.Parallel()
	for name, write := range map[string]func(*polled) error{
		"message": func(p *polled) error { return p.Write([]byte("hello")) },
		"pong":    func(p *polled) error { p.take([]byte{0x89, 0x80, 0, 0, 0, 0}); return p.Write(nil) },
		"close":   func(p *polled) error { p.Close(3001, "bye"); return p.Write(nil) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			here, there := tcpPair(t)
			poller, err := poll.New()
			require.NoError(t, err)
			defer func() { require.NoError(t, poller.Close(context.Background())) }()
			left := make(chan struct{})
			conn := &halfWriter{TCPConn: here}
			p := &polled{conn: conn, form: wsframe.Text, timeout: soon, lingerTime: soon, inbound: newMeter(defaultFrameRate), leave: func() { close(left) }}
			p.parser.Limit = 100
			p.watch, err = poller.Add(conn, p.ready)
			require.NoError(t, err)
			require.ErrorIs(t, write(p), errFull)
			<-left
			p.Close(3003, "write error")
			require.EqualValues(t, 1, conn.writes.Load())
			_, err = io.ReadAll(there)
			require.NoError(t, err)
		})
	}
}

func tcpPair(t *testing.T) (here, there *net.TCPConn) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, listener.Close()) }()
	dialed, err := net.Dial("tcp", listener.Addr().String())
	require.NoError(t, err)
	accepted, err := listener.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { _, _ = dialed.Close(), accepted.Close() })
	require.NoError(t, dialed.SetDeadline(time.Now().Add(soon)))
	return accepted.(*net.TCPConn), dialed.(*net.TCPConn)
}
