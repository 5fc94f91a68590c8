package consumers

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/millrace-dev/millrace/functions/runtimes"
)

var _ runtimes.SocketHost = (*Connection)(nil)

// maxReason is how many bytes a close frame has room for.
const maxReason = 123

// Send queues a frame. Text must be UTF-8. ErrClosed if the connection is closing.
func (c *Connection) Send(binary bool, data []byte) error {
	if !binary && !utf8.Valid(data) {
		return fmt.Errorf("send: text must be UTF-8; send bytes instead")
	}

	return c.peer.Send(binary, data)
}

// Close ends the connection after what was sent; what waits for the handlers is dropped. In connect it refuses the
// connection, which has no disconnect then.
func (c *Connection) Close(code int, reason string) error {
	switch {
	case !closeCode(code):
		return fmt.Errorf("close: %d is no code: use 1000, or 3000 to 4999", code)
	case len(reason) > maxReason || !utf8.ValidString(reason):
		return fmt.Errorf("close: a reason is text of at most %d bytes", maxReason)
	}

	c.mu.Lock()
	if c.phase == opening {
		c.phase = refused
	}
	c.mu.Unlock()
	c.end(true)
	c.peer.Close(code, reason)

	return nil
}

// closeCode reports whether an endpoint may send a code (RFC 6455, section 7.4, and its registry).
func closeCode(code int) bool {
	return code >= 3000 && code <= 4999 || slices.Contains([]int{1000, 1001, 1003, 1007, 1008, 1009, 1011, 1012, 1013}, code)
}

// Join has the messages of a channel come to the connection.
func (c *Connection) Join(ctx context.Context, channel string) error {
	return c.channels.Join(ctx, channel)
}

// Leave ends that.
func (c *Connection) Leave(ctx context.Context, channel string) error {
	return c.channels.Leave(ctx, channel)
}

// State is what the event before left, as JSON.
func (c *Connection) State() json.RawMessage {
	c.mu.Lock()
	defer c.mu.Unlock()

	return c.state
}

// Detail is an event as the handlers of other languages get it: see runtimes.SocketEvent.
func (e Event) Detail() (json.RawMessage, error) {
	detail := map[string]any{}
	switch e.Handler {
	case runtimes.HandleConnect:
	case runtimes.HandleReceive:
		if e.Binary {
			detail["base64"] = e.Data
		} else {
			detail["text"] = string(e.Data)
		}
	case runtimes.HandleMessage:
		detail["channel"] = e.Channel
		if json.Valid(e.Data) {
			detail["data"] = json.RawMessage(e.Data)
		} else {
			detail["base64"] = e.Data
		}

		if e.Offset > 0 {
			detail["offset"] = e.Offset
		}

		if e.Snapshot {
			detail["snapshot"] = true
		}
	case runtimes.HandleDisconnect:
		detail["code"], detail["reason"] = e.Code, e.Reason
	}

	return json.Marshal(detail)
}
