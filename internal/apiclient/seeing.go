package apiclient

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// FunctionStats are the numbers of a function's attempts that ended within a time.
type FunctionStats struct {
	Function string `json:"function"`
	FunctionNumbers
	Points []FunctionPoint `json:"points,omitempty"`
}

// FunctionPoint is one step of it.
type FunctionPoint struct {
	At time.Time `json:"at"`
	FunctionNumbers
}

// FunctionNumbers count attempts; times are in milliseconds, off by 9 % at most.
type FunctionNumbers struct {
	Attempts  int64     `json:"attempts"`
	Completed int64     `json:"completed"`
	Failed    int64     `json:"failed"`
	Dead      int64     `json:"dead"` // of the failed ones, those that ended their job
	Cancelled int64     `json:"cancelled"`
	PerMinute float64   `json:"per_minute"`
	Wait      Quantiles `json:"wait_ms"`
	Run       Quantiles `json:"run_ms"`
}

// Quantiles of a duration.
type Quantiles struct {
	P50 float64 `json:"p50"`
	P95 float64 `json:"p95"`
}

// FunctionStats reads statistics, the busiest function first: of one function or, when it is empty, of all; since
// from, in points of step. Zero values leave the choice to the server.
func (c *Client) FunctionStats(ctx context.Context, function string, from time.Time, step time.Duration) ([]FunctionStats, error) {
	query := url.Values{}
	if function != "" {
		query.Set("function", function)
	}
	if !from.IsZero() {
		query.Set("from", from.UTC().Format(time.RFC3339))
	}
	if step != 0 {
		query.Set("step", step.String())
	}
	var report struct {
		Functions []FunctionStats `json:"functions"`
	}
	_, err := c.do(ctx, call{method: http.MethodGet, path: "/v1/stats/functions", query: query, repeat: true}, &report)
	return report.Functions, err
}

// FailureGroup is all failed attempts of one kind.
type FailureGroup struct {
	ID        string     `json:"id"`
	Function  string     `json:"function"`
	Code      string     `json:"code"`
	Pattern   string     `json:"pattern"`
	Frame     string     `json:"frame"`
	Message   string     `json:"message"`
	State     string     `json:"state"` // open, resolved or ignored
	Count     int64      `json:"count"`
	FirstSeen time.Time  `json:"first_seen"`
	LastSeen  time.Time  `json:"last_seen"`
	ChangedAt *time.Time `json:"changed_at"`
	Jobs      []string   `json:"jobs"` // the last ten
}

// Failures lists one page of failure groups, those that failed last first.
func (c *Client) Failures(ctx context.Context, function, state, cursor string, limit int) (groups []FailureGroup, next string, err error) {
	query := url.Values{}
	for name, value := range map[string]string{"function": function, "state": state, "cursor": cursor} {
		if value != "" {
			query.Set(name, value)
		}
	}
	if limit > 0 {
		query.Set("limit", strconv.Itoa(limit))
	}
	var page struct {
		Failures []FailureGroup `json:"failures"`
		Next     string         `json:"next"`
	}
	_, err = c.do(ctx, call{method: http.MethodGet, path: "/v1/failures", query: query, repeat: true}, &page)
	return page.Failures, page.Next, err
}

// Failure reads one failure group.
func (c *Client) Failure(ctx context.Context, id string) (FailureGroup, error) {
	var group FailureGroup
	_, err := c.do(ctx, call{method: http.MethodGet, path: "/v1/failures/" + url.PathEscape(id), repeat: true}, &group)
	return group, err
}

// SetFailure resolves, ignores or reopens a failure group; action is that verb.
func (c *Client) SetFailure(ctx context.Context, id, action string) (FailureGroup, error) {
	var group FailureGroup
	_, err := c.do(ctx, call{method: http.MethodPost, path: "/v1/failures/" + url.PathEscape(id) + "/" + action, repeat: true}, &group)
	return group, err
}
