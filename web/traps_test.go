package web

import (
	"context"
	"errors"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/stretchr/testify/require"
)

// with adds routes to a server that has not started.
func (s *Server) with(routes ...Route) (err error) {
	s.routes = append(s.routes, routes...)
	s.app, err = s.newApp()
	return err
}

// TestNothingInternalLeaves is W4: errors and panics whose text names what nobody should know.
func TestNothingInternalLeaves(t *testing.T) {
	t.Parallel()
	e := start(t)
	boom := func(path string, handler fiber.Handler) Route {
		return Route{Method: http.MethodGet, Path: path, Scope: Public, Summary: "fails", Handler: handler}
	}
	side := e.sibling(
		boom("/error", func(*fiber.Ctx) error { return errors.New("connect to " + secret) }),
		boom("/panic", func(*fiber.Ctx) error { panic("connect to " + secret) }),
		boom("/nil", func(*fiber.Ctx) error { var r *Route; return r.Handler(nil) }),
		boom("/fiber", func(*fiber.Ctx) error { return fiber.NewError(http.StatusTeapot, secret) }),
		boom("/half", func(c *fiber.Ctx) error { _ = c.SendString(secret); panic(secret) }),
	)
	for _, path := range []string{"/error", "/panic", "/nil", "/half"} {
		got := side.do(http.MethodGet, path, "", "")
		require.Equal(t, http.StatusInternalServerError, got.status)
		problem := got.problem(t)
		require.Equal(t, CodeInternal, problem.Code)
		for _, text := range internals() {
			require.NotContains(t, got.body, text, path)
		}
		require.Contains(t, e.log.String(), problem.RequestID, "the log knows more, under the same id")
	}
	got := side.do(http.MethodGet, "/fiber", "", "")
	require.NotContains(t, got.body, "hunter2")
	require.Equal(t, http.StatusOK, side.do(http.MethodGet, "/healthz", "", "").status, "the others go on")
	garbage := side.raw("GARBAGE " + secret + "\r\n\r\n")
	require.Contains(t, garbage, "400 Bad Request")
	require.NotContains(t, garbage, "hunter2")
	require.Contains(t, garbage, contentProblem)
}

// TestContextIsTheRequestsOwn is W11: it has a deadline, ends with the answer and with the server, and is not Fiber's.
func TestContextIsTheRequestsOwn(t *testing.T) {
	t.Parallel()
	e := start(t)
	contexts := make(chan context.Context, 2)
	entered := make(chan struct{})
	side := e.sibling(
		Route{Method: http.MethodGet, Path: "/context", Scope: Public, Summary: "x", Timeout: time.Minute, Handler: func(c *fiber.Ctx) error {
			contexts <- c.UserContext()
			return nil
		}},
		Route{Method: http.MethodGet, Path: "/waits", Scope: Public, Summary: "x", Handler: func(c *fiber.Ctx) error {
			close(entered)
			<-c.UserContext().Done()
			return c.UserContext().Err()
		}},
	)
	side.do(http.MethodGet, "/context", "", "")
	ctx := <-contexts
	deadline, ok := ctx.Deadline()
	require.True(t, ok)
	require.WithinDuration(t, time.Now().Add(time.Minute), deadline, 10*time.Second)
	require.Eventually(t, func() bool { return ctx.Err() != nil }, patience, time.Millisecond, "it ends with the answer")

	answered := make(chan answer, 1)
	go func() { answered <- side.do(http.MethodGet, "/waits", "", "") }()
	<-entered
	stopping, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	require.NoError(t, side.server.Stop(stopping))
	got := <-answered
	require.Equal(t, http.StatusServiceUnavailable, got.status)
	require.Equal(t, CodeUnavailable, got.problem(t).Code)
	require.NoError(t, side.server.Stop(stopping), "again")
}

// TestForwardedHeadersAreNotBelieved is W8.
func TestForwardedHeadersAreNotBelieved(t *testing.T) {
	t.Parallel()
	e := start(t)
	side := e.sibling(Route{Method: http.MethodGet, Path: "/who", Scope: Public, Summary: "x", Handler: func(c *fiber.Ctx) error {
		return c.SendString(c.IP() + " " + c.Hostname() + " " + c.Protocol())
	}})
	got := side.do(http.MethodGet, "/who", "", "", "X-Forwarded-For", "6.6.6.6", "X-Real-Ip", "6.6.6.6", "Forwarded", "for=6.6.6.6",
		"X-Forwarded-Host", "evil.example", "X-Forwarded-Proto", "https")
	require.Equal(t, "127.0.0.1 "+side.server.Addr()+" http", got.body)
}

func TestRequestIDs(t *testing.T) {
	t.Parallel()
	e := start(t)
	first, second := e.do(http.MethodGet, "/healthz", "", ""), e.do(http.MethodGet, "/healthz", "", "")
	require.NotEmpty(t, first.header.Get(headerRequestID))
	require.NotEqual(t, first.header.Get(headerRequestID), second.header.Get(headerRequestID))
	require.Equal(t, "trace-1.a_B", e.do(http.MethodGet, "/healthz", "", "", headerRequestID, "trace-1.a_B").header.Get(headerRequestID))
	for _, evil := range []string{"a b", `"}{"`, "<script>", strings.Repeat("a", 65)} {
		require.NotEqual(t, evil, e.do(http.MethodGet, "/healthz", "", "", headerRequestID, evil).header.Get(headerRequestID))
	}
}

// TestFasthttpIsNewEnough is W10: below 1.70 ServeFile decodes twice, below 1.71 an escaped connection's reader
// goes back to the pool while it is in use.
func TestFasthttpIsNewEnough(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("../go.mod")
	require.NoError(t, err)
	found := regexp.MustCompile(`github\.com/valyala/fasthttp v1\.(\d+)\.`).FindSubmatch(data)
	require.NotNil(t, found, "go.mod pins fasthttp, at major version 1")
	minor, err := strconv.Atoi(string(found[1]))
	require.NoError(t, err)
	require.GreaterOrEqual(t, minor, 71)
}

// TestReadiness says which part does not work, and nothing about why.
func TestReadiness(t *testing.T) {
	t.Parallel()
	var broken error
	e := start(t, func(c *Config) {
		c.Ready = Readiness(
			Check{Name: "database", Run: func(context.Context) error { return broken }},
			Check{Name: "listener", Run: func(context.Context) error { return nil }},
		)
	})
	require.Equal(t, http.StatusOK, e.do(http.MethodGet, "/readyz", "", "").status)
	broken = errors.New("dial " + secret)
	got := e.do(http.MethodGet, "/readyz", "", "")
	require.Equal(t, http.StatusServiceUnavailable, got.status)
	problem := got.problem(t)
	require.Equal(t, CodeNotReady, problem.Code)
	require.Equal(t, []FieldError{{Field: "database", Message: "does not work"}}, problem.Errors)
	require.NotContains(t, got.body, "hunter2")
	require.NotEmpty(t, got.header.Get("Retry-After"))
	require.Contains(t, e.log.String(), "hunter2", "the log says why")
	require.Equal(t, http.StatusOK, e.do(http.MethodGet, "/healthz", "", "").status, "alive all the same")
}

func TestConfigurationTellsEveryMistake(t *testing.T) {
	t.Parallel()
	_, err := New(Config{MaxInput: -1})
	for _, text := range []string{"Jobs", "Functions", "Hub", "Auth", "MaxInput"} {
		require.ErrorContains(t, err, text)
	}
	e := start(t)
	for _, origin := range []string{"*", "app.example.com", "https://a.example/path", "https://u@a.example", "ftp://a.example"} {
		config := e.server.cfg
		config.AllowedOrigins = []string{origin}
		config.Metrics = nil
		_, err := New(config)
		require.ErrorContains(t, err, "AllowedOrigins", origin)
	}
}
