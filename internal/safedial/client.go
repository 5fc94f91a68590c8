package safedial

import (
	"context"
	"net"
	"net/http"
	"syscall"
	"time"
)

const (
	dialTimeout    = 5 * time.Second
	headerBytes    = 64 << 10 // of an answer
	idleTimeout    = 30 * time.Second
	idlePerHost    = 2
	idleAltogether = 64
)

// Client makes requests as the policy allows, each within timeout, the answer's body included. A redirect is its
// answer. Close the client's idle connections when it is done with.
func (p Policy) Client(timeout time.Duration) *http.Client {
	dialer := &net.Dialer{
		Timeout: dialTimeout,
		// Called with the address that was resolved, for each one that is tried.
		ControlContext: func(_ context.Context, network, address string, _ syscall.RawConn) error {
			return p.checkDial(network, address)
		},
	}

	return &http.Client{
		Timeout:       timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy:                  nil, // it would dial for us, unjudged
			DialContext:            dialer.DialContext,
			ForceAttemptHTTP2:      true,
			TLSHandshakeTimeout:    dialTimeout,
			ResponseHeaderTimeout:  timeout,
			MaxResponseHeaderBytes: headerBytes,
			MaxIdleConns:           idleAltogether,
			MaxIdleConnsPerHost:    idlePerHost,
			IdleConnTimeout:        idleTimeout,
			DisableCompression:     true, // a small body must not become a large one
		},
	}
}
