package apiclient

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync/atomic"
	"time"
)

// quietLimit is how long a stream may carry nothing, not even a keep-alive, before it is taken for dead and
// opened again. The server sends a keep-alive every 15 s.
const quietLimit = 45 * time.Second

// errStop ends a stream from within its handler, without an error.
var errStop = errors.New("stop")

// lostError ends a connection, not the stream: the server said that it will be cut and that the client should return.
type lostError struct{ reason string }

func (e *lostError) Error() string { return e.reason }

// handlerError keeps the caller's own error apart from the stream's.
type handlerError struct{ err error }

func (e *handlerError) Error() string { return e.err.Error() }

// follow keeps a stream of server-sent events open until handle stops it, ctx ends or the server refuses. After
// every loss it asks again with the last event's id; lost, when set, hears why before each new try and can stop it.
// A stream that once carried an event is asked for again without limit; one that never did, c.attempts times.
func (c *Client) follow(ctx context.Context, req call, handle func(event) error, lost func(error) error) error {
	lastID, worked := "", false
	for attempt := 1; ; attempt++ {
		seen, err := c.followOnce(ctx, req, &lastID, handle)
		var handled *handlerError
		switch {
		case errors.Is(err, errStop):
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.As(err, &handled):
			return handled.err
		case seen:
			attempt, worked = 1, true
		}
		if !c.retryable(err, true) || (!worked && attempt >= c.attempts) {
			return err
		}
		if lost != nil {
			if stopped := lost(err); stopped != nil {
				return stopped
			}
		}
		if err := c.backoff.sleep(ctx, attempt, retryAfter(err)); err != nil {
			return err
		}
	}
}

// followOnce reads one connection until it ends; seen tells that at least one event came.
func (c *Client) followOnce(ctx context.Context, req call, lastID *string, handle func(event) error) (seen bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	req.header = http.Header{"Accept": {"text/event-stream"}, "Cache-Control": {"no-store"}}
	if *lastID != "" {
		req.header.Set("Last-Event-ID", *lastID)
	}
	guard := newQuietGuard(c.quiet, cancel)
	defer guard.stop()
	resp, err := c.open(ctx, req)
	if err != nil {
		if guard.fired.Load() {
			err = &transportError{op: req.op(), base: c.base, err: errQuiet}
		}
		return false, err
	}
	defer func() { _ = resp.Body.Close() }()
	events := newEventReader(guard.reader(resp.Body))
	for {
		next, err := events.next()
		if err != nil {
			return seen, &transportError{op: req.op(), base: c.base, err: guard.explain(err)}
		}
		seen = true
		err = handle(next)
		var lost *lostError
		switch {
		case errors.As(err, &lost):
			return true, &transportError{op: req.op(), base: c.base, err: lost}
		case errors.Is(err, errStop):
			return true, errStop
		case err != nil:
			return true, &handlerError{err: err}
		}
		*lastID = events.lastID
	}
}

var errQuiet = errors.New("the stream was silent for too long")

// quietGuard cancels a connection on which nothing arrives: a black-holed path gives no error of its own.
type quietGuard struct {
	limit time.Duration
	timer *time.Timer
	fired atomic.Bool
}

func newQuietGuard(limit time.Duration, cancel context.CancelFunc) *quietGuard {
	guard := &quietGuard{limit: limit}
	guard.timer = time.AfterFunc(limit, func() {
		guard.fired.Store(true)
		cancel()
	})
	return guard
}

func (g *quietGuard) stop() { g.timer.Stop() }

// explain replaces the cancellation that the guard itself caused.
func (g *quietGuard) explain(err error) error {
	if g.fired.Load() {
		return errQuiet
	}
	return err
}

func (g *quietGuard) reader(r io.Reader) io.Reader { return quietReader{guard: g, r: r} }

type quietReader struct {
	guard *quietGuard
	r     io.Reader
}

func (q quietReader) Read(p []byte) (int, error) {
	n, err := q.r.Read(p)
	if n > 0 {
		q.guard.timer.Reset(q.guard.limit)
	}
	return n, err //nolint:wrapcheck // a reader passes io.EOF on as it is
}
