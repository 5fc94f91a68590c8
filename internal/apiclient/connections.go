package apiclient

import "context"

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
