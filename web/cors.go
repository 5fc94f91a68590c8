package web

import (
	"net/http"

	"github.com/gofiber/fiber/v2"
)

const corsMaxAge = "600"

// cors answers preflights of configured origins and lets their pages read our answers. It reports whether the
// request is answered. Credentials are not allowed: such pages bring a key or token of their own.
func (s *Server) cors(c *fiber.Ctx) bool {
	origin := c.Get(fiber.HeaderOrigin)
	if origin == "" || len(s.origins.allowed) == 0 {
		return false
	}
	c.Vary(fiber.HeaderOrigin)
	if !s.origins.listed(origin) {
		return false
	}
	c.Set(fiber.HeaderAccessControlAllowOrigin, origin)
	c.Set(fiber.HeaderAccessControlExposeHeaders, "Location, Link, Retry-After, "+headerReplayed+", Preference-Applied, "+headerRequestID)
	if c.Method() != http.MethodOptions || c.Get(fiber.HeaderAccessControlRequestMethod) == "" {
		return false
	}
	c.Set(fiber.HeaderAccessControlAllowMethods, "GET, POST, PUT, PATCH, DELETE")
	c.Set(fiber.HeaderAccessControlAllowHeaders,
		"Authorization, Content-Type, Idempotency-Key, Prefer, Last-Event-ID, "+headerRequestID)
	c.Set(fiber.HeaderAccessControlMaxAge, corsMaxAge)
	c.Status(http.StatusNoContent)
	return true
}
