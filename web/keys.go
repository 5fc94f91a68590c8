package web

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/millrace-dev/millrace/internal/auth"
)

// createKey takes {name, scopes, expires_in}. The answer holds the key's text, for this once.
func (s *Server) createKey(c *fiber.Ctx) error {
	var said struct {
		Name      string   `json:"name"`
		Scopes    []string `json:"scopes"`
		ExpiresIn duration `json:"expires_in"`
	}
	if err := s.readJSON(c, &said); err != nil {
		return err
	}
	by := identityOf(c)
	key, text, err := s.cfg.Auth.CreateKey(c.UserContext(), auth.KeyParams{
		Name: said.Name, Scopes: said.Scopes, ExpiresIn: time.Duration(said.ExpiresIn), By: &by,
	})
	if err != nil {
		return err //nolint:wrapcheck // mapped by problemOf
	}
	c.Set(fiber.HeaderLocation, "/v1/keys/"+key.ID)
	return writeJSON(c, http.StatusCreated, struct {
		auth.Key
		Secret string `json:"key"`
	}{key, text})
}

func (s *Server) listKeys(c *fiber.Ctx) error {
	q := newQuery(c)
	limit := int(q.number("limit", 1, maxListLimit))
	if err := q.err(); err != nil {
		return err
	}
	if limit == 0 {
		limit = defaultListLimit
	}
	keys, err := s.cfg.Auth.ListKeys(c.UserContext(), q.text("cursor"), limit)
	if err != nil {
		return err //nolint:wrapcheck // mapped by problemOf
	}
	next := ""
	if len(keys) == limit {
		next = keys[limit-1].ID
	}
	return writeJSON(c, http.StatusOK, struct {
		Keys []auth.Key `json:"keys"`
		Next string     `json:"next"`
	}{keys, next})
}

func (s *Server) revokeKey(c *fiber.Ctx) error {
	id, err := pathParam(c, "id")
	if err != nil {
		return err
	}
	if err := s.cfg.Auth.Revoke(c.UserContext(), id); err != nil {
		return err //nolint:wrapcheck // mapped by problemOf
	}
	return c.SendStatus(http.StatusNoContent)
}

// mintToken takes {user, subscribe, publish, info, expires_in}, or {user, channel, info, expires_in} for a token that
// opens one channel to a connection that stands.
func (s *Server) mintToken(c *fiber.Ctx) error {
	var said struct {
		User      string          `json:"user"`
		Subscribe []string        `json:"subscribe"`
		Publish   []string        `json:"publish"`
		Channel   string          `json:"channel"`
		Info      json.RawMessage `json:"info"`
		ExpiresIn duration        `json:"expires_in"`
	}
	if err := s.readJSON(c, &said); err != nil {
		return err
	}
	by := identityOf(c)
	var token string
	var expires time.Time
	var err error
	switch {
	case said.Channel == "":
		token, expires, err = s.cfg.Auth.MintToken(c.UserContext(), by, auth.TokenParams{
			User: said.User, Subscribe: said.Subscribe, Publish: said.Publish, Info: said.Info,
			ExpiresIn: time.Duration(said.ExpiresIn), Readable: s.owners.readable(by),
		})
	case said.Subscribe != nil || said.Publish != nil:
		return fieldProblem(CodeValidationFailed, FieldError{Field: "channel", Message: "makes a token for one subscription: without subscribe and publish"})
	default:
		token, expires, err = s.cfg.Auth.MintSubscriptionToken(c.UserContext(), by, auth.SubscriptionTokenParams{
			User: said.User, Channel: said.Channel, Info: said.Info,
			ExpiresIn: time.Duration(said.ExpiresIn), Readable: s.owners.readable(by),
		})
	}
	if err != nil {
		return err //nolint:wrapcheck // mapped by problemOf
	}
	return writeJSON(c, http.StatusCreated, struct {
		Token     string    `json:"token"`
		ExpiresAt time.Time `json:"expires_at"`
	}{token, expires})
}
