package apiclient

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// Queue is a queue as all instances see it.
type Queue struct {
	Name     string     `json:"name"`
	Queued   int        `json:"queued"`  // up to the server's limit of counting
	Running  int        `json:"running"` // the same
	PausedAt *time.Time `json:"paused_at"`
}

// Queues lists the queues by name.
func (c *Client) Queues(ctx context.Context) ([]Queue, error) {
	var page struct {
		Queues []Queue `json:"queues"`
	}
	_, err := c.do(ctx, call{method: http.MethodGet, path: "/v1/queues", repeat: true}, &page)
	return page.Queues, err
}

// PauseQueue keeps the jobs of a queue from starting.
func (c *Client) PauseQueue(ctx context.Context, name string) (Queue, error) {
	var queue Queue
	_, err := c.do(ctx, call{method: http.MethodPost, path: queuePath(name) + "/pause", repeat: true}, &queue)
	return queue, err
}

// ResumeQueue lets them start again.
func (c *Client) ResumeQueue(ctx context.Context, name string) (Queue, error) {
	var queue Queue
	_, err := c.do(ctx, call{method: http.MethodPost, path: queuePath(name) + "/resume", repeat: true}, &queue)
	return queue, err
}

// PauseFunction keeps the jobs of a function from starting. It returns since when they are.
func (c *Client) PauseFunction(ctx context.Context, name string) (time.Time, error) {
	var answer struct {
		PausedAt time.Time `json:"paused_at"`
	}
	_, err := c.do(ctx, call{method: http.MethodPost, path: functionPath(name) + "/pause", repeat: true}, &answer)
	return answer.PausedAt, err
}

// ResumeFunction lets them start again.
func (c *Client) ResumeFunction(ctx context.Context, name string) error {
	_, err := c.do(ctx, call{method: http.MethodPost, path: functionPath(name) + "/resume", repeat: true}, nil)
	return err
}

func queuePath(name string) string { return "/v1/queues/" + url.PathEscape(name) }
