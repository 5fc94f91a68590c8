package apiclient

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Filter selects jobs by the names that GET /v1/jobs has for its filters: function, state, queue, tag, schedule.
type Filter map[string]string

// Bulk asks for one action on every job that a filter finds.
type Bulk struct {
	Action   string `json:"action"` // retry, cancel, delete, purge, move or prioritize
	Filter   Filter `json:"filter"`
	All      bool   `json:"all,omitempty"` // says that an empty filter is meant
	Queue    string `json:"queue,omitempty"`
	Priority int    `json:"priority,omitempty"`
	DryRun   bool   `json:"dry_run,omitempty"`
}

// Operation is a bulk operation as it stands.
type Operation struct {
	ID         int64           `json:"id,string"`
	Action     string          `json:"action"`
	State      string          `json:"state"` // queued, running, completed, failed or cancelled
	DryRun     bool            `json:"dry_run"`
	Filter     json.RawMessage `json:"filter"`
	Queue      string          `json:"queue,omitempty"`
	Priority   int             `json:"priority,omitempty"`
	Matched    int64           `json:"matched"`
	Done       int64           `json:"done"`
	Skipped    int64           `json:"skipped"`
	Percent    float64         `json:"percent"`
	Error      string          `json:"error,omitempty"`
	Node       string          `json:"node"`
	CreatedAt  time.Time       `json:"created_at"`
	StartedAt  *time.Time      `json:"started_at"`
	FinishedAt *time.Time      `json:"finished_at"`
}

// Finished tells that the operation does nothing any more.
func (o Operation) Finished() bool { return o.FinishedAt != nil }

// Bulk begins an operation. It is sent once: a second try might act twice.
func (c *Client) Bulk(ctx context.Context, bulk Bulk) (Operation, error) {
	var op Operation
	if bulk.Filter == nil {
		bulk.Filter = Filter{}
	}
	req, err := jsonCall(http.MethodPost, "/v1/jobs/bulk", bulk)
	if err != nil {
		return op, err
	}
	req.extra = waitSlice
	_, err = c.do(ctx, req, &op)
	return op, err
}

// Operation reads an operation; with a wait, when it has finished or the wait (at most 60 s) is over.
func (c *Client) Operation(ctx context.Context, id int64, wait time.Duration) (Operation, error) {
	query := url.Values{}
	if wait > 0 {
		query.Set("wait", wait.String())
	}
	var op Operation
	_, err := c.do(ctx, call{method: http.MethodGet, path: operationPath(id), query: query, repeat: true, extra: wait}, &op)
	return op, err
}

// Operations lists the newest operations.
func (c *Client) Operations(ctx context.Context, limit int) ([]Operation, error) {
	var page struct {
		Operations []Operation `json:"operations"`
	}
	_, err := c.do(ctx, call{
		method: http.MethodGet, path: "/v1/operations", query: url.Values{"limit": {strconv.Itoa(limit)}}, repeat: true,
	}, &page)
	return page.Operations, err
}

// CancelOperation ends an operation. What it has done stays done.
func (c *Client) CancelOperation(ctx context.Context, id int64) (Operation, error) {
	var op Operation
	_, err := c.do(ctx, call{method: http.MethodPost, path: operationPath(id) + "/cancel", repeat: true}, &op)
	return op, err
}

// Rerun makes a new job like an old one, with another input if one is given. It is sent once: a second try might make
// two.
func (c *Client) Rerun(ctx context.Context, id int64, input json.RawMessage) (Job, error) {
	var job Job
	body := map[string]json.RawMessage{}
	if len(input) > 0 {
		body["input"] = input
	}
	req, err := jsonCall(http.MethodPost, jobPath(id)+"/rerun", body)
	if err != nil {
		return job, err
	}
	_, err = c.do(ctx, req, &job)
	return job, err
}

func operationPath(id int64) string { return "/v1/operations/" + strconv.FormatInt(id, 10) }
