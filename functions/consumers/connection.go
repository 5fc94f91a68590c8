package consumers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/millrace-dev/millrace/functions/runtimes"
)

// Limits of a connection.
const (
	MaxWaiting      = 64      // events that wait for handlers
	MaxWaitingBytes = 1 << 20 // of their data
	Patience        = 30 * time.Second
)

// Close codes that this package gives.
const (
	CodeNormal     = 1000
	CodeGoingAway  = 1001 // the instance is drained: come back
	CodeFailed     = 1011 // a handler threw, or ran out of a limit
	CodeGone       = 1012 // there is no such consumer any more: come back later, or elsewhere
	CodeOverloaded = 1013 // the handlers do not keep up with what the peer sends
)

// ErrClosed is returned to handlers that send on a connection that is closing.
var ErrClosed = errors.New("the connection is closed")

// Peer is the other end of a connection. Its methods are safe for concurrent use.
type Peer interface {
	// Send queues a frame, which it may keep. It waits while too much is queued, and fails once the connection is
	// closing.
	Send(binary bool, data []byte) error
	// Close sends the close frame after what is queued; again does nothing.
	Close(code int, reason string)
}

// Channels is a connection's place among the realtime channels. Its methods are safe for concurrent use.
type Channels interface {
	Join(ctx context.Context, channel string) error
	Leave(ctx context.Context, channel string) error
	// Close ends the membership of all.
	Close()
}

// Consumer is the code that handles the events of connections.
type Consumer interface {
	// Handles reports whether there is a handler; events without one are passed over.
	Handles(handler runtimes.Handler) bool
	// Handle calls a handler and returns the connection's new state. The error is why the handler failed, or ErrGone;
	// Handle has logged it.
	Handle(ctx context.Context, c *Connection, event Event) (json.RawMessage, error)
}

// ErrGone is returned by a Consumer that is not there any more.
var ErrGone = errors.New("the consumer is gone")

// Event is one thing that happened to a connection.
type Event struct {
	Handler runtimes.Handler
	// Of receive: a frame. Data must not be changed.
	Binary bool
	Data   []byte
	// Of message: what a channel sent (Data too). Offset is 0 where the channel keeps no history. A snapshot is the state
	// of a view, its first message.
	Channel  string
	Offset   uint64
	Snapshot bool
	// Of disconnect: 1005 when the peer gave no code, 1006 when it vanished.
	Code   int
	Reason string
}

// About is what is known of a connection from its request. It does not change.
type About struct {
	ID      string            `json:"id"`
	Params  map[string]string `json:"params"`  // of the route
	Query   map[string]string `json:"query"`   // without the token; the last of several
	Headers map[string]string `json:"headers"` // some, in lower case
	User    *User             `json:"user"`    // nil: who came has no token
}

// User is the end user that a token is about.
type User struct {
	ID   string          `json:"id"`
	Info json.RawMessage `json:"info,omitempty"`
}

// phase is where a connection stands.
type phase int

const (
	opening phase = iota // connect is under way
	open
	refused // connect failed, or closed
	closing // nothing but disconnect is handled any more
)

// Connection is one WebSocket of a consumer: a queue of events, and who handles them.
type Connection struct {
	About About
	// Described is About as JSON.
	Described json.RawMessage

	consumer Consumer
	peer     Peer
	channels Channels
	spawn    func(func(ctx context.Context)) bool

	mu      sync.Mutex
	phase   phase
	state   json.RawMessage
	queue   []Event
	bytes   int           // of the queue
	room    chan struct{} // closed and made anew whenever there is more room
	running bool
	ending  bool // no more frames are taken
	over    bool // disconnect is in the queue, or was handled
	done    chan struct{}
}

// New makes a connection. spawn runs a function on a goroutine that the owner of the handlers waits for, with a context
// that ends when they must; it reports false when there are to be no more. Nothing happens before Begin.
func New(about About, consumer Consumer, peer Peer, channels Channels, spawn func(func(ctx context.Context)) bool) (*Connection, error) {
	described, err := json.Marshal(about)
	if err != nil {
		return nil, fmt.Errorf("describe the connection: %w", err)
	}

	return &Connection{
		About: about, Described: described, consumer: consumer, peer: peer, channels: channels, spawn: spawn,
		state: json.RawMessage("{}"), room: make(chan struct{}), done: make(chan struct{}),
	}, nil
}

// Begin handles connect.
func (c *Connection) Begin() { c.put(Event{Handler: runtimes.HandleConnect}) }

// Receive takes a frame of the peer. It waits while the queue is full, and reports false when there is no use in reading
// on: the connection is ending.
func (c *Connection) Receive(binary bool, data []byte) bool {
	return c.offer(Event{Handler: runtimes.HandleReceive, Binary: binary, Data: data})
}

// Deliver takes a message of a channel that is joined: for the handler, or if there is none straight to the peer, as
// text if it is valid UTF-8. It waits while the queue is full.
func (c *Connection) Deliver(channel string, offset uint64, snapshot bool, data []byte) {
	if c.consumer.Handles(runtimes.HandleMessage) {
		c.offer(Event{Handler: runtimes.HandleMessage, Channel: channel, Offset: offset, Snapshot: snapshot, Data: data})
		return
	}

	_ = c.peer.Send(!utf8.Valid(data), data) // fails on closing connections, whose reader knows
}

// Disconnect ends the connection from outside: its credentials ended, an operator says so, or the instance is drained.
// In the last case what waits is still handled.
func (c *Connection) Disconnect(code int, reason string) {
	c.end(code != CodeGoingAway)
	c.peer.Close(code, reason)
}

// End says that the connection is over, and returns when all handlers have ended.
func (c *Connection) End(code int, reason string) {
	c.end(false)
	c.channels.Close()

	c.mu.Lock()
	if !c.over {
		c.over = true
		c.queue = append(c.queue, Event{Handler: runtimes.HandleDisconnect, Code: code, Reason: reason})
		c.run()
	}
	c.mu.Unlock()

	<-c.done
}

// end takes no more frames, and drops what waits if it is told to.
func (c *Connection) end(drop bool) {
	c.mu.Lock()
	defer c.mu.Unlock()

	c.ending = true
	if drop {
		if c.phase == open {
			c.phase = closing
		}
		c.drop()
	}
	c.moreRoom()
}

// drop forgets what waits, but not disconnect.
func (c *Connection) drop() {
	kept := c.queue[:0]
	for _, event := range c.queue {
		if event.Handler == runtimes.HandleConnect || event.Handler == runtimes.HandleDisconnect {
			kept = append(kept, event)
		}
	}
	clear(c.queue[len(kept):])
	c.queue, c.bytes = kept, 0
}

func (c *Connection) moreRoom() {
	close(c.room)
	c.room = make(chan struct{})
}

func (c *Connection) put(event Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.queue = append(c.queue, event)
	c.bytes += len(event.Data)
	c.run()
}

// offer puts an event in as soon as there is room. It reports false when the connection is ending.
func (c *Connection) offer(event Event) bool {
	var patience *time.Timer
	for {
		c.mu.Lock()
		if c.ending {
			c.mu.Unlock()
			return false
		}

		if len(c.queue) == 0 || len(c.queue) < MaxWaiting && c.bytes+len(event.Data) <= MaxWaitingBytes {
			c.queue = append(c.queue, event)
			c.bytes += len(event.Data)
			c.run()
			c.mu.Unlock()

			return true
		}
		room := c.room
		c.mu.Unlock()

		if patience == nil {
			patience = time.NewTimer(Patience)
			defer patience.Stop()
		}

		select {
		case <-room:
		case <-patience.C:
			c.Disconnect(CodeOverloaded, "too many messages wait")
			return false
		}
	}
}

// run has a goroutine handle the queue unless one does. mu is held.
func (c *Connection) run() {
	if c.running || len(c.queue) == 0 {
		return
	}

	if c.running = c.spawn(c.handleAll); !c.running {
		c.queue, c.ending = nil, true // whose handlers are stopped: nothing can be called any more
		if c.over {
			close(c.done)
		}
	}
}
