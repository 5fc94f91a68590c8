package callbacks

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/millrace-dev/millrace/internal/postgres"
	"github.com/millrace-dev/millrace/internal/safedial"
)

const (
	attemptTimeout = 15 * time.Second // of one attempt; under the minute for which its claim holds
	answerBytes    = 64 << 10         // bytes of an answer that are read, so that its connection can be used again
	firstWait      = 5 * time.Second  // between the first two attempts; doubled each time
	longestWait    = time.Hour        // between two attempts
	maxError       = 4 << 10          // bytes of what is kept of an error
)

// delivering is one attempt to deliver a callback.
type delivering struct {
	id        int64
	messageID string
	jobID     int64
	function  string
	event     string
	url       string
	host      string
	body      string
	attempt   int
	left      time.Duration // until it is given up
}

// delivered is what an attempt came to.
type delivered struct {
	state  string
	status int
	err    string
	wait   time.Duration // of pending
}

// send makes one attempt. Every URL is checked again: the policy may have changed since, and by SQL anything may have
// come in.
func (d *delivering) send(ctx context.Context, client *http.Client, policy safedial.Policy, secrets []Secret) delivered {
	if err := policy.CheckURL(d.url); err != nil {
		return delivered{state: stateFailed, err: "the url " + err.Error()}
	}

	request, err := http.NewRequestWithContext(ctx, http.MethodPost, d.url, strings.NewReader(d.body))
	if err != nil {
		return delivered{state: stateFailed, err: "the url cannot be used"}
	}

	now := time.Now()
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", "millrace")
	request.Header.Set("Webhook-Id", d.messageID)
	request.Header.Set("Webhook-Timestamp", strconv.FormatInt(now.Unix(), 10))
	request.Header.Set("Webhook-Signature", sign(secrets, d.messageID, now, d.body))

	answer, err := client.Do(request)
	if err != nil {
		return d.unanswered(err)
	}

	_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, answerBytes))
	_ = answer.Body.Close()

	return d.answered(answer)
}

// unanswered is the outcome of an attempt without an answer. An address that is refused will be refused again.
func (d *delivering) unanswered(err error) delivered {
	var (
		network *net.OpError
		lookup  *net.DNSError
		text    string
	)

	switch {
	case errors.Is(err, safedial.ErrRefused):
		return delivered{state: stateFailed, err: postgres.Storable("refused: "+innermost(err).Error(), maxError)}
	case errors.As(err, &lookup):
		text = "the host's name cannot be resolved"
	case errors.As(err, &network) && network.Op == "dial":
		text = "the host does not take connections"
	case errors.Is(err, context.DeadlineExceeded), isTimeout(err):
		text = fmt.Sprintf("no answer within %s", attemptTimeout)
	default:
		text = innermost(err).Error()
	}

	return d.again(0, postgres.Storable(text, maxError), 0)
}

func isTimeout(err error) bool {
	var timeout net.Error

	return errors.As(err, &timeout) && timeout.Timeout()
}

// innermost is the cause of an error of net/http, without the URL and the addresses around it.
func innermost(err error) error {
	for {
		next := errors.Unwrap(err)
		if next == nil || next == safedial.ErrRefused { //nolint:errorlint // the text around the sentinel is wanted
			return err
		}

		err = next
	}
}

func (d *delivering) answered(answer *http.Response) delivered {
	switch status := answer.StatusCode; {
	case status >= http.StatusOK && status < http.StatusMultipleChoices:
		return delivered{state: stateDelivered, status: status}
	case status == http.StatusGone:
		return delivered{state: stateFailed, status: status, err: "answered 410: the receiver wants no more of them"}
	case status >= http.StatusMultipleChoices && status < http.StatusBadRequest:
		return d.again(status, fmt.Sprintf("answered %d: redirects are not followed", status), 0)
	default:
		seconds, _ := strconv.ParseUint(answer.Header.Get("Retry-After"), 10, 32)

		return d.again(status, fmt.Sprintf("answered %d", status), time.Duration(seconds)*time.Second)
	}
}

// again is another attempt after a growing wait, at least what the receiver asks for, or the end when the callback's time
// would be over.
func (d *delivering) again(status int, why string, asked time.Duration) delivered {
	wait := longestWait
	if n := d.attempt - 1; n < 10 {
		wait = min(firstWait<<n, longestWait)
	}

	wait = max(wait*9/10+rand.N(wait/5), min(asked, longestWait)) //nolint:gosec // jitter
	if wait > d.left {
		return delivered{state: stateFailed, status: status, err: why + ", to the end of its time"}
	}

	return delivered{state: statePending, status: status, err: why, wait: wait}
}
