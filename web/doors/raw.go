package doors

import (
	"errors"
	"sync"
	"time"

	"github.com/fasthttp/websocket"
	"github.com/gofiber/fiber/v2"

	"github.com/millrace-dev/millrace/realtime"
)

const (
	// rawReadLimit is for what clients send, which nobody reads.
	rawReadLimit = 4 << 10
	// silentBeats is how many heartbeats may go unanswered.
	silentBeats = 3
)

// Raw is the door for programs without an SDK: a WebSocket on ?channels=a,b that sends the JSON messages of
// this package's message format, from the positions of ?last_event_id= on, and reads nothing. It returns
// ErrNoUpgrade, ErrOrigin, ErrNoCredentials, ErrNoChannels, ErrFull, ErrStopping and the errors of
// realtime.Hub.OpenStream and Config.Identify.
func (d *Doors) Raw(c *fiber.Ctx) error {
	if err := d.checkSocketOrigin(c); err != nil {
		return err
	}
	place, stream, _, err := d.openStream(c)
	if err != nil {
		return err
	}
	err = d.upgradePlain(c, func(conn *websocket.Conn) { go d.serveRaw(place, conn, stream) })
	if err != nil {
		place.leave()
		stream.Close()
	}
	return err
}

// serveRaw owns the connection of a plain socket until it is closed. It is the only one to write messages; a
// second goroutine reads.
func (d *Doors) serveRaw(place *place, conn *websocket.Conn, stream *realtime.Stream) {
	defer place.leave()
	defer stream.Close()
	s := d.socket(conn)
	s.flooded = func() { stream.Disconnect(floodCode, floodReason) }
	if !place.claim(stream.Disconnect, s.cut) {
		stream.Disconnect(shutdownCode, shutdownReason)
	}
	var reader sync.WaitGroup
	reader.Go(func() {
		defer stream.Close() // ends the writer when the peer is gone
		defer d.recovered()
		d.listen(s)
	})
	defer reader.Wait()
	defer s.cut()
	defer d.recovered()
	why, err := d.writeRaw(s, stream)
	if why.Code != peerGone && err == nil {
		s.Close(why.Code, why.Reason)
		reader.Wait()
	}
	if errors.Is(err, websocket.ErrCloseSent) {
		reader.Wait() // it has told the peer of a breach, and lingers
	}
}

// listen throws away what the peer sends, answers its pings, and ends when it is silent for too long.
func (d *Doors) listen(s *socket) {
	alive := func() error { return s.extend(silentBeats * d.config.Heartbeat) }
	s.conn.SetReadLimit(rawReadLimit)
	s.control(alive)
	if alive() == nil {
		s.receive(func([]byte) bool { return s.admits() })
	}
}

// writeRaw writes the stream's events until it ends, and returns why, or until a write fails.
func (d *Doors) writeRaw(s *socket, stream *realtime.Stream) (why realtime.DisconnectError, failed error) {
	var message []byte
	for {
		events, err := stream.Next(d.config.Heartbeat)
		if err != nil {
			return whyEnded(err), nil
		}
		if len(events) == 0 {
			if err := s.conn.WriteControl(websocket.PingMessage, nil, time.Now().Add(d.config.WriteTimeout)); err != nil {
				return why, err //nolint:wrapcheck // ends the connection
			}
		}
		for _, event := range events {
			message = appendMessage(message[:0], event)
			if err := s.Write(message); err != nil {
				return why, err
			}
		}
	}
}

// forceReconnect is for streams that lost one of their channels: coming back, the client is told why.
const forceReconnect = 3002

// whyEnded is what the peer is told about the end of a stream.
func whyEnded(err error) realtime.DisconnectError {
	if why, ok := errors.AsType[*realtime.DisconnectError](err); ok {
		return *why
	}
	return realtime.DisconnectError{Code: forceReconnect, Reason: "force reconnect"}
}
