package web

import (
	"context"

	"github.com/gofiber/fiber/v2"

	"github.com/millrace-dev/millrace/internal/telemetry"
)

// trace has a request go on with the trace of its caller, in a span of its own when there is a tracer; record ends it.
// What stays open has no span, which would end with the connection.
func (s *Server) trace(ctx context.Context, c *fiber.Ctx, r *request) context.Context {
	if parent := c.Request().Header.Peek("traceparent"); len(parent) > 0 {
		ctx = telemetry.Continue(ctx, string(parent))
	}
	if r.route.Timeout == Endless {
		return ctx
	}
	ctx, r.span = s.cfg.Tracer.Request(ctx, r.route.Method, r.route.Path)
	return ctx
}
