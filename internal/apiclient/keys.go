package apiclient

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// Key is an API key without its secret.
type Key struct {
	ID         string     `json:"id"`
	Name       string     `json:"name"`
	Scopes     []string   `json:"scopes"`
	CreatedAt  time.Time  `json:"created_at"`
	ExpiresAt  *time.Time `json:"expires_at"`
	LastUsedAt *time.Time `json:"last_used_at"`
	RevokedAt  *time.Time `json:"revoked_at"`
}

// KeyRequest describes a key to be made.
type KeyRequest struct {
	Name      string     `json:"name"`
	Scopes    []string   `json:"scopes"`
	ExpiresAt *time.Time `json:"expires_at,omitempty"` // never when nil
}

// CreateKey makes a key and returns it with its secret, which the server does not keep and cannot show again.
func (c *Client) CreateKey(ctx context.Context, request KeyRequest) (Key, string, error) {
	var answer struct {
		Key
		Secret string `json:"secret"`
	}
	err := c.post(ctx, "/v1/keys", request, &answer)
	return answer.Key, answer.Secret, err
}

// Keys lists all keys, revoked ones included.
func (c *Client) Keys(ctx context.Context) ([]Key, error) {
	var page struct {
		Keys []Key `json:"keys"`
	}
	_, err := c.do(ctx, call{method: http.MethodGet, path: "/v1/keys", repeat: true}, &page)
	return page.Keys, err
}

// RevokeKey ends a key; sockets opened with it are closed within 5 s.
func (c *Client) RevokeKey(ctx context.Context, id string) error {
	_, err := c.do(ctx, call{method: http.MethodDelete, path: "/v1/keys/" + url.PathEscape(id)}, nil)
	return err
}

// TokenRequest describes a short-lived token for a browser.
type TokenRequest struct {
	User      string        `json:"user"`
	Subscribe []string      `json:"subscribe,omitempty"` // channel patterns
	Publish   []string      `json:"publish,omitempty"`
	Expires   time.Duration `json:"-"`
}

// Token is a signed token and the time until which it is accepted.
type Token struct {
	Token     string    `json:"token"`
	ExpiresAt time.Time `json:"expires_at"`
}

// CreateToken makes a token.
func (c *Client) CreateToken(ctx context.Context, request TokenRequest) (Token, error) {
	wire := struct {
		TokenRequest
		Expires string `json:"expires,omitempty"`
	}{TokenRequest: request}
	if request.Expires > 0 {
		wire.Expires = request.Expires.String()
	}
	var token Token
	err := c.post(ctx, "/v1/tokens", wire, &token)
	return token, err
}

// post sends v once as JSON.
func (c *Client) post(ctx context.Context, path string, v, out any) error {
	req, err := jsonCall(http.MethodPost, path, v)
	if err != nil {
		return err
	}
	_, err = c.do(ctx, req, out)
	return err
}
