package doors

import (
	"errors"
	"net"
	"sync"
	"time"

	"github.com/fasthttp/websocket"
	"github.com/gofiber/fiber/v2"
)

// Frames is what takes the frames of one connection. Methods are called from several goroutines.
type Frames interface {
	// Receive takes a message, whose bytes are its own. It may keep the reader waiting, and reports false when there is no
	// use in reading on.
	Receive(binary bool, message []byte) bool
	// Disconnect asks the connection to end, with a code of the official protocol.
	Disconnect(code uint32, reason string)
	// End says that the connection is over: with the peer's code, 1005 if it gave none, 1006 if it vanished. The
	// connection's place is given back when it returns.
	End(code int, reason string)
}

// Frames is the door of those who speak a protocol of their own: a WebSocket whose frames go to what begin returns. begin
// is called when the connection is upgraded; its error is logged, and the peer told to come back.
// The errors are ErrNoUpgrade, ErrOrigin, ErrFull and ErrStopping.
func (d *Doors) Frames(c *fiber.Ctx, begin func(peer *Peer) (Frames, error)) error {
	if err := d.checkSocketOrigin(c); err != nil {
		return err
	}
	place, err := d.open.admit()
	if err != nil {
		return err
	}
	place.expect(func() {})
	err = upgrade(c, func(conn net.Conn, early []byte, _ string) {
		go d.serveFrames(place, conn, early, begin)
	}, place.leave)
	if err != nil {
		place.leave()
	}
	return err
}

// serveFrames owns a connection until it is closed, and reads. A writer runs while there is something to write (Peer),
// and pings are sent by a timer, so that a silent connection has this goroutine alone.
func (d *Doors) serveFrames(place *place, conn net.Conn, early []byte, begin func(*Peer) (Frames, error)) {
	defer place.leave()
	upgraded, err := libraryConn(conn, early)
	if err != nil {
		_ = conn.Close()
		d.log.Error("websocket connection lost", "err", err)
		return
	}
	s := d.socket(upgraded)
	defer s.cut()
	defer d.recovered()
	peer := newPeer(s)
	defer peer.stop()
	frames, err := begin(peer)
	if err != nil {
		d.log.Error("websocket connection not taken", "err", err)
		s.Close(tryAgainCode, "")
		s.receive(nil)
		return
	}
	s.flooded = func() { frames.Disconnect(floodCode, floodReason) }
	if !place.claim(frames.Disconnect, s.cut) {
		frames.Disconnect(shutdownCode, shutdownReason)
	}
	code, reason := d.readFrames(s, frames)
	s.cut()
	peer.stop()
	frames.End(code, reason)
}

// tryAgainCode is for connections that cannot be served now (RFC 6455's registry).
const tryAgainCode = 1013

// readFrames reads until the connection ends, and returns how.
func (d *Doors) readFrames(s *socket, frames Frames) (code int, reason string) {
	code = websocket.CloseAbnormalClosure // also after a panic
	defer d.recovered()
	alive := func() error { return s.extend(silentBeats * d.config.Heartbeat) }
	s.conn.SetReadLimit(int64(d.config.Hub.MaxFrame()))
	s.control(alive)
	defer s.beat(d.config.Heartbeat)()
	if err := alive(); err != nil {
		return code, ""
	}
	err := s.receiveFrames(func(form int, message []byte) bool {
		more := s.admits() && frames.Receive(form == websocket.BinaryMessage, message)
		return alive() == nil && more
	})
	if closed, ok := errors.AsType[*websocket.CloseError](err); ok && closed.Code != websocket.CloseAbnormalClosure {
		return closed.Code, closed.Text
	}
	return code, ""
}

// beat sends pings until the function that it returns is called.
func (s *socket) beat(every time.Duration) (stop func()) {
	var mu sync.Mutex
	stopped := false
	var timer *time.Timer
	mu.Lock()
	defer mu.Unlock()
	timer = time.AfterFunc(every, func() {
		err := s.conn.WriteControl(websocket.PingMessage, nil, time.Now().Add(s.timeout))
		mu.Lock()
		defer mu.Unlock()
		if err == nil && !stopped {
			timer.Reset(every)
		}
	})
	return func() {
		mu.Lock()
		defer mu.Unlock()
		stopped = true
		timer.Stop()
	}
}
