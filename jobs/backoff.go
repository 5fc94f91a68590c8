package jobs

import (
	"math"
	"math/rand/v2"
	"time"
)

// Backoff says how long a job waits after a failed attempt: First × Factor^(attempt-1), at most Max, and up
// to a fifth of that more or less, so that jobs which failed together do not come back together. Factor 1 is the
// same wait each time.
type Backoff struct {
	First  time.Duration // 0 means 1 s
	Max    time.Duration // 0 means 1 h
	Factor float64       // values below 1 mean 2

	// Delays, when there are any, are the waits themselves, taken as they are. The last one repeats.
	Delays []time.Duration
}

const backoffJitter = 0.2

// Delay returns the wait after the given attempt failed; attempts count from 1.
func (b Backoff) Delay(attempt int) time.Duration {
	if n := len(b.Delays); n > 0 {
		return max(b.Delays[min(max(attempt, 1), n)-1], 0)
	}

	first, limit, factor := b.First, b.Max, b.Factor
	if first <= 0 {
		first = time.Second
	}

	if limit <= 0 {
		limit = time.Hour
	}

	if factor < 1 {
		factor = 2
	}

	delay := float64(first) * math.Pow(factor, float64(max(attempt, 1)-1))
	delay = min(delay, float64(limit))                          // also turns +Inf of a late attempt into the limit
	delay *= 1 - backoffJitter + 2*backoffJitter*rand.Float64() //nolint:gosec // spreading, not a secret

	return time.Duration(delay)
}
