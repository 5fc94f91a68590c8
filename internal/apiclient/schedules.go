package apiclient

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// ScheduleSpec is what a user says about a schedule. Durations are texts such as "30s"; empty fields mean the defaults.
type ScheduleSpec struct {
	Name          string          `json:"name"`
	Function      string          `json:"function"`
	Input         json.RawMessage `json:"input,omitempty"`
	Options       ScheduleOptions `json:"options,omitzero"`
	Cron          string          `json:"cron"`
	Timezone      string          `json:"timezone,omitempty"`
	Overlap       string          `json:"overlap,omitempty"`
	CatchUp       string          `json:"catch_up,omitempty"`
	CatchUpWindow string          `json:"catch_up_window,omitempty"`
	Jitter        string          `json:"jitter,omitempty"`
	Paused        bool            `json:"paused,omitempty"`
}

// ScheduleOptions are the options of a schedule's jobs.
type ScheduleOptions struct {
	Queue       string   `json:"queue,omitempty"`
	Priority    int      `json:"priority,omitempty"`
	MaxAttempts int      `json:"max_attempts,omitempty"`
	Timeout     string   `json:"timeout,omitempty"`
	SoftTimeout string   `json:"soft_timeout,omitempty"`
	Tags        []string `json:"tags,omitempty"`
}

// Schedule is a schedule as it stands.
type Schedule struct {
	ScheduleSpec

	Owner     string     `json:"owner"` // the function whose configuration declares it
	NextTick  *time.Time `json:"next_tick"`
	LastTick  *time.Time `json:"last_tick"`
	LastJobAt *time.Time `json:"last_job_at"`
	LastJobID *int64     `json:"last_job_id,string"`
	Fired     int64      `json:"fired"`
	Skipped   int64      `json:"skipped"`
	Missed    int64      `json:"missed"`
	Error     string     `json:"error"` // why the last tick could not be fired
	CreatedAt time.Time  `json:"created_at"`
	UpdatedAt time.Time  `json:"updated_at"`
}

// Ticks are when a schedule ticks next.
type Ticks struct {
	Timezone string      `json:"timezone"`
	Ticks    []time.Time `json:"ticks"`
}

// Schedules lists all schedules, of one function if that is not empty, by name.
func (c *Client) Schedules(ctx context.Context, function string) ([]Schedule, error) {
	query := url.Values{"limit": {"500"}}
	if function != "" {
		query.Set("function", function)
	}
	var all []Schedule
	for {
		var page struct {
			Schedules []Schedule `json:"schedules"`
			Next      string     `json:"next"`
		}
		if _, err := c.do(ctx, call{method: http.MethodGet, path: "/v1/schedules", query: query, repeat: true}, &page); err != nil {
			return nil, err
		}
		all = append(all, page.Schedules...)
		if page.Next == "" {
			return all, nil
		}
		query.Set("cursor", page.Next)
	}
}

// Schedule reads one.
func (c *Client) Schedule(ctx context.Context, name string) (Schedule, error) {
	var schedule Schedule
	_, err := c.do(ctx, call{method: http.MethodGet, path: schedulePath(name), repeat: true}, &schedule)
	return schedule, err
}

// PutSchedule makes a schedule, or changes all of it.
func (c *Client) PutSchedule(ctx context.Context, spec ScheduleSpec) (Schedule, error) {
	var schedule Schedule
	req, err := jsonCall(http.MethodPut, schedulePath(spec.Name), spec)
	if err != nil {
		return schedule, err
	}
	req.repeat = true
	_, err = c.do(ctx, req, &schedule)
	return schedule, err
}

// DeleteSchedule removes one.
func (c *Client) DeleteSchedule(ctx context.Context, name string) error {
	_, err := c.do(ctx, call{method: http.MethodDelete, path: schedulePath(name)}, nil)
	return err
}

// PauseSchedule keeps a schedule from ticking.
func (c *Client) PauseSchedule(ctx context.Context, name string) (Schedule, error) {
	return c.actOnSchedule(ctx, name, "pause")
}

// ResumeSchedule lets a paused schedule tick again.
func (c *Client) ResumeSchedule(ctx context.Context, name string) (Schedule, error) {
	return c.actOnSchedule(ctx, name, "resume")
}

func (c *Client) actOnSchedule(ctx context.Context, name, verb string) (Schedule, error) {
	var schedule Schedule
	_, err := c.do(ctx, call{method: http.MethodPost, path: schedulePath(name) + "/" + verb, repeat: true}, &schedule)
	return schedule, err
}

// RunSchedule runs a schedule's job now. It is sent once: a second try might run a second one.
func (c *Client) RunSchedule(ctx context.Context, name string) (Job, error) {
	var job Job
	_, err := c.do(ctx, call{method: http.MethodPost, path: schedulePath(name) + "/run"}, &job)
	return job, err
}

// Ticks tells a schedule's next ticks.
func (c *Client) Ticks(ctx context.Context, name string, count int) (Ticks, error) {
	var ticks Ticks
	_, err := c.do(ctx, call{
		method: http.MethodGet, path: schedulePath(name) + "/ticks", query: url.Values{"count": {strconv.Itoa(count)}}, repeat: true,
	}, &ticks)
	return ticks, err
}

// PreviewTicks tells the next ticks of an expression.
func (c *Client) PreviewTicks(ctx context.Context, cron, timezone string, count int) (Ticks, error) {
	var ticks Ticks
	req, err := jsonCall(http.MethodPost, "/v1/schedules/preview", map[string]any{"cron": cron, "timezone": timezone, "count": count})
	if err != nil {
		return ticks, err
	}
	req.repeat = true
	_, err = c.do(ctx, req, &ticks)
	return ticks, err
}

func schedulePath(name string) string { return "/v1/schedules/" + url.PathEscape(name) }
