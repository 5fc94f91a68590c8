package postgres

import (
	"context"
	"math/rand/v2"
	"time"
)

// DefaultPoll is the interval of a listener that polls.
const DefaultPoll = 500 * time.Millisecond

// Polling reports whether the listener polls and listens to nothing.
func (l *Listener) Polling() bool { return l.cfg.Poll > 0 }

// poll tells every handler, interval after interval, that something may have been missed.
func (l *Listener) poll(ctx context.Context) {
	for {
		for _, channel := range l.channels {
			for _, h := range l.handlers[channel] {
				if h.onReset != nil {
					h.onReset(ctx)
				}
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(l.cfg.Poll*9/10 + rand.N(l.cfg.Poll/10+1)): //nolint:gosec // jitter
		}
	}
}
