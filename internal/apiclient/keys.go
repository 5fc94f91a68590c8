package apiclient

import (
	"context"
	"encoding/json"
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
	CreatedBy  string     `json:"created_by"` // id of the key that made it; empty for the command line
	ExpiresAt  *time.Time `json:"expires_at"`
	LastUsedAt *time.Time `json:"last_used_at"`
	RevokedAt  *time.Time `json:"revoked_at"`
}

// KeyRequest describes a key to be made.
type KeyRequest struct {
	Name      string
	Scopes    []string      // such as admin, jobs:submit:orders.*, channels:subscribe:room:*
	ExpiresIn time.Duration // never when 0
}

// CreateKey makes a key and returns it with its secret, which the server does not keep and cannot show again.
func (c *Client) CreateKey(ctx context.Context, request KeyRequest) (Key, string, error) {
	var answer struct {
		Key
		Secret string `json:"key"`
	}
	wire := struct {
		Name      string   `json:"name"`
		Scopes    []string `json:"scopes"`
		ExpiresIn string   `json:"expires_in,omitempty"`
	}{Name: request.Name, Scopes: request.Scopes, ExpiresIn: durationText(request.ExpiresIn)}
	err := c.post(ctx, "/v1/keys", wire, &answer)
	return answer.Key, answer.Secret, err
}

// Keys lists all keys, revoked ones included.
func (c *Client) Keys(ctx context.Context) ([]Key, error) {
	var all []Key
	query := url.Values{"limit": {"500"}}
	for {
		var page struct {
			Keys []Key  `json:"keys"`
			Next string `json:"next"`
		}
		if _, err := c.do(ctx, call{method: http.MethodGet, path: "/v1/keys", query: query, repeat: true}, &page); err != nil {
			return nil, err
		}
		all = append(all, page.Keys...)
		if page.Next == "" {
			return all, nil
		}
		query.Set("cursor", page.Next)
	}
}

// RevokeKey ends a key; sockets opened with it are closed within 5 s.
func (c *Client) RevokeKey(ctx context.Context, id string) error {
	_, err := c.do(ctx, call{method: http.MethodDelete, path: "/v1/keys/" + url.PathEscape(id)}, nil)
	return err
}

// TokenRequest describes a short-lived token for a browser.
type TokenRequest struct {
	User      string
	Subscribe []string // channel patterns, such as room:*
	Publish   []string // channel patterns
	// Channel makes a token that opens this one channel to a connection that stands; without Subscribe and Publish.
	Channel   string
	Info      json.RawMessage // what presence shows of the user
	ExpiresIn time.Duration   // the server's default, an hour, when 0
}

// Token is a signed token and the time until which it is accepted.
type Token struct {
	Token     string    `json:"token"`
	ExpiresAt time.Time `json:"expires_at"`
}

// CreateToken makes a token.
func (c *Client) CreateToken(ctx context.Context, request TokenRequest) (Token, error) {
	wire := struct {
		User      string          `json:"user"`
		Subscribe []string        `json:"subscribe,omitempty"`
		Publish   []string        `json:"publish,omitempty"`
		Channel   string          `json:"channel,omitempty"`
		Info      json.RawMessage `json:"info,omitempty"`
		ExpiresIn string          `json:"expires_in,omitempty"`
	}{request.User, request.Subscribe, request.Publish, request.Channel, request.Info, durationText(request.ExpiresIn)}
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

// durationText is how the API writes a duration; empty, which the wire leaves out, for 0.
func durationText(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return d.String()
}
