package doors

import (
	"bufio"
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/millrace-dev/millrace/realtime"
)

// retryMin and retrySpread are when browsers come back after the stream broke: spread, so that those of a whole
// instance do not come at once.
const (
	retryMin    = time.Second
	retrySpread = 2 * time.Second
)

// SSE is the door for EventSource and curl -N: server-sent events of ?channels=a,b. Each event's id holds the
// positions of all the stream's channels, and a Last-Event-ID header or ?last_event_id= goes on from there. It
// returns ErrOrigin, ErrNoCredentials, ErrNoChannels, ErrFull, ErrStopping and the errors of
// realtime.Hub.OpenStream and Config.Identify.
func (d *Doors) SSE(c *fiber.Ctx) error {
	if err := d.checkStreamOrigin(c); err != nil {
		return err
	}
	place, stream, at, err := d.openStream(c)
	if err != nil {
		return err
	}
	c.Set(fiber.HeaderContentType, "text/event-stream")
	c.Set(fiber.HeaderCacheControl, "no-store")
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
		d.writeSSE(&eventWriter{to: w, conn: conn, timeout: d.config.WriteTimeout, at: at}, stream)
	})
	return nil
}

// writeSSE writes the stream's events until it ends or the peer is gone.
func (d *Doors) writeSSE(w *eventWriter, stream *realtime.Stream) {
	w.retry()
	for w.flush() == nil {
		events, err := stream.Next(d.config.Heartbeat)
		if err != nil {
			w.event(eventDisconnect, "", appendDisconnect(nil, whyEnded(err)))
			_ = w.flush() // the peer may be gone
			return
		}
		if len(events) == 0 {
			w.heartbeat()
		}
		for _, event := range events {
			w.at.note(event)
			w.event(eventName(event), w.at.id(), appendMessage(nil, event))
		}
	}
}

// eventWriter writes events in the text/event-stream format (WHATWG HTML, 9.2).
type eventWriter struct {
	to      *bufio.Writer
	conn    net.Conn
	timeout time.Duration
	at      positions
}

func (w *eventWriter) retry() {
	wait := retryMin + rand.N(retrySpread) //nolint:gosec // spreads load, guards nothing
	fmt.Fprintf(w.to, "retry: %d\n\n", wait.Milliseconds())
}

func (w *eventWriter) heartbeat() { _, _ = w.to.WriteString(":\n\n") }

// event writes one event. A line break in the data, which pretty-printed JSON has, begins a new data line.
func (w *eventWriter) event(name, id string, data []byte) {
	if name != "" {
		fmt.Fprintf(w.to, "event: %s\n", name)
	}
	if id != "" {
		fmt.Fprintf(w.to, "id: %s\n", id)
	}
	data = bytes.ReplaceAll(data, []byte("\r\n"), []byte("\n"))
	data = bytes.ReplaceAll(data, []byte("\r"), []byte("\n"))
	for line := range bytes.SplitSeq(data, []byte("\n")) {
		_, _ = w.to.WriteString("data: ")
		_, _ = w.to.Write(line)
		_ = w.to.WriteByte('\n')
	}
	_ = w.to.WriteByte('\n')
}

// flush sends what was written, and tells whether any of it failed.
func (w *eventWriter) flush() error {
	if err := w.conn.SetWriteDeadline(time.Now().Add(w.timeout)); err != nil {
		return err //nolint:wrapcheck // ends the connection, nobody reads it
	}
	return w.to.Flush() //nolint:wrapcheck // ends the connection, nobody reads it
}
