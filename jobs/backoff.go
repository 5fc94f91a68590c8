package jobs

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// Backoff says how long a job waits after a failed attempt, with n the attempts so far:
//
//	exponential  First × Factor^(n-1)
//	linear       First × n
//	fixed        First
//
// at most Max, and up to Jitter of that more or less, so that jobs which failed together do not come back together; or
// the waits of a list. The zero value is the default, field by field.
type Backoff struct {
	Kind   BackoffKind   // empty means exponential
	First  time.Duration // 0 means 1 s; at most 24 h
	Max    time.Duration // 0 means 1 h; at most 24 h
	Factor float64       // 0 means 2; 1 to 100; of exponential only
	Jitter float64       // the share, up to 1; 0 means a fifth, or none for Delays; less than 0 means none

	// Delays, when there are any, are the waits themselves, at most 99 of up to 24 h. The last one repeats.
	Delays []time.Duration
}

// BackoffKind is how the waits grow.
type BackoffKind string

// The kinds of backoff.
const (
	BackoffExponential BackoffKind = "exponential"
	BackoffLinear      BackoffKind = "linear"
	BackoffFixed       BackoffKind = "fixed"
)

const (
	defaultJitter    = 0.2
	maxBackoff       = 24 * time.Hour
	maxBackoffFactor = 100
	maxBackoffDelays = maxAttemptsLimit - 1
)

// IsZero reports whether b says nothing.
func (b Backoff) IsZero() bool {
	return b.Kind == "" && b.First == 0 && b.Max == 0 && b.Factor == 0 && b.Jitter == 0 && len(b.Delays) == 0
}

// Validate returns every mistake in b as one *ValidationError, or nil.
func (b Backoff) Validate() error {
	wrong := &ValidationError{}
	b.validate(wrong)

	return wrong.OrNil()
}

func (b Backoff) validate(wrong *ValidationError) {
	kinds := []BackoffKind{"", BackoffExponential, BackoffLinear, BackoffFixed}
	if !slices.Contains(kinds, b.Kind) {
		wrong.Add("backoff.kind", "must be exponential, linear or fixed")
	}

	span := fmt.Sprintf("must be between %s and %s", minTimeout, maxBackoff)
	outside := func(d time.Duration) bool { return d < minTimeout || d > maxBackoff }

	if b.First != 0 && outside(b.First) {
		wrong.Add("backoff.first", span)
	}

	if b.Max != 0 && outside(b.Max) {
		wrong.Add("backoff.max", span)
	}

	if b.Factor != 0 && !(b.Factor >= 1 && b.Factor <= maxBackoffFactor) { // not a number is outside too
		wrong.Add("backoff.factor", fmt.Sprintf("must be a number from 1 to %d", maxBackoffFactor))
	}

	if !(b.Jitter <= 1) {
		wrong.Add("backoff.jitter", "must be a number from 0 to 1")
	}

	b.validateDelays(wrong, outside)
}

func (b Backoff) validateDelays(wrong *ValidationError, outside func(time.Duration) bool) {
	if len(b.Delays) > maxBackoffDelays || slices.ContainsFunc(b.Delays, outside) {
		wrong.Add("backoff", fmt.Sprintf("must be at most %d waits, each between %s and %s", maxBackoffDelays, minTimeout, maxBackoff))
	}

	if len(b.Delays) > 0 && (b.Kind != "" || b.First != 0 || b.Max != 0 || b.Factor != 0) {
		wrong.Add("backoff", "is a list of waits or a rule for them, not both")
	}
}

// Delay returns the wait after the given attempt failed; attempts count from 1.
func (b Backoff) Delay(attempt int) time.Duration {
	delay, jitter := b.plain(max(attempt, 1)), b.Jitter
	if jitter == 0 && len(b.Delays) == 0 {
		jitter = defaultJitter
	}

	if jitter > 0 {
		delay *= 1 - jitter + 2*jitter*rand.Float64() //nolint:gosec // spreading, not a secret
	}

	return time.Duration(max(delay, 0))
}

// plain is the wait without jitter, in nanoseconds.
func (b Backoff) plain(attempt int) float64 {
	if n := len(b.Delays); n > 0 {
		return float64(b.Delays[min(attempt, n)-1])
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

	delay := float64(first)

	switch b.Kind {
	case BackoffLinear:
		delay *= float64(attempt)
	case BackoffFixed:
	case BackoffExponential:
		fallthrough
	default:
		delay *= math.Pow(factor, float64(attempt-1))
	}

	return min(delay, float64(limit)) // also turns +Inf of a late attempt into the limit
}

// canonical is the same text for the same backoff, in Go and in SQL: for the hash of a request.
func (b Backoff) canonical() string {
	var delays strings.Builder
	for _, delay := range b.Delays {
		fmt.Fprintf(&delays, " %d", delay.Milliseconds())
	}

	return fmt.Sprintf("backoff %s %d %d %d %d%s", b.Kind, b.First.Milliseconds(), b.Max.Milliseconds(),
		millionths(b.Factor), millionths(b.Jitter), delays.String())
}

func millionths(n float64) int64 { return int64(math.Round(n * 1e6)) }

// backoffJSON is the stored form.
type backoffJSON struct {
	Kind   BackoffKind `json:"kind,omitempty"`
	First  int64       `json:"first_ms,omitempty"`
	Max    int64       `json:"max_ms,omitempty"`
	Factor float64     `json:"factor,omitempty"`
	Jitter float64     `json:"jitter,omitempty"`
	Delays []int64     `json:"delays_ms,omitempty"`
}

// MarshalJSON writes the stored form: times are whole milliseconds.
func (b Backoff) MarshalJSON() ([]byte, error) {
	stored := backoffJSON{
		Kind: b.Kind, First: b.First.Milliseconds(), Max: b.Max.Milliseconds(), Factor: b.Factor, Jitter: b.Jitter,
	}
	for _, delay := range b.Delays {
		stored.Delays = append(stored.Delays, delay.Milliseconds())
	}

	return json.Marshal(stored)
}

// UnmarshalJSON reads the stored form. ParseBackoff reads what users write.
func (b *Backoff) UnmarshalJSON(data []byte) error {
	var stored backoffJSON
	err := json.Unmarshal(data, &stored)
	*b = Backoff{
		Kind: stored.Kind, First: ofMilliseconds(stored.First), Max: ofMilliseconds(stored.Max),
		Factor: stored.Factor, Jitter: stored.Jitter,
	}

	for _, delay := range stored.Delays {
		b.Delays = append(b.Delays, ofMilliseconds(delay))
	}

	return err
}
