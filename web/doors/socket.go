package doors

import (
	"errors"
	"io"
	"os"
	"sync/atomic"
	"time"

	"github.com/fasthttp/websocket"
)

const (
	// lingerTime is how long a connection that this side ends is read on, waiting for the peer to close too:
	// closing with unread bytes makes a TCP reset, and that takes the close frame away.
	lingerTime = 5 * time.Second
	// peerGone is the code for connections that nothing can be written to any more.
	peerGone = 3000
)

// socket is an upgraded connection as a realtime.Conn.
type socket struct {
	conn    *websocket.Conn
	form    int // websocket.TextMessage or BinaryMessage
	timeout time.Duration
	// closing is set once the close frame is written: the time to wait for the peer is fixed from then on.
	closing atomic.Bool
}

// Write sends one message.
func (s *socket) Write(message []byte) error {
	if err := s.conn.SetWriteDeadline(time.Now().Add(s.timeout)); err != nil {
		return err //nolint:wrapcheck // ends the connection, nobody reads it
	}
	return s.conn.WriteMessage(s.form, message) //nolint:wrapcheck // ends the connection, nobody reads it
}

// Close sends the close frame; the reader sees the peer's, or a deadline, and closes the connection.
func (s *socket) Close(code uint32, reason string) {
	if code == peerGone {
		s.cut()
		return
	}
	frame := websocket.FormatCloseMessage(int(code), reason)
	err := s.conn.WriteControl(websocket.CloseMessage, frame, time.Now().Add(s.timeout))
	if err != nil && !errors.Is(err, websocket.ErrCloseSent) {
		s.cut()
		return
	}
	s.closing.Store(true)
	_ = s.conn.SetReadDeadline(time.Now().Add(lingerTime)) // fails on closed connections only
}

// cut closes the connection under everything.
func (s *socket) cut() { _ = s.conn.NetConn().Close() }

// receive reads messages until handle reports false or nothing more can be read, and then reads on without
// looking until the peer has closed.
func (s *socket) receive(handle func(message []byte) bool) {
	for {
		_, message, err := s.conn.ReadMessage()
		if err != nil {
			s.linger(err)
			return
		}
		if handle != nil && !handle(message) {
			handle = nil
		}
	}
}

// linger reads what a peer that broke the rules still sends; for that the library has sent a close frame.
func (s *socket) linger(err error) {
	var closed *websocket.CloseError
	if errors.As(err, &closed) || errors.Is(err, os.ErrDeadlineExceeded) {
		return
	}
	raw := s.conn.NetConn()
	if raw.SetReadDeadline(time.Now().Add(lingerTime)) == nil {
		_, _ = io.Copy(io.Discard, raw)
	}
}
