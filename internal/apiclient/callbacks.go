package apiclient

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// Callback is one that tells the end of a job.
type Callback struct {
	ID         string     `json:"id"`
	MessageID  string     `json:"message_id"`
	Event      string     `json:"event"`
	URL        string     `json:"url"`
	State      string     `json:"state"` // pending, delivered or failed
	Attempts   int        `json:"attempts"`
	CreatedAt  time.Time  `json:"created_at"`
	NextAt     *time.Time `json:"next_at"`
	LastAt     *time.Time `json:"last_at"`
	LastStatus int        `json:"last_status,omitempty"`
	LastError  string     `json:"last_error,omitempty"`
	FinishedAt *time.Time `json:"finished_at"`
}

// CallbackSecret is one that signs callbacks.
type CallbackSecret struct {
	ID        string     `json:"id"`
	Secret    string     `json:"secret"`
	CreatedAt time.Time  `json:"created_at"`
	ExpiresAt *time.Time `json:"expires_at"`
}

// Callbacks lists those of a job, oldest first.
func (c *Client) Callbacks(ctx context.Context, job string) ([]Callback, error) {
	var page struct {
		Callbacks []Callback `json:"callbacks"`
	}
	_, err := c.do(ctx, call{method: http.MethodGet, path: "/v1/jobs/" + url.PathEscape(job) + "/callbacks", repeat: true}, &page)
	return page.Callbacks, err
}

// RetryCallback sends one again.
func (c *Client) RetryCallback(ctx context.Context, job, id string) (Callback, error) {
	var callback Callback
	path := "/v1/jobs/" + url.PathEscape(job) + "/callbacks/" + url.PathEscape(id) + "/retry"
	_, err := c.do(ctx, call{method: http.MethodPost, path: path}, &callback)
	return callback, err
}

// CallbackSecrets are those that sign now, newest first.
func (c *Client) CallbackSecrets(ctx context.Context) ([]CallbackSecret, error) {
	var page struct {
		Secrets []CallbackSecret `json:"secrets"`
	}
	_, err := c.do(ctx, call{method: http.MethodGet, path: "/v1/callbacks/secrets", repeat: true}, &page)
	return page.Secrets, err
}

// RotateCallbackSecret makes another one; the former signs beside it for the time of overlap.
func (c *Client) RotateCallbackSecret(ctx context.Context, overlap time.Duration) (CallbackSecret, error) {
	var secret CallbackSecret
	err := c.post(ctx, "/v1/callbacks/secrets", struct {
		Overlap string `json:"overlap"`
	}{overlap.String()}, &secret)
	return secret, err
}
