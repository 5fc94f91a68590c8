package fault_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
)

// follower subscribes to a channel whose messages are the numbers from 0, at whichever instance there is, and comes
// back from where it was when the connection ends. It fails at the first offset that is not the next one, and at a
// message that is not its offset's.
type follower struct {
	channel string
	at      func() *instance
	reloads atomic.Int64 // times that it was told that what it missed is gone
	resumes atomic.Int64

	mu    sync.Mutex
	last  uint64
	epoch string
	known bool
	err   error
	moved chan struct{} // closed at the next change
}

// frameOf is one message of the plain WebSocket.
type frameOf struct {
	Event     string          `json:"event"`
	Offset    uint64          `json:"offset"`
	Epoch     string          `json:"epoch"`
	Recovered bool            `json:"recovered"`
	Data      json.RawMessage `json:"data"`
}

// follow returns when the subscription is in place, or ctx has ended.
func follow(ctx context.Context, channel string, in *instance) *follower {
	return followAny(ctx, channel, func() *instance { return in })
}

func followAny(ctx context.Context, channel string, at func() *instance) *follower {
	f := &follower{channel: channel, at: at, moved: make(chan struct{})}
	go f.run(ctx)
	_ = f.until(ctx, func() bool { return f.known })
	return f
}

// reaches waits until the follower has seen that offset.
func (f *follower) reaches(ctx context.Context, offset int) error {
	return f.until(ctx, func() bool { return f.last >= uint64(offset) })
}

func (f *follower) until(ctx context.Context, done func() bool) error {
	for {
		f.mu.Lock()
		err, moved, ok := f.err, f.moved, done()
		f.mu.Unlock()
		if err != nil || ok {
			return err
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return fmt.Errorf("%s stands at %d: %w", f.channel, f.last, ctx.Err())
		}
	}
}

var errWrong = errors.New("the order is broken")

func (f *follower) run(ctx context.Context) {
	for ctx.Err() == nil {
		err := f.once(ctx)
		if errors.Is(err, errWrong) {
			f.mu.Lock()
			f.err = err
			close(f.moved)
			f.moved = make(chan struct{})
			f.mu.Unlock()
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (f *follower) once(ctx context.Context) error {
	path := "/v1/ws/raw?channels=" + f.channel
	if f.known { // only this goroutine writes it
		path += "&last_event_id=" + url.QueryEscape(fmt.Sprintf("%s:%d", f.epoch, f.last))
		f.resumes.Add(1)
	}
	conn, err := dial(ctx, f.at(), path)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	for {
		var frame frameOf
		if err := conn.ReadJSON(&frame); err != nil {
			return err
		}
		if err := f.take(frame); err != nil {
			return err
		}
	}
}

func (f *follower) take(frame frameOf) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case frame.Event == "subscribed":
		if !f.known {
			f.last, f.epoch, f.known = frame.Offset, frame.Epoch, true
		} else if !frame.Recovered {
			return fmt.Errorf("%w: %s: subscribed at %d without what was missed after %d", errWrong, f.channel, frame.Offset, f.last)
		}
	case frame.Event == "unrecoverable":
		f.last, f.epoch = frame.Offset, frame.Epoch
		f.reloads.Add(1)
	case frame.Event != "":
		return nil
	case frame.Epoch != f.epoch || frame.Offset != f.last+1:
		return fmt.Errorf("%w: %s: offset %d of %s after %d of %s", errWrong, f.channel, frame.Offset, frame.Epoch, f.last, f.epoch)
	case string(frame.Data) != fmt.Sprint(frame.Offset-1):
		return fmt.Errorf("%w: %s: %s at offset %d", errWrong, f.channel, frame.Data, frame.Offset)
	default:
		f.last = frame.Offset
	}
	close(f.moved)
	f.moved = make(chan struct{})
	return nil
}
