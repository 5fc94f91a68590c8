package doors

import (
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/fasthttp/websocket"
)

const (
	// defaultLingerTime is how long a connection that this side ends is read on, waiting for the peer to close too:
	// closing with unread bytes makes a TCP reset, and that takes the close frame away.
	defaultLingerTime = 5 * time.Second
	// peerGone is the code for connections that nothing can be written to any more.
	peerGone = 3000
)

// socket is an upgraded connection as a realtime.Conn.
type socket struct {
	conn *websocket.Conn
	form int // websocket.TextMessage or BinaryMessage
	// timeout is for a write, lingerTime for what comes after the close frame.
	timeout, lingerTime time.Duration
	// closing is set once the close frame is written: the time to wait for the peer is fixed from then on.
	closing atomic.Bool
	// inbound is of the goroutine that reads; flooded ends the connection when too much has come.
	inbound meter
	flooded func()
}

// Write sends one message.
func (s *socket) Write(message []byte) error { return s.write(s.form, message) }

func (s *socket) write(form int, message []byte) error {
	if err := s.conn.SetWriteDeadline(time.Now().Add(s.timeout)); err != nil {
		return err //nolint:wrapcheck // ends the connection, nobody reads it
	}
	return s.conn.WriteMessage(form, message) //nolint:wrapcheck // ends the connection, nobody reads it
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
	_ = s.conn.SetReadDeadline(time.Now().Add(s.lingerTime)) // fails on closed connections only
}

// extend puts the time off by which the peer must have been heard, unless the connection is closing. The order
// makes Close win: it sets closing before the deadline.
func (s *socket) extend(by time.Duration) error {
	err := s.conn.SetReadDeadline(time.Now().Add(by))
	if s.closing.Load() {
		err = s.conn.SetReadDeadline(time.Now().Add(s.lingerTime))
	}
	return err //nolint:wrapcheck // ends the connection, nobody reads it
}

// cut closes the connection under everything.
func (s *socket) cut() { _ = s.conn.NetConn().Close() }

// admits counts a frame without a command, and reports false when it is too much.
func (s *socket) admits() bool {
	before := s.inbound.over
	if s.inbound.take() {
		return true
	}
	if !before {
		s.flooded()
	}
	return false
}

// control sets what follows the peer's pings and pongs; alive is called for the pongs.
func (s *socket) control(alive func() error) {
	s.conn.SetPingHandler(func(data string) error {
		if s.admits() {
			// A failure shows when the connection is read on.
			_ = s.conn.WriteControl(websocket.PongMessage, []byte(data), time.Now().Add(s.timeout))
		}
		return nil
	})
	s.conn.SetPongHandler(func(string) error {
		if s.admits() {
			return alive()
		}
		return nil
	})
}

// receive reads messages until handle reports false or nothing more can be read, and then reads on without
// looking until the peer has closed.
func (s *socket) receive(handle func(message []byte) bool) {
	if handle == nil {
		_ = s.receiveFrames(nil)
		return
	}
	_ = s.receiveFrames(func(_ int, message []byte) bool { return handle(message) })
}

// receiveFrames does so for those to whom the form matters, and returns what the reading ended with. A message is the
// reader's own: none of its bytes are used again.
func (s *socket) receiveFrames(handle func(form int, message []byte) bool) error {
	for {
		form, message, err := s.conn.ReadMessage()
		if err != nil {
			s.linger(err)
			return err //nolint:wrapcheck // ends the connection
		}
		if form == websocket.TextMessage && handle != nil && !utf8.Valid(message) {
			s.Close(websocket.CloseInvalidFramePayloadData, "text is not UTF-8")
			handle = nil
		}
		if handle != nil && !handle(form, message) {
			handle = nil
		}
	}
}

// linger reads what a peer that broke the rules still sends. For that the library has sent a close frame, but not
// to a length of 2^63 and more, which it cannot count.
func (s *socket) linger(err error) {
	var closed *websocket.CloseError
	if errors.As(err, &closed) || errors.Is(err, os.ErrDeadlineExceeded) {
		return
	}
	if errors.Is(err, websocket.ErrReadLimit) {
		frame := websocket.FormatCloseMessage(websocket.CloseMessageTooBig, "")
		_ = s.conn.WriteControl(websocket.CloseMessage, frame, time.Now().Add(s.timeout)) // once only
	}
	raw := s.conn.NetConn()
	endWriting(raw)
	if raw.SetReadDeadline(time.Now().Add(s.lingerTime)) == nil {
		_, _ = io.Copy(io.Discard, raw)
	}
}

// endWriting tells a peer whose answer to the close frame could not be read that the connection ends, so that it
// does not wait for that.
func endWriting(conn net.Conn) {
	switch around := conn.(type) {
	case *answeredConn:
		conn = around.Conn
	case interface{ UnsafeConn() net.Conn }: // fasthttp's
		conn = around.UnsafeConn()
	}
	if half, ok := conn.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite() // fails when the connection has ended anyway
	}
}
