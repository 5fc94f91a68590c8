package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/millrace-dev/millrace/internal/auth"
)

const (
	cookieName       = "millrace_session"
	cookieNameSecure = "__Host-millrace_session"
)

// authorise recognises the caller and checks the route's scope.
func (s *Server) authorise(c *fiber.Ctx, r *request) error {
	if r.route.Scope == Public {
		return nil
	}
	id, err := s.identify(c, r.route)
	if errors.Is(err, errNoCredential) && r.route.Scope == Optional {
		return nil
	}
	if errors.Is(err, auth.ErrUnauthenticated) {
		return newProblem(CodeUnauthenticated, "")
	}
	if errors.Is(err, context.DeadlineExceeded) { // nothing has begun yet: it is safe to come again
		return errors.Join(newProblem(CodeUnavailable, ""), err)
	}
	if err != nil {
		return err
	}
	r.identity = id
	if r.route.Action != 0 {
		return s.permitAction(c, r)
	}
	return r.route.permit(c, id)
}

// permitAction asks the hub, which knows the namespace's rules.
func (s *Server) permitAction(c *fiber.Ctx, r *request) error {
	channel, err := pathParam(c, r.route.Resource)
	if err != nil {
		return err
	}
	if err := s.cfg.Hub.Allow(s.owners.credentials(r.identity), r.route.Action, channel); err != nil {
		return refusedAction(err, r.identity)
	}
	return nil
}

// identify takes the one credential that the request carries: the Authorization header before the cookie
// before the query, and never a second one when the first is refused.
func (s *Server) identify(c *fiber.Ctx, route *Route) (auth.Identity, error) {
	if header := c.Get(fiber.HeaderAuthorization); header != "" {
		scheme, bearer, _ := strings.Cut(header, " ")
		if !strings.EqualFold(scheme, "Bearer") {
			return auth.Identity{}, auth.ErrUnauthenticated
		}
		return s.cfg.Auth.Authenticate(c.UserContext(), strings.TrimSpace(bearer)) //nolint:wrapcheck // ours
	}
	if cookie := c.Cookies(s.cookieName()); cookie != "" && !s.strayCookie(c) {
		return s.identifyCookie(c, cookie)
	}
	if route.TokenQuery {
		// EventSource and WebSocket cannot send headers. What stands in an address ends up in histories and
		// logs, so keys are not taken from there, only what is short-lived.
		if token := c.Query("token"); token != "" {
			return s.cfg.Auth.ParseToken(c.UserContext(), token) //nolint:wrapcheck // ours
		}
	}
	return auth.Identity{}, errNoCredential
}

// errNoCredential is the refusal of those who show nothing. It looks like every other.
var errNoCredential = fmt.Errorf("nothing was shown: %w", auth.ErrUnauthenticated)

// identifyCookie checks first whether the browser was led here by another site's page: before anything changes,
// and before a socket, whose answers that page could read.
func (s *Server) identifyCookie(c *fiber.Ctx, cookie string) (auth.Identity, error) {
	if (unsafe(c.Method()) || c.Get(fiber.HeaderUpgrade) != "") && !s.ownPage(c) {
		return auth.Identity{}, foreignCookie(c.Get(fiber.HeaderOrigin))
	}
	return s.cfg.Auth.AuthenticateSession(c.UserContext(), cookie) //nolint:wrapcheck // ours
}

// strayCookie reports whether a listed origin's page opens a socket. Browsers add the cookie of whoever is logged in
// here too, which that page neither knows nor needs: it brings a token.
func (s *Server) strayCookie(c *fiber.Ctx) bool {
	return c.Get(fiber.HeaderUpgrade) != "" && s.origins.listed(c.Get(fiber.HeaderOrigin)) && !s.ownPage(c)
}

func unsafe(method string) bool {
	return method != http.MethodGet && method != http.MethodHead && method != http.MethodOptions
}

// ownPage reports whether the browser says that our own page, or the user with an address typed in, made the
// request. Browsers without Sec-Fetch-Site send an Origin with everything but plain GETs.
func (s *Server) ownPage(c *fiber.Ctx) bool {
	if site := c.Get("Sec-Fetch-Site"); site != "" {
		return site == "same-origin" || site == "none"
	}
	return s.origins.own(c.Get(fiber.HeaderOrigin), c.Hostname())
}

func (s *Server) cookieName() string {
	if s.origins.secure() {
		return cookieNameSecure
	}
	return cookieName
}

// permit checks the route's scope. Where the resource is known from the path, the pattern must match it; else
// any grant of the scope will do and the handler narrows.
func (r *Route) permit(c *fiber.Ctx, id auth.Identity) error {
	if r.Scope == AnyKey || r.Scope == Optional {
		return nil
	}
	if r.Resource == "" {
		if id.AllowsAny(r.Scope) {
			return nil
		}
		return forbidden(r.Scope, "")
	}
	resource, err := pathParam(c, r.Resource)
	if err != nil {
		return err
	}
	if id.Allows(r.Scope, resource) {
		return nil
	}
	return forbidden(r.Scope, resource)
}

// forbidden names the scope that is missing.
func forbidden(scope, resource string) *Problem {
	if resource != "" {
		return problemf(CodeForbidden, "It takes the scope %s with a pattern that matches %q.", scope, clip(resource))
	}
	return problemf(CodeForbidden, "It takes the scope %s.", scope)
}
