package apiclient

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"strconv"
	"syscall"
	"time"
)

// backoff grows exponentially from base to limit with full jitter (half fixed, half random), so that
// clients that lost one server do not come back in one wave.
type backoff struct {
	base, limit time.Duration
	// longest is how long a server's Retry-After is followed; beyond it the client comes back by itself.
	longest time.Duration
}

var defaultBackoff = backoff{base: 100 * time.Millisecond, limit: 5 * time.Second, longest: 30 * time.Second} //nolint:gochecknoglobals // a constant of struct type

// delay before attempt n+1 (n counts from 1), or what the server asked for.
func (b backoff) delay(n int, asked time.Duration) time.Duration {
	if asked > 0 {
		return min(asked, b.longest)
	}
	ceiling := b.limit
	if shift := n - 1; shift < 16 {
		ceiling = min(b.limit, b.base<<shift)
	}
	half := ceiling / 2
	return half + rand.N(half+1) //nolint:gosec // jitter, not a secret
}

func (b backoff) sleep(ctx context.Context, n int, asked time.Duration) error {
	timer := time.NewTimer(b.delay(n, asked))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// retryable says whether the call may succeed when it is sent again and may be sent again. Refusals that
// say "not done, come again" (429, and 503 from our server before it acts) are safe only with repeat too:
// a proxy in between may answer 503 for a request that went through. A refused connection is worth another try only if
// the server was there before: else the address is wrong or nothing was started, and the caller should hear it now.
func (c *Client) retryable(err error, repeat bool) bool {
	if !repeat || errors.Is(err, context.Canceled) {
		return false
	}
	if problem, ok := errors.AsType[*Problem](err); ok {
		return problem.temporary()
	}
	if IsConnectionRefused(err) && !c.reached.Load() {
		return false
	}
	return IsTransport(err)
}

func (p *Problem) temporary() bool {
	switch p.Status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	case http.StatusConflict:
		// The same submission is still being worked on at the server: its answer is near.
		return p.RetryAfter > 0
	default:
		return false
	}
}

func retryAfter(err error) time.Duration {
	if problem, ok := errors.AsType[*Problem](err); ok {
		return problem.RetryAfter
	}
	return 0
}

// parseRetryAfter reads both forms of the header (RFC 9110, 10.2.3): seconds, or a date.
func parseRetryAfter(value string, now time.Time) time.Duration {
	if seconds, err := strconv.Atoi(value); err == nil {
		return max(0, time.Duration(seconds)*time.Second)
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}

// IsConnectionRefused tells that nothing listens at the server's address.
func IsConnectionRefused(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }

// IsTransport tells that no (whole) answer came: the connection failed, was cut, or timed out.
func IsTransport(err error) bool {
	var transport *transportError
	return errors.As(err, &transport)
}
