package consumers

import (
	"context"
	"errors"

	"github.com/millrace-dev/millrace/functions/runtimes"
)

// handleAll handles what waits until nothing does.
func (c *Connection) handleAll(ctx context.Context) {
	for {
		event, ok := c.next()
		if !ok {
			return
		}
		c.handle(ctx, event)

		if event.Handler == runtimes.HandleDisconnect {
			close(c.done)
			return
		}
	}
}

// next takes the first event off the queue. At its end the goroutine is not counted as running any more.
func (c *Connection) next() (Event, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()

	if len(c.queue) == 0 {
		c.queue, c.running = nil, false
		return Event{}, false
	}
	event := c.queue[0]
	c.queue[0] = Event{}
	c.queue = c.queue[1:]
	c.bytes -= len(event.Data)
	c.moreRoom()

	return event, true
}

// handle calls the handler of an event, if it is to be called.
func (c *Connection) handle(ctx context.Context, event Event) {
	if !c.wanted(event.Handler) {
		return
	}

	var err error
	if c.consumer.Handles(event.Handler) {
		err = c.call(ctx, event)
	}

	switch {
	case event.Handler == runtimes.HandleDisconnect:
	case err == nil:
		c.went(event.Handler)
	case errors.Is(err, ErrGone):
		c.fail(CodeGone, "the function is gone")
	default:
		c.fail(CodeFailed, "the handler failed")
	}
}

func (c *Connection) call(ctx context.Context, event Event) error {
	state, err := c.consumer.Handle(ctx, c, event)
	if err != nil {
		return err
	}

	c.mu.Lock()
	defer c.mu.Unlock()
	c.state = state

	return nil
}

// wanted reports whether an event is still to be handled.
func (c *Connection) wanted(handler runtimes.Handler) bool {
	c.mu.Lock()
	defer c.mu.Unlock()

	switch handler {
	case runtimes.HandleConnect:
		return true
	case runtimes.HandleDisconnect:
		return c.phase != refused
	case runtimes.HandleReceive, runtimes.HandleMessage:
		return c.phase == open
	}

	return false
}

// went notes that a handler ended well.
func (c *Connection) went(handler runtimes.Handler) {
	c.mu.Lock()
	defer c.mu.Unlock()

	if handler == runtimes.HandleConnect && c.phase == opening {
		c.phase = open
	}
}

// fail ends the connection because a handler failed.
func (c *Connection) fail(code int, reason string) {
	c.mu.Lock()
	if c.phase == opening {
		c.phase = refused
	}
	c.mu.Unlock()
	c.end(true)
	c.peer.Close(code, reason)
}
