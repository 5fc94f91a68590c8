package apiclient

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Step is one durable operation of a job.
type Step struct {
	Position  int             `json:"position"`
	Kind      string          `json:"kind"` // step, sleep, event, call or send
	Name      string          `json:"name"`
	State     string          `json:"state"`           // waiting, done or failed
	Tries     int             `json:"tries,omitempty"` // that failed
	Value     json.RawMessage `json:"value"`
	Omitted   bool            `json:"omitted,omitempty"` // Value is null because it is large
	Error     *Failure        `json:"error"`
	DueAt     *time.Time      `json:"due_at"`
	Event     string          `json:"event,omitempty"`
	Key       string          `json:"key,omitempty"`
	Job       int64           `json:"job,omitempty,string"` // that a call made
	CreatedAt time.Time       `json:"created_at"`
	SettledAt *time.Time      `json:"settled_at"`
}

// Steps lists the durable operations of a job, in order.
func (c *Client) Steps(ctx context.Context, id int64) ([]Step, error) {
	const page = 500
	var all []Step
	for {
		query := url.Values{"limit": {strconv.Itoa(page)}}
		if len(all) > 0 {
			query.Set("after", strconv.Itoa(all[len(all)-1].Position))
		}
		var answer struct {
			Steps []Step `json:"steps"`
		}
		_, err := c.do(ctx, call{method: http.MethodGet, path: jobPath(id) + "/steps", query: query, repeat: true}, &answer)
		if err != nil {
			return nil, err
		}
		if all = append(all, answer.Steps...); len(answer.Steps) < page {
			return all, nil
		}
	}
}
