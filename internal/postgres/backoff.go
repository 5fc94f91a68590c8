package postgres

import (
	"context"
	"math/rand/v2"
	"time"
)

// Backoff waits longer after each failure, with full jitter, so that many
// instances do not return to a restarted server in step.
type Backoff struct{ next, max time.Duration }

// NewBackoff begins with steps of first and doubles them up to limit.
func NewBackoff(first, limit time.Duration) *Backoff { return &Backoff{next: first, max: limit} }

// Sleep waits between a half and the whole of the present step and reports
// whether ctx is still alive.
func (b *Backoff) Sleep(ctx context.Context) bool {
	d := b.next/2 + rand.N(b.next/2+1) //nolint:gosec // jitter is no secret
	b.next = min(2*b.next, b.max)
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
