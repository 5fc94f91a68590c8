package doors

import (
	"bufio"
	"net"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/millrace-dev/millrace/realtime"
)

const (
	mimeSSE    = "text/event-stream"
	mimeNDJSON = "application/x-ndjson"
)

// format writes a stream's events to an HTTP answer. Nothing is sent before it is flushed.
type format interface {
	begin()
	event(event realtime.Event)
	idle() // a sign of life that means nothing
	end(why realtime.DisconnectError)
}

// Stream is the door for EventSource, curl -N and every program that reads HTTP: the events of ?channels=a,b as
// server-sent events or, with "Accept: application/x-ndjson", as lines of JSON. A Last-Event-ID header or
// ?last_event_id= goes on from an earlier position. It returns ErrOrigin, ErrNoCredentials, ErrNoChannels, ErrFull,
// ErrStopping and the errors of realtime.Hub.OpenStream and Config.Identify.
func (d *Doors) Stream(c *fiber.Ctx) error {
	if err := d.checkStreamOrigin(c); err != nil {
		return err
	}
	place, stream, at, err := d.openStream(c)
	if err != nil {
		return err
	}
	kind := mimeSSE
	if c.Accepts(mimeSSE, mimeNDJSON) == mimeNDJSON {
		kind = mimeNDJSON
	}
	c.Set(fiber.HeaderContentType, kind)
	c.Set(fiber.HeaderCacheControl, "no-store")
	c.Set(fiber.HeaderVary, fiber.HeaderAccept)
	c.Set("X-Accel-Buffering", "no") // nginx would collect the events
	// The write deadlines of a stream must not outlive it.
	c.Context().SetConnectionClose()
	conn := c.Context().Conn()
	// The writer runs in any case, also when the answer's head cannot be written any more.
	c.Context().SetBodyStreamWriter(func(w *bufio.Writer) {
		defer place.leave()
		defer stream.Close()
		defer d.recovered()
		if !place.claim(stream.Disconnect, func() { _ = conn.Close() }) {
			stream.Disconnect(shutdownCode, shutdownReason)
		}
		d.writeStream(&flusher{to: w, conn: conn, timeout: d.config.WriteTimeout}, formatOf(kind, w, at), stream)
	})
	return nil
}

func formatOf(kind string, w *bufio.Writer, at positions) format {
	if kind == mimeNDJSON {
		return &ndjson{to: w}
	}
	return &sse{to: w, at: at}
}

// writeStream writes the stream's events until it ends or the peer is gone.
func (d *Doors) writeStream(out *flusher, as format, stream *realtime.Stream) {
	as.begin()
	for out.flush() == nil {
		events, err := stream.Next(d.config.Heartbeat)
		if err != nil {
			as.end(whyEnded(err))
			_ = out.flush() // the peer may be gone
			return
		}
		if len(events) == 0 {
			as.idle()
		}
		for _, event := range events {
			as.event(event)
		}
	}
}

// flusher sends what was written.
type flusher struct {
	to      *bufio.Writer
	conn    net.Conn
	timeout time.Duration
}

// flush tells whether any of it failed.
func (f *flusher) flush() error {
	if err := f.conn.SetWriteDeadline(time.Now().Add(f.timeout)); err != nil {
		return err //nolint:wrapcheck // ends the connection, nobody reads it
	}
	return f.to.Flush() //nolint:wrapcheck // ends the connection, nobody reads it
}
