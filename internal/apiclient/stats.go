package apiclient

import (
	"context"
	"encoding/json"
	"net/http"
	"time"
)

// Stats is the state of the whole installation. A count that reached CountLimit means "at least so many".
type Stats struct {
	States     map[State]int `json:"states"`
	Queues     []QueueStats  `json:"queues"`
	Nodes      []Node        `json:"nodes"`
	CountLimit int           `json:"count_limit"`
}

// QueueStats counts the unfinished jobs of one queue.
type QueueStats struct {
	Name    string `json:"name"`
	Queued  int    `json:"queued"`
	Running int    `json:"running"`
}

// Node is one running instance of the server.
type Node struct {
	ID          string          `json:"id"`
	Name        string          `json:"name"`
	StartedAt   time.Time       `json:"started_at"`
	HeartbeatAt time.Time       `json:"heartbeat_at"`
	Draining    bool            `json:"draining"`
	Alive       bool            `json:"alive"` // heard from within the last 10 s
	Info        json.RawMessage `json:"info"`
}

// Stats reads counts and nodes.
func (c *Client) Stats(ctx context.Context) (Stats, error) {
	var stats Stats
	_, err := c.do(ctx, call{method: http.MethodGet, path: "/v1/stats", repeat: true}, &stats)
	return stats, err
}

// Nodes lists the instances that share the database.
func (c *Client) Nodes(ctx context.Context) ([]Node, error) {
	var page struct {
		Nodes []Node `json:"nodes"`
	}
	_, err := c.do(ctx, call{method: http.MethodGet, path: "/v1/nodes", repeat: true}, &page)
	return page.Nodes, err
}

// WaitReady returns once the server says that work can be done, or when ctx ends with the last reason why not.
func (c *Client) WaitReady(ctx context.Context) error {
	const pause = 50 * time.Millisecond
	var last error
	for ctx.Err() == nil {
		_, err := c.once(ctx, call{method: http.MethodGet, path: "/readyz"}, nil)
		if err == nil {
			return nil
		}
		if ctx.Err() == nil {
			last = err
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
	if last == nil {
		last = ctx.Err()
	}
	return last
}
