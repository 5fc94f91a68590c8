package apiclient

import (
	"context"
	"net/http"
	"net/url"
)

// Disconnection says which connections end, and what they are told. All of User, Client and Key that are set must
// match.
type Disconnection struct {
	User      string `json:"user,omitempty"`
	Client    string `json:"client,omitempty"`
	Key       string `json:"key,omitempty"`
	Code      uint32 `json:"code,omitempty"` // 4000 to 4999; 0 is the protocol's own
	Reason    string `json:"reason,omitempty"`
	Reconnect bool   `json:"reconnect,omitempty"`
}

// Disconnect closes connections on all instances. It returns once the command is committed, and is sent once.
func (c *Client) Disconnect(ctx context.Context, what Disconnection) error {
	return c.post(ctx, "/v1/connections/disconnect", what, nil)
}

// ConnectionCount is how many connections there are, over all instances.
type ConnectionCount struct {
	Connections int `json:"connections"`
	Missing     int `json:"missing,omitempty"` // instances that did not answer, and are not counted
}

// CountConnections tells how many connections of a user, a client or a key there are now; all that are set must match.
func (c *Client) CountConnections(ctx context.Context, user, client, key string) (ConnectionCount, error) {
	query := url.Values{}
	for name, value := range map[string]string{"user": user, "client": client, "key": key} {
		if value != "" {
			query.Set(name, value)
		}
	}
	var count ConnectionCount
	_, err := c.do(ctx, call{method: http.MethodGet, path: "/v1/connections", query: query, repeat: true}, &count)
	return count, err
}
