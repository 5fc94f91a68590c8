package web

import (
	"errors"
	"io"
	"net"
	"sync/atomic"
	"time"
)

const (
	// lingerTime and lingerBytes bound how long a refused upload is listened to after the answer.
	lingerTime  = 2 * time.Second
	lingerBytes = 16 << 20
)

// listener hands out connections that can linger.
type listener struct{ net.Listener }

func (l listener) Accept() (net.Conn, error) {
	accepted, err := l.Listener.Accept()
	if err != nil {
		return nil, err //nolint:wrapcheck // fasthttp looks at the error itself
	}
	if tcp, ok := accepted.(*net.TCPConn); ok {
		return &conn{TCPConn: tcp}, nil
	}
	return accepted, nil
}

// conn is a TCP connection that knows whether the client has ended it, and whose Close can wait for the other side. A close with unread bytes makes the kernel
// send a reset, and a reset throws away the answer that the client has not read yet.
type conn struct {
	*net.TCPConn
	lingers atomic.Bool
	ended   atomic.Bool
}

// Read notes that the client will send nothing more.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.TCPConn.Read(p)
	if errors.Is(err, io.EOF) {
		c.ended.Store(true)
	}
	return n, err //nolint:wrapcheck // a transparent wrapper
}

// Close sends what is written, and if asked to linger reads on until the client has seen that.
func (c *conn) Close() error {
	if c.lingers.Load() && c.CloseWrite() == nil && c.SetReadDeadline(time.Now().Add(lingerTime)) == nil {
		_, _ = io.CopyN(io.Discard, c.TCPConn, lingerBytes)
	}
	return c.TCPConn.Close() //nolint:wrapcheck // a transparent wrapper
}

// linger makes the close of a connection wait for the client.
func linger(c net.Conn) {
	if ours, ok := c.(*conn); ok {
		ours.lingers.Store(true)
	}
}

// endedByClient reports whether a read has met the end of the connection.
func endedByClient(c net.Conn) bool {
	ours, ok := c.(*conn)
	return ok && ours.ended.Load()
}
