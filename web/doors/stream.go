package doors

import (
	"bufio"
	"bytes"
	"net"

	"github.com/gofiber/fiber/v2"

	"github.com/millrace-dev/millrace/realtime"
	"github.com/millrace-dev/millrace/web/doors/internal/poll"
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
	c.Context().SetConnectionClose()
	if c.Method() == fiber.MethodHead {
		place.leave()
		stream.Close()
		c.Context().SetBodyStreamWriter(func(*bufio.Writer) {}) // of unknown length
		return nil
	}
	return d.answerStream(c, place, stream, func(out *outflow) format { return formatOf(kind, out, at) })
}

// answerStream takes the connection out of the server, as of a WebSocket, so that only what is written at the
// time has a buffer. The answer's head is what the server would have written.
func (d *Doors) answerStream(c *fiber.Ctx, place *place, stream *realtime.Stream, as func(*outflow) format) error {
	lost := func() {
		place.leave()
		stream.Close()
	}
	if !c.App().Server().KeepHijackedConns {
		lost()
		return errNotPrepared
	}
	poller := d.pollerFor(c)
	request := c.Context() // the server keeps it until the handler has returned
	request.HijackSetNoResponse(true)
	request.Hijack(func(hijacked net.Conn) {
		conn, _, err := release(hijacked)
		if err != nil {
			_ = conn.Close()
			lost()
			return
		}
		head := &request.Response.Header
		head.SetContentLength(-1) // in chunks
		out := &outflow{conn: conn, timeout: d.config.WriteTimeout, head: bytes.Clone(head.Header())}
		go d.serveStream(poller, place, out, as(out), stream)
	})
	return nil
}

// serveStream owns the connection of a stream until it is closed.
func (d *Doors) serveStream(poller *poll.Poller, place *place, out *outflow, as format, stream *realtime.Stream) {
	defer place.leave()
	defer stream.Close()
	done := d.hangup(poller, out.conn, stream.Close) // ends the writer when the peer is gone
	defer done()
	cut := func() { _ = out.conn.Close() }
	defer cut()
	defer d.recovered()
	if !place.claim(stream.Disconnect, cut) {
		stream.Disconnect(shutdownCode, shutdownReason)
	}
	d.writeStream(out, as, stream)
}

func formatOf(kind string, w *outflow, at positions) format {
	if kind == mimeNDJSON {
		return &ndjson{to: w}
	}
	return &sse{to: w, at: at}
}

// writeStream writes the stream's events until it ends or the peer is gone.
func (d *Doors) writeStream(out *outflow, as format, stream *realtime.Stream) {
	as.begin()
	for out.flush() == nil {
		events, err := stream.Next(d.config.Heartbeat)
		if err != nil {
			as.end(whyEnded(err))
			_ = out.end() // the peer may be gone
			return
		}
		if len(events) == 0 {
			as.idle()
		}
		for _, event := range events {
			as.event(event)
			if out.Len() > writeBuffer && out.flush() != nil {
				return
			}
		}
	}
}
