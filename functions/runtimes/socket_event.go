package runtimes

import (
	"context"
	"encoding/json"
)

// SocketEvent is what a consumer's handler is called for: a Call with one calls the handler instead of the default export,
// with a Host that is a SocketHost too. The output is the connection's state then, as JSON.
type SocketEvent struct {
	Handler Handler
	// Detail is JSON: of connect an object without fields; of receive {text} or {base64}; of message {channel, data}
	// and, where they are there, {offset, snapshot}; of disconnect {code, reason}.
	Detail json.RawMessage
	// Connection is JSON: {id, params, query, headers, user}. It is the same for all events of a connection.
	Connection json.RawMessage
	// State is what the event before left; empty means {}.
	State json.RawMessage
}

// SocketHost is what a handler can do with its connection.
type SocketHost interface {
	// Send queues a frame. It waits while too much is queued, and fails once the connection is closing.
	Send(binary bool, data []byte) error
	// Close ends the connection after what was sent. Codes are 1000 to 1003, 1007 to 1013 and 3000 to 4999, but not those
	// that no frame may carry; reason has at most 123 bytes.
	Close(code int, reason string) error
	// Join has the messages of a channel come to the connection until Leave or its end; again does nothing.
	Join(ctx context.Context, channel string) error
	Leave(ctx context.Context, channel string) error
}
