package web

import (
	"net/http"

	"github.com/gofiber/fiber/v2"

	"github.com/millrace-dev/millrace/internal/auth"
)

// login takes {key} or {link}, the secret of a one-time link, and sets the page's cookie. Whatever cookie came
// with the request counts for nothing: each login has a new secret.
func (s *Server) login(c *fiber.Ctx) error {
	// A page elsewhere must not log the user in as somebody else.
	if site := c.Get("Sec-Fetch-Site"); (site != "" || c.Get(fiber.HeaderOrigin) != "") && !s.ownPage(c) {
		return foreignCookie(c.Get(fiber.HeaderOrigin))
	}
	var said struct {
		Key  string `json:"key"`
		Link string `json:"link"`
	}
	if err := s.readJSON(c, &said); err != nil {
		return err
	}
	var session auth.Session
	var err error
	if said.Link != "" {
		session, err = s.cfg.Auth.RedeemLoginLink(c.UserContext(), said.Link)
	} else {
		session, err = s.cfg.Auth.StartSession(c.UserContext(), said.Key)
	}
	if err != nil {
		return err //nolint:wrapcheck // mapped by problemOf
	}
	cookie := s.cookie(session.Secret)
	cookie.Expires = session.ExpiresAt
	c.Cookie(cookie)
	return writeJSON(c, http.StatusOK, describe(session.Identity))
}

// logout ends the session of the cookie. It asks for no scope, but like everything that a cookie authorises it
// must come from the page itself.
func (s *Server) logout(c *fiber.Ctx) error {
	if secret := c.Cookies(s.cookieName()); secret != "" {
		if err := s.cfg.Auth.EndSession(c.UserContext(), secret); err != nil {
			return err //nolint:wrapcheck // mapped by problemOf
		}
	}
	cookie := s.cookie("")
	cookie.MaxAge = -1
	c.Cookie(cookie)
	return c.SendStatus(http.StatusNoContent)
}

// whoAmI tells the page, or anybody with a credential, what it may do.
func (s *Server) whoAmI(c *fiber.Ctx) error {
	return writeJSON(c, http.StatusOK, describe(identityOf(c)))
}

func (s *Server) cookie(value string) *fiber.Cookie {
	return &fiber.Cookie{
		Name:     s.cookieName(),
		Value:    value,
		Path:     "/",
		HTTPOnly: true,
		Secure:   s.origins.secure(),
		SameSite: fiber.CookieSameSiteStrictMode,
	}
}

// who is an identity without anything secret.
type who struct {
	Key       string   `json:"key"`
	Name      string   `json:"name"`
	User      string   `json:"user,omitempty"`
	Scopes    []string `json:"scopes"`
	ExpiresAt any      `json:"expires_at"`
}

func describe(id auth.Identity) who {
	out := who{Key: id.Key, Name: id.Name, User: id.User, Scopes: id.Scopes()}
	if !id.ExpiresAt.IsZero() {
		out.ExpiresAt = id.ExpiresAt
	}
	return out
}
