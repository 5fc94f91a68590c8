package apiclient

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// waitSlice is how long one request of Wait asks the server to hold the answer: under the idle limits of
// common proxies (60 s).
const waitSlice = 30 * time.Second

// Submit starts a function with this input (JSON; null when empty) and returns the queued job.
func (c *Client) Submit(ctx context.Context, function string, input json.RawMessage, options Options) (Job, error) {
	return c.submit(ctx, function, input, options, 0)
}

// SubmitAndWait is Submit, answered with the finished job when it is done within wait (at most 60 s),
// else with the job as it then stands.
func (c *Client) SubmitAndWait(ctx context.Context, function string, input json.RawMessage, options Options, wait time.Duration) (Job, error) {
	return c.submit(ctx, function, input, options, wait)
}

func (c *Client) submit(ctx context.Context, function string, input json.RawMessage, options Options, wait time.Duration) (Job, error) {
	if len(input) == 0 {
		input = json.RawMessage("null")
	}
	if options.IdempotencyKey == "" {
		options.IdempotencyKey = rand.Text()
	}
	query := options.query()
	if wait > 0 {
		query.Set("wait", wait.String())
	}
	header := jsonHeader()
	header.Set("Idempotency-Key", options.IdempotencyKey)
	var job Job
	_, err := c.do(ctx, call{
		method: http.MethodPost,
		path:   "/v1/functions/" + url.PathEscape(function) + "/jobs",
		query:  query,
		header: header,
		body:   input,
		repeat: true,
		extra:  wait,
	}, &job)
	return job, err
}

// query puts the options where POST /v1/functions/{name}/jobs reads them. The idempotency key goes in its header.
func (o Options) query() url.Values {
	query := url.Values{}
	set := func(name, value string, given bool) {
		if given {
			query.Set(name, value)
		}
	}
	set("queue", o.Queue, o.Queue != "")
	set("priority", strconv.Itoa(o.Priority), o.Priority != 0)
	set("max_attempts", strconv.Itoa(o.MaxAttempts), o.MaxAttempts != 0)
	set("timeout", o.Timeout.String(), o.Timeout != 0)
	set("soft_timeout", o.SoftTimeout.String(), o.SoftTimeout != 0)
	set("run_at", o.RunAt.Format(time.RFC3339Nano), !o.RunAt.IsZero())
	set("delay", o.Delay.String(), o.Delay != 0)
	set("tags", strings.Join(o.Tags, ","), len(o.Tags) > 0)
	return query
}

// Job reads one job.
func (c *Client) Job(ctx context.Context, id int64) (Job, error) {
	var job Job
	_, err := c.do(ctx, call{method: http.MethodGet, path: jobPath(id), repeat: true}, &job)
	return job, err
}

// Wait returns the job once it has finished, however long that takes; ctx bounds it. On an error the job
// is the last one seen.
func (c *Client) Wait(ctx context.Context, id int64) (Job, error) {
	var last Job
	for {
		var job Job
		_, err := c.do(ctx, call{
			method: http.MethodGet,
			path:   jobPath(id),
			query:  url.Values{"wait": {waitSlice.String()}},
			repeat: true,
			extra:  waitSlice,
		}, &job)
		if err != nil {
			return last, err
		}
		if job.State.Finished() {
			return job, nil
		}
		last = job
	}
}

// Result waits until the job has finished and returns its output alone, without the input that Wait would carry
// along. A job that failed or was cancelled is a *JobError.
func (c *Client) Result(ctx context.Context, id int64) (json.RawMessage, error) {
	for {
		var output json.RawMessage
		status, err := c.do(ctx, call{
			method: http.MethodGet,
			path:   jobPath(id) + "/result",
			query:  url.Values{"wait": {waitSlice.String()}},
			repeat: true,
			extra:  waitSlice,
		}, &output)
		switch {
		case HasStatus(err, http.StatusConflict):
			return nil, c.jobError(ctx, id)
		case err != nil:
			return nil, err
		case status == http.StatusOK:
			return output, nil
		}
	}
}

// jobError reads why a job has no result.
func (c *Client) jobError(ctx context.Context, id int64) error {
	job, err := c.Job(ctx, id)
	if err != nil {
		return err
	}
	return &JobError{Job: job}
}

// JobError is a job that finished without a result. It unwraps to the job's *Failure.
type JobError struct{ Job Job }

// Error says the state and, when there is one, the failure.
func (e *JobError) Error() string {
	text := fmt.Sprintf("job %d of %s %s", e.Job.ID, e.Job.Function, e.Job.State)
	if e.Job.Error != nil {
		text += ": " + e.Job.Error.Error()
	}
	return text
}

// Unwrap returns the failure, nil for a job that was cancelled before it failed.
func (e *JobError) Unwrap() error {
	if e.Job.Error == nil {
		return nil
	}
	return e.Job.Error
}

// ListQuery filters jobs; zero fields do not.
type ListQuery struct {
	Function string
	State    State
	Queue    string
	Tag      string
	Schedule string
	Key      string // that the function's limits count by
	Error    string // a text within the last failure

	CreatedAfter, CreatedBefore time.Time

	Limit  int    // jobs a page; the server's default when 0
	Cursor string // Page.Next of the page before
}

// Page of jobs, newest first. With filters it may hold fewer jobs than asked for, even none, while Next is set.
type Page struct {
	Jobs []Job  `json:"jobs"`
	Next string `json:"next"` // empty on the last page
}

// Jobs lists one page.
func (c *Client) Jobs(ctx context.Context, q ListQuery) (Page, error) {
	query := url.Values{}
	for name, value := range map[string]string{
		"function": q.Function, "state": string(q.State), "queue": q.Queue, "tag": q.Tag, "schedule": q.Schedule, "cursor": q.Cursor,
		"key": q.Key, "error": q.Error,
	} {
		if value != "" {
			query.Set(name, value)
		}
	}
	for name, at := range map[string]time.Time{"created_after": q.CreatedAfter, "created_before": q.CreatedBefore} {
		if !at.IsZero() {
			query.Set(name, at.UTC().Format(time.RFC3339Nano))
		}
	}
	if q.Limit > 0 {
		query.Set("limit", strconv.Itoa(q.Limit))
	}
	var page Page
	_, err := c.do(ctx, call{method: http.MethodGet, path: "/v1/jobs", query: query, repeat: true}, &page)
	return page, err
}

// Logs reads lines of a job, oldest first, after the line with this number (0: from the beginning).
func (c *Client) Logs(ctx context.Context, id, after int64, limit int) ([]LogLine, error) {
	query := url.Values{}
	if after > 0 {
		query.Set("after", strconv.FormatInt(after, 10))
	}
	if limit > 0 {
		query.Set("limit", strconv.Itoa(limit))
	}
	var page struct {
		Lines []LogLine `json:"lines"`
	}
	_, err := c.do(ctx, call{method: http.MethodGet, path: jobPath(id) + "/logs", query: query, repeat: true}, &page)
	return page.Lines, err
}

// Cancel stops a job that has not finished. A *Problem with status 409 says that it has.
func (c *Client) Cancel(ctx context.Context, id int64) (Job, error) { return c.act(ctx, id, "cancel") }

// Retry starts a finished job again. A *Problem with status 409 says that it has not finished.
func (c *Client) Retry(ctx context.Context, id int64) (Job, error) { return c.act(ctx, id, "retry") }

// act is sent once: after a cut connection a repeated cancel or retry would report a conflict with itself.
func (c *Client) act(ctx context.Context, id int64, action string) (Job, error) {
	var job Job
	_, err := c.do(ctx, call{method: http.MethodPost, path: jobPath(id) + "/" + action}, &job)
	return job, err
}

func jobPath(id int64) string { return "/v1/jobs/" + strconv.FormatInt(id, 10) }
