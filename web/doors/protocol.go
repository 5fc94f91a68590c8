package doors

import (
	"net"

	"github.com/fasthttp/websocket"
	"github.com/gofiber/fiber/v2"

	"github.com/millrace-dev/millrace/realtime"
)

// Protocol is the door of the official client SDKs: centrifuge's protocol over WebSocket, in JSON or, with the
// subprotocol "centrifuge-protobuf" or ?format=protobuf, in Protobuf. A request without credentials is let in and
// has a few seconds to connect with a token. It returns ErrNoUpgrade, ErrOrigin, ErrFull, ErrStopping and the
// errors of Config.Identify.
func (d *Doors) Protocol(c *fiber.Ctx) error {
	if err := d.checkSocketOrigin(c); err != nil {
		return err
	}
	credentials, err := d.credentials(c)
	if err != nil {
		return err
	}
	place, err := d.open.admit()
	if err != nil {
		return err
	}
	place.expect(func() {})
	binary := c.Query("format") == "protobuf" || c.Query("cf_protocol") == "protobuf"
	poller := d.pollerFor(c)
	err = upgrade(c, func(conn net.Conn, early []byte, subprotocol string) {
		binary := binary || subprotocol == protobufSubprotocol
		if poller != nil {
			go d.servePolled(poller, place, conn, early, binary, credentials)
		} else {
			go d.serveProtocol(place, conn, early, binary, credentials)
		}
	}, place.leave)
	if err != nil {
		place.leave()
	}
	return err
}

// serveProtocol owns the connection of a session until it is closed.
func (d *Doors) serveProtocol(place *place, conn net.Conn, early []byte, binary bool, credentials *realtime.Credentials) {
	defer place.leave()
	upgraded, err := libraryConn(conn, early)
	if err != nil {
		_ = conn.Close()
		d.log.Error("websocket connection lost", "err", err)
		return
	}
	s := d.socket(upgraded)
	encoding := realtime.JSON
	if binary {
		s.form, encoding = websocket.BinaryMessage, realtime.Protobuf
	}
	s.conn.SetReadLimit(int64(d.config.Hub.MaxFrame()))
	session, err := d.config.Hub.NewSession(s, encoding, credentials)
	if err != nil { // the hub is not running
		s.Close(shutdownCode, shutdownReason)
		s.receive(nil)
		s.cut()
		return
	}
	// First the connection is closed, which ends a write that waits for the peer, then the session, which
	// waits for its writer.
	defer session.Close()
	defer s.cut()
	defer d.recovered()
	if !place.claim(session.Disconnect, s.cut) {
		session.Disconnect(shutdownCode, shutdownReason)
	}
	s.flooded = func() { session.Disconnect(floodCode, floodReason) }
	s.control(func() error { return nil })
	s.receive(session.Receive)
}

// socket is for JSON messages until told otherwise.
func (d *Doors) socket(conn *websocket.Conn) *socket {
	return &socket{
		conn: conn, form: websocket.TextMessage, timeout: d.config.WriteTimeout, lingerTime: d.lingerTime,
		inbound: newMeter(d.config.FrameRate),
	}
}

// recovered keeps a panic in one connection from ending the others.
func (d *Doors) recovered() {
	if cause := recover(); cause != nil {
		d.log.Error("websocket connection panicked", "err", cause)
	}
}
