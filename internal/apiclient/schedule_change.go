package apiclient

import (
	"context"
	"encoding/json"
	"net/http"
)

// ScheduleChange names what a schedule is to have from now on; what is nil stays as it is, or is the default of a new
// one. Durations are texts such as "30s"; an empty text, a zero and an empty list go back to the default.
type ScheduleChange struct {
	Function      *string               `json:"function,omitempty"`
	Input         json.RawMessage       `json:"input,omitempty"`
	Options       ScheduleOptionsChange `json:"options,omitzero"`
	Cron          *string               `json:"cron,omitempty"`
	Timezone      *string               `json:"timezone,omitempty"`
	Overlap       *string               `json:"overlap,omitempty"`
	CatchUp       *string               `json:"catch_up,omitempty"`
	CatchUpWindow *string               `json:"catch_up_window,omitempty"`
	Jitter        *string               `json:"jitter,omitempty"`
	Paused        *bool                 `json:"paused,omitempty"`
}

// ScheduleOptionsChange names what the schedule's jobs are to have from now on.
type ScheduleOptionsChange struct {
	Queue       *string   `json:"queue,omitempty"`
	Priority    *int      `json:"priority,omitempty"`
	MaxAttempts *int      `json:"max_attempts,omitempty"`
	Timeout     *string   `json:"timeout,omitempty"`
	SoftTimeout *string   `json:"soft_timeout,omitempty"`
	Tags        *[]string `json:"tags,omitempty"`
}

// ChangeSchedule changes what change names, and leaves the rest, a pause among it, alone. A *Problem with status 404
// says that there is no such schedule.
func (c *Client) ChangeSchedule(ctx context.Context, name string, change ScheduleChange) (Schedule, error) {
	var schedule Schedule
	req, err := jsonCall(http.MethodPatch, schedulePath(name), change)
	if err != nil {
		return schedule, err
	}
	req.repeat = true // the second one changes nothing more
	_, err = c.do(ctx, req, &schedule)
	return schedule, err
}

// CreateSchedule makes a schedule, which needs a function and a cron expression. A *Problem with code schedule_exists
// says that there is one of the name. It is sent once: a second try would find the first one's.
func (c *Client) CreateSchedule(ctx context.Context, name string, with ScheduleChange) (Schedule, error) {
	var schedule Schedule
	err := c.post(ctx, "/v1/schedules", struct {
		Name string `json:"name"`
		ScheduleChange
	}{name, with}, &schedule)
	return schedule, err
}
