package consumers

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"github.com/millrace-dev/millrace/functions/runtimes"
)

// Funcs is a consumer written in Go: its handlers, each of which may be missing, and who may connect. What an error or a
// panic does is what throwing does in other languages: the connection is closed with CodeFailed.
type Funcs struct {
	// Access is who may connect; empty means runtimes.AccessUser.
	Access runtimes.Access
	// Timeout of one event; 0 means runtimes.DefaultEventTime. A handler is told by its context alone, and its connection
	// waits until it returns.
	Timeout time.Duration

	Connect func(ctx context.Context, s *Socket) error
	Receive func(ctx context.Context, s *Socket, frame Frame) error
	// Message gets what the joined channels send. Without it, that goes to the peer as it is.
	Message    func(ctx context.Context, s *Socket, message Message) error
	Disconnect func(ctx context.Context, s *Socket, end End) error
}

// Frame is what the peer sent. Data is the handler's own.
type Frame struct {
	Binary bool
	Data   []byte
}

// Text is the frame as a string.
func (f Frame) Text() string { return string(f.Data) }

// JSON decodes the frame into a pointer.
func (f Frame) JSON(into any) error { return json.Unmarshal(f.Data, into) }

// Message is what a joined channel sent. Data must not be changed.
type Message struct {
	Channel string
	Data    []byte
	Offset  uint64 // 0 where the channel keeps no history
	// Snapshot says that Data is the state of a view, such as job:17, and not a change.
	Snapshot bool
}

// End is how a connection ended: 1005 when the peer gave no code, 1006 when it vanished.
type End struct {
	Code   int
	Reason string
}

// Socket is a connection as a handler in Go sees it. Send, SendBytes, SendJSON, Close, Join and Leave may be called from
// any goroutine until the connection ends; the rest belongs to the handler.
type Socket struct {
	About
	runtimes.Host // Publish, Enqueue, Log and the rest

	connection *Connection
	state      json.RawMessage
}

// Send sends a text frame.
func (s *Socket) Send(text string) error { return s.connection.Send(false, []byte(text)) }

// SendBytes sends a binary frame.
func (s *Socket) SendBytes(data []byte) error { return s.connection.Send(true, slices.Clone(data)) }

// SendJSON sends a value as JSON in a text frame.
func (s *Socket) SendJSON(value any) error {
	data, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("send: %w", err)
	}

	return s.connection.Send(false, data)
}

// Close ends the connection after what was sent, with 1000 or a code from 3000 to 4999.
func (s *Socket) Close(code int, reason string) error { return s.connection.Close(code, reason) }

// Join has the messages of a channel come to the connection.
func (s *Socket) Join(ctx context.Context, channel string) error {
	return s.connection.Join(ctx, channel)
}

// Leave ends that.
func (s *Socket) Leave(ctx context.Context, channel string) error {
	return s.connection.Leave(ctx, channel)
}

// State decodes what SetState kept; before that it changes nothing.
func (s *Socket) State(into any) error { return json.Unmarshal(s.state, into) }

// SetState keeps a value with the connection, as JSON of at most runtimes.MaxState bytes, if the handler ends well.
func (s *Socket) SetState(value any) error {
	data, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("keep the state: %w", err)
	}

	if err := CheckState(data); err != nil {
		return err
	}
	s.state = data

	return nil
}

// CheckState refuses a state that is too large.
func CheckState(state []byte) error {
	if len(state) > runtimes.MaxState {
		return fmt.Errorf("the connection's state has %d bytes as JSON, and at most %d are kept: what is larger belongs in a channel's history or a database",
			len(state), runtimes.MaxState)
	}

	return nil
}

// Handles reports whether there is a handler.
func (f *Funcs) Handles(handler runtimes.Handler) bool {
	switch handler {
	case runtimes.HandleConnect:
		return f.Connect != nil
	case runtimes.HandleReceive:
		return f.Receive != nil
	case runtimes.HandleMessage:
		return f.Message != nil
	case runtimes.HandleDisconnect:
		return f.Disconnect != nil
	}

	return false
}

// Call calls the handler of an event and returns the connection's new state.
func (f *Funcs) Call(ctx context.Context, c *Connection, event Event, host runtimes.Host) (state json.RawMessage, err error) {
	timeout := f.Timeout
	if timeout == 0 {
		timeout = runtimes.DefaultEventTime
	}

	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()

	s := &Socket{About: c.About, Host: host, connection: c, state: c.State()}
	switch event.Handler {
	case runtimes.HandleConnect:
		err = f.Connect(ctx, s)
	case runtimes.HandleReceive:
		err = f.Receive(ctx, s, Frame{event.Binary, event.Data})
	case runtimes.HandleMessage:
		err = f.Message(ctx, s, Message{event.Channel, event.Data, event.Offset, event.Snapshot})
	case runtimes.HandleDisconnect:
		err = f.Disconnect(ctx, s, End{event.Code, event.Reason})
	}

	return s.state, err
}
