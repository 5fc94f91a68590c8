package millracetest

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/fasthttp/websocket"
)

// Communicator is the client's end of a WebSocket.
type Communicator struct {
	t        testing.TB
	conn     *websocket.Conn
	patience time.Duration
	frames   chan frame
	ended    chan struct{} // closed after code and reason were set
	code     int
	reason   string
}

type frame struct {
	binary bool
	data   []byte
}

// unread is how many frames may wait for the test; beyond that the server is not read from.
const unread = 1024

// Connect opens a WebSocket to a path, with its query if it has one, of the server at addr: HOST:PORT, or an address that
// begins with http:// or https://. The test fails if the server refuses.
func Connect(tb testing.TB, addr, path string, options ...Option) *Communicator {
	tb.Helper()
	s := read(options)
	conn, status, err := dial(tb, addr, path, s)
	if err != nil {
		tb.Fatalf("connect to %s: %v (status %d)", path, err, status)
	}
	c := &Communicator{t: tb, conn: conn, patience: s.patience, frames: make(chan frame, unread), ended: make(chan struct{})}
	closed := make(chan struct{})
	go c.read(closed)
	tb.Cleanup(func() {
		close(closed)
		_ = conn.Close()
		<-c.ended
	})
	return c
}

// Refused is the status with which the server refuses to open a WebSocket. The test fails if it does not.
func Refused(tb testing.TB, addr, path string, options ...Option) int {
	tb.Helper()
	conn, status, err := dial(tb, addr, path, read(options))
	switch {
	case err == nil:
		_ = conn.Close()
		tb.Fatalf("connect to %s: it should have been refused", path)
	case status == 0:
		tb.Fatalf("connect to %s: %v", path, err)
	}
	return status
}

func read(options []Option) settings {
	s := settings{header: http.Header{}, patience: DefaultPatience}
	for _, set := range options {
		set(&s)
	}
	return s
}

func dial(tb testing.TB, addr, path string, s settings) (*websocket.Conn, int, error) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), s.patience)
	defer cancel()
	address := "ws://" + addr
	if rest, ok := strings.CutPrefix(addr, "http"); ok {
		address = "ws" + rest
	}
	conn, response, err := websocket.DefaultDialer.DialContext(ctx, address+path, s.header)
	status := 0
	if response != nil {
		status = response.StatusCode
		_ = response.Body.Close()
	}
	return conn, status, err
}

func (c *Communicator) read(closed <-chan struct{}) {
	defer close(c.ended)
	for {
		form, data, err := c.conn.ReadMessage()
		if err != nil {
			c.code = websocket.CloseAbnormalClosure
			if why, ok := errors.AsType[*websocket.CloseError](err); ok {
				c.code, c.reason = why.Code, why.Text
			}
			return
		}
		select {
		case c.frames <- frame{binary: form == websocket.BinaryMessage, data: data}:
		case <-closed:
			return
		}
	}
}

// Send sends a text frame.
func (c *Communicator) Send(text string) {
	c.t.Helper()
	c.write(websocket.TextMessage, []byte(text))
}

// SendBytes sends a binary frame.
func (c *Communicator) SendBytes(data []byte) {
	c.t.Helper()
	c.write(websocket.BinaryMessage, data)
}

// SendJSON sends a value as JSON in a text frame.
func (c *Communicator) SendJSON(value any) {
	c.t.Helper()
	data, err := json.Marshal(value)
	if err != nil {
		c.t.Fatalf("send: %v", err)
	}
	c.write(websocket.TextMessage, data)
}

func (c *Communicator) write(form int, data []byte) {
	c.t.Helper()
	_ = c.conn.SetWriteDeadline(time.Now().Add(c.patience)) // never fails
	if err := c.conn.WriteMessage(form, data); err != nil {
		c.t.Fatalf("send: %v", err)
	}
}

// Receive is the next frame, which must be text.
func (c *Communicator) Receive() string {
	c.t.Helper()
	f := c.next()
	if f.binary {
		c.t.Fatalf("received %d bytes, and text was expected", len(f.data))
	}
	return string(f.data)
}

// ReceiveBytes is the next frame, which must be binary.
func (c *Communicator) ReceiveBytes() []byte {
	c.t.Helper()
	f := c.next()
	if !f.binary {
		c.t.Fatalf("received the text %q, and bytes were expected", f.data)
	}
	return f.data
}

// ReceiveJSON decodes the next frame, which must be text, into a pointer.
func (c *Communicator) ReceiveJSON(into any) {
	c.t.Helper()
	text := c.Receive()
	if err := json.Unmarshal([]byte(text), into); err != nil {
		c.t.Fatalf("received %q, which is no such JSON: %v", text, err)
	}
}

func (c *Communicator) next() frame {
	c.t.Helper()
	select {
	case f := <-c.frames:
		return f
	default:
	}
	select {
	case f := <-c.frames:
		return f
	case <-c.ended:
		select { // what came before the end
		case f := <-c.frames:
			return f
		default:
		}
		c.t.Fatalf("receive: the server closed the connection with %d %s", c.code, c.reason)
	case <-time.After(c.patience):
		c.t.Fatalf("receive: nothing came for %s", c.patience)
	}
	return frame{}
}

// ReceiveNothing fails the test if a frame comes, or the connection ends, within a time.
func (c *Communicator) ReceiveNothing(within time.Duration) {
	c.t.Helper()
	select {
	case f := <-c.frames:
		c.t.Fatalf("received %q, and nothing was expected", f.data)
	case <-c.ended:
		c.t.Fatalf("the server closed the connection with %d %s", c.code, c.reason)
	case <-time.After(within):
	}
}

// Closed waits until the server has closed the connection, and returns its code and reason: 1006 when it vanished. Frames
// before that are passed over.
func (c *Communicator) Closed() (code int, reason string) {
	c.t.Helper()
	patience := time.After(c.patience)
	for {
		select {
		case <-c.frames:
		case <-c.ended:
			return c.code, c.reason
		case <-patience:
			c.t.Fatalf("the server did not close the connection for %s", c.patience)
		}
	}
}

// Disconnect closes the connection as a page does that is left (1000), and waits for the server's close frame.
func (c *Communicator) Disconnect() { c.t.Helper(); c.Close(websocket.CloseNormalClosure, "") }

// Close does so with a code and a reason.
func (c *Communicator) Close(code int, reason string) {
	c.t.Helper()
	message := websocket.FormatCloseMessage(code, reason)
	if err := c.conn.WriteControl(websocket.CloseMessage, message, time.Now().Add(c.patience)); err != nil {
		c.t.Fatalf("close: %v", err)
	}
	c.Closed()
}

// Vanish cuts the connection without a close frame, as a peer does whose network is gone.
func (c *Communicator) Vanish() { _ = c.conn.NetConn().Close() }
