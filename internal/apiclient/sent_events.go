package apiclient

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
)

// SendEvent sends an event to the jobs that wait for it and returns its number. Data is JSON.
func (c *Client) SendEvent(ctx context.Context, name, key string, data json.RawMessage) (string, error) {
	query := url.Values{}
	if key != "" {
		query.Set("key", key)
	}

	var sent struct {
		ID string `json:"id"`
	}
	_, err := c.do(ctx, call{
		method: http.MethodPost, path: "/v1/events/" + url.PathEscape(name), query: query, header: jsonHeader(), body: data,
	}, &sent)

	return sent.ID, err
}
