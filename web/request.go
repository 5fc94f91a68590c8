package web

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"github.com/millrace-dev/millrace/internal/auth"
	"github.com/millrace-dev/millrace/internal/telemetry"
	"github.com/millrace-dev/millrace/web/doors"
)

const headerRequestID = fiber.HeaderXRequestID

// request is what is known about one request while it is answered.
type request struct {
	id       string
	begin    time.Time
	route    *Route // nil when no route matched
	identity auth.Identity
	span     telemetry.Span
	body     *body // nil until a handler opened it
}

type requestKey struct{}

// requestOf returns the request that around made.
func requestOf(c *fiber.Ctx) *request {
	if r, ok := c.Locals(requestKey{}).(*request); ok {
		return r
	}
	return &request{} // an error outside of the routes, which have one always
}

// identityOf is who asks. It is the zero Identity, which may do nothing, on public routes.
func identityOf(c *fiber.Ctx) auth.Identity { return requestOf(c).identity }

// entry sees every request before Fiber does.
func (s *Server) entry(next fasthttp.RequestHandler) fasthttp.RequestHandler {
	return func(ctx *fasthttp.RequestCtx) {
		setSecurityHeaders(&ctx.Response.Header)
		problem := checkFraming(&ctx.Request.Header)
		if problem == nil && !knownMethod(string(ctx.Method())) {
			problem = newProblem(CodeMethodNotAllowed, "")
			ctx.Response.Header.Set(fiber.HeaderAllow, "GET, HEAD, POST, PUT, PATCH, DELETE")
		}
		if problem == nil {
			next(ctx)
			return
		}
		ctx.SetConnectionClose()
		linger(ctx.Conn())
		problem.write(ctx, s.ids.next())
	}
}

func knownMethod(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodOptions,
		http.MethodPatch, http.MethodTrace, http.MethodConnect:
		return true
	default:
		return false
	}
}

// around brackets every request that Fiber routes, those that match nothing included.
func (s *Server) around(c *fiber.Ctx) error {
	r := &request{id: s.requestID(c), begin: time.Now()}
	c.Locals(requestKey{}, r)
	c.Set(headerRequestID, r.id)
	s.running.Add(1)
	defer s.running.Add(-1)
	if !s.cors(c) {
		if err := recovered(c); err != nil {
			s.fail(c, err)
		}
	}
	settleBody(c, r.body)
	r.body.release()
	s.record(c, r)
	return nil
}

// recovered runs what comes next and makes a panic an error.
func recovered(c *fiber.Ctx) (err error) {
	defer func() {
		if value := recover(); value != nil {
			err = &panicError{value: value, stack: debug.Stack()}
		}
	}()
	return c.Next() //nolint:wrapcheck // passes through
}

type panicError struct {
	value any
	stack []byte
}

func (e *panicError) Error() string { return fmt.Sprintf("panic: %v\n%s", e.value, e.stack) }

// fail answers with the problem that an error stands for. What is our fault is logged here, once, with the
// request's id; the client gets the id alone.
func (s *Server) fail(c *fiber.Ctx, err error) {
	r := requestOf(c)
	if r.id == "" {
		r.id = s.ids.next()
	}
	problem := problemOf(err)
	if errors.Is(err, doors.ErrOrigin) {
		problem = foreignOrigin(c.Get(fiber.HeaderOrigin))
	}
	if problem.Status >= http.StatusInternalServerError && problem.Code != CodeNotReady {
		s.log.LogAttrs(c.UserContext(), slog.LevelError, "request failed",
			slog.String("request_id", r.id), slog.String("code", string(problem.Code)), slog.Any("err", err))
	}
	problem.write(c.Context(), r.id)
}

// protocolError answers what fasthttp could not read, and whatever else escaped. Fiber's own texts quote the
// request and name internals, so only the kind of the error is used.
func (s *Server) protocolError(c *fiber.Ctx, err error) error {
	setSecurityHeaders(&c.Context().Response.Header)
	c.Context().SetConnectionClose()
	linger(c.Context().Conn())
	s.fail(c, err)
	return nil
}

// record logs and counts a finished request.
func (s *Server) record(c *fiber.Ctx, r *request) {
	status, took := c.Context().Response.StatusCode(), time.Since(r.begin)
	path := "unmatched"
	if r.route != nil {
		path = r.route.Path
	}
	s.metrics.observe(c.Method(), path, status, took)
	r.span.Answered(status)
	level := slog.LevelDebug
	if status >= http.StatusBadRequest {
		level = slog.LevelInfo
	}
	if !s.log.Enabled(context.Background(), level) {
		return
	}
	// The pattern instead of the path, no query and no headers: nothing here can hold a credential.
	s.log.LogAttrs(context.Background(), level, "request",
		slog.String("request_id", r.id), slog.String("method", c.Method()), slog.String("route", path),
		slog.Int("status", status), slog.Duration("took", took), slog.String("key", r.identity.Key))
}

// securityHeaders are for every answer; the page loosens the policy for its own files. The names are canonical,
// which spares fasthttp the work for each answer.
var securityHeaders = [...][2][]byte{
	{[]byte(fiber.HeaderXContentTypeOptions), []byte("nosniff")},
	{[]byte(fiber.HeaderXFrameOptions), []byte("DENY")},
	{[]byte(fiber.HeaderReferrerPolicy), []byte("no-referrer")},
	{[]byte(fiber.HeaderContentSecurityPolicy), []byte("default-src 'none'; frame-ancestors 'none'")},
	{[]byte(fiber.HeaderCacheControl), []byte("no-store")},
}

func setSecurityHeaders(h *fasthttp.ResponseHeader) {
	for i := range securityHeaders {
		h.SetCanonical(securityHeaders[i][0], securityHeaders[i][1])
	}
}

// requestID takes the caller's id if it is harmless, so that a request can be followed over several services.
func (s *Server) requestID(c *fiber.Ctx) string {
	const longest = 64
	given := c.Get(headerRequestID)
	if given == "" || len(given) > longest {
		return s.ids.next()
	}
	for i := range len(given) {
		b := given[i]
		if (b < 'a' || b > 'z') && (b < 'A' || b > 'Z') && (b < '0' || b > '9') && b != '-' && b != '_' && b != '.' {
			return s.ids.next()
		}
	}
	return given
}

// idSource makes request ids: unique by the process's random start, cheap by its counter.
type idSource struct {
	prefix  string
	counter atomic.Uint64
}

func newIDSource() *idSource {
	var start [5]byte
	_, _ = rand.Read(start[:]) // never fails: it ends the program instead
	return &idSource{prefix: strings.ToLower(base32.StdEncoding.EncodeToString(start[:])) + "-"}
}

func (s *idSource) next() string { return s.prefix + strconv.FormatUint(s.counter.Add(1), 36) }
