package apiclient

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"
)

// Defaults of Config.
const (
	DefaultURL      = "http://127.0.0.1:8080"
	DefaultAttempts = 8 // some ten seconds: a server that restarts is back by then
	DefaultTimeout  = 60 * time.Second
)

// maxAnswer bounds a JSON answer in bytes: a page of jobs with their inputs stays far below it, and a
// misdirected URL that answers without end does not fill the memory.
const maxAnswer = 256 << 20

// Config of a Client. The zero value talks to a server on this machine without a key.
type Config struct {
	URL      string // base address, DefaultURL when empty; a path prefix is kept
	Key      string // API key or token, sent as "Authorization: Bearer"
	Attempts int    // how often a request that may be repeated is sent at most; DefaultAttempts when 0
	// Timeout of one request without a wait of its own (streams have none); DefaultTimeout when 0.
	Timeout time.Duration
	HTTP    *http.Client // a client of its own when nil; its Timeout must be 0, it would cut streams
	// Hint replaces the hint of a refusal, which speaks of HTTP, by the caller's own words. Path is that of the request.
	Hint func(path string, problem *Problem) string
}

// Client calls one millrace server. It is safe for concurrent use. Close releases idle connections.
type Client struct {
	base     string
	key      string
	attempts int
	timeout  time.Duration
	http     *http.Client
	hint     func(path string, problem *Problem) string
	backoff  backoff
	quiet    time.Duration // quietLimit
	reached  atomic.Bool   // the server has answered this client before
}

// New checks the address and returns a client; it does not connect.
func New(cfg Config) (*Client, error) {
	if cfg.URL == "" {
		cfg.URL = DefaultURL
	}
	parsed, err := url.Parse(cfg.URL)
	if err != nil {
		return nil, fmt.Errorf("read the server address %q: %w", cfg.URL, err)
	}
	if (parsed.Scheme != "http" && parsed.Scheme != "https") || parsed.Host == "" {
		return nil, fmt.Errorf("the server address %q is not an http or https URL such as %s", cfg.URL, DefaultURL)
	}
	if cfg.Attempts <= 0 {
		cfg.Attempts = DefaultAttempts
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = DefaultTimeout
	}
	if cfg.HTTP == nil {
		cfg.HTTP = newHTTPClient()
	}
	return &Client{
		base:     strings.TrimRight(parsed.String(), "/"),
		key:      cfg.Key,
		attempts: cfg.Attempts,
		timeout:  cfg.Timeout,
		http:     cfg.HTTP,
		hint:     cfg.Hint,
		backoff:  defaultBackoff,
		quiet:    quietLimit,
	}, nil
}

// newHTTPClient keeps enough idle connections for bounded fan-out (Go's default of 2 a host would open
// and close one for nearly every concurrent wait) and bounds every step before the answer's first byte.
func newHTTPClient() *http.Client {
	return &http.Client{Transport: &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 15 * time.Second}).DialContext,
		TLSHandshakeTimeout:   5 * time.Second,
		MaxIdleConns:          256,
		MaxIdleConnsPerHost:   256,
		IdleConnTimeout:       30 * time.Second,
		ResponseHeaderTimeout: 0, // a wait may take as long as it asked for; the request's context bounds it
	}}
}

// URL is the base address in use, for messages.
func (c *Client) URL() string { return c.base }

// Close releases idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// call describes one request.
type call struct {
	method string
	path   string // escaped, from "/v1/…"
	query  url.Values
	header http.Header
	body   []byte        // sent again on every attempt
	repeat bool          // may be sent again after a failure whose effect is unknown
	extra  time.Duration // added to the timeout: how long the server was asked to hold the answer
}

func (c call) op() string { return c.method + " " + c.path }

// do sends the call, again where that is safe, and decodes the answer into out (unless nil).
// It returns the answer's status.
func (c *Client) do(ctx context.Context, req call, out any) (int, error) {
	for attempt := 1; ; attempt++ {
		status, err := c.once(ctx, req, out)
		if err == nil || ctx.Err() != nil || attempt >= c.attempts || !c.retryable(err, req.repeat) {
			return status, err
		}
		if err := c.backoff.sleep(ctx, attempt, retryAfter(err)); err != nil {
			return 0, err
		}
	}
}

// once sends the call a single time within its timeout.
func (c *Client) once(ctx context.Context, req call, out any) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout+req.extra)
	defer cancel()
	resp, err := c.open(ctx, req) //nolint:bodyclose // drain closes it
	if err != nil {
		return 0, err
	}
	defer drain(resp.Body)
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return 0, &transportError{op: req.op(), base: c.base, err: err}
	}
	if len(body) > maxAnswer {
		return 0, fmt.Errorf("%s: the answer is larger than %d MiB", req.op(), maxAnswer>>20)
	}
	if out == nil {
		return resp.StatusCode, nil
	}
	if raw, is := out.(*Output); is {
		raw.ContentType, raw.Data = resp.Header.Get("Content-Type"), body
		return resp.StatusCode, nil
	}
	if err := json.Unmarshal(body, out); err != nil {
		return 0, fmt.Errorf("%s: the answer is not the JSON of this API (is %s a millrace server of this version?): %w", req.op(), c.base, err)
	}
	return resp.StatusCode, nil
}

// open sends the request and returns the response with its body open, or the problem in it.
func (c *Client) open(ctx context.Context, req call) (*http.Response, error) {
	target := c.base + req.path
	if len(req.query) > 0 {
		target += "?" + req.query.Encode()
	}
	var body io.Reader
	if req.body != nil {
		body = bytes.NewReader(req.body)
	}
	request, err := http.NewRequestWithContext(ctx, req.method, target, body)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", req.op(), err)
	}
	maps.Copy(request.Header, req.header)
	if c.key != "" {
		request.Header.Set("Authorization", "Bearer "+c.key)
	}
	if request.Header.Get("Accept") == "" {
		request.Header.Set("Accept", "application/json")
	}
	resp, err := c.http.Do(request)
	if err != nil {
		return nil, &transportError{op: req.op(), base: c.base, err: err}
	}
	c.reached.Store(true)
	if resp.StatusCode/100 == 2 {
		return resp, nil
	}
	defer drain(resp.Body)
	problem := readProblem(req, resp)
	if c.hint != nil {
		problem.Hint = c.hint(req.path, problem)
	}
	return nil, problem
}

// drain reads a little of what is left so that the connection can be used again, then closes.
func drain(body io.ReadCloser) {
	_, _ = io.CopyN(io.Discard, body, 64<<10)
	_ = body.Close()
}

// jsonCall is a call whose body is v as JSON.
func jsonCall(method, path string, v any) (call, error) {
	body, err := json.Marshal(v)
	if err != nil {
		return call{}, fmt.Errorf("%s %s: encode the request: %w", method, path, err)
	}
	return call{method: method, path: path, body: body, header: jsonHeader()}, nil
}

func jsonHeader() http.Header {
	return http.Header{"Content-Type": {"application/json"}}
}

// transportError is a request that got no (whole) answer.
type transportError struct {
	op, base string
	err      error
}

func (e *transportError) Error() string {
	// net/http prefixes the method and URL again; only the cause is worth a line.
	cause := e.err
	if wrapped, ok := errors.AsType[*url.Error](cause); ok {
		cause = wrapped.Err
	}
	return fmt.Sprintf("%s at %s: %v", e.op, e.base, cause)
}

func (e *transportError) Unwrap() error { return e.err }
