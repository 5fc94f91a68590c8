package web

import (
	"cmp"
	"encoding/json"
	"strings"
	"time"

	"github.com/millrace-dev/millrace/jobs"
	"github.com/millrace-dev/millrace/jobs/schedules"
)

// scheduleBody is what a user says about a schedule.
type scheduleBody struct {
	Name          string             `json:"name"`
	Function      string             `json:"function"`
	Input         json.RawMessage    `json:"input"`
	Options       scheduleJobOptions `json:"options"`
	Cron          string             `json:"cron"`
	Timezone      string             `json:"timezone"`
	Overlap       schedules.Overlap  `json:"overlap"`
	CatchUp       schedules.CatchUp  `json:"catch_up"`
	CatchUpWindow duration           `json:"catch_up_window"`
	Jitter        duration           `json:"jitter"`
	Paused        bool               `json:"paused"`
}

// scheduleJobOptions are the options that a schedule's jobs may have.
type scheduleJobOptions struct {
	Queue       string   `json:"queue,omitempty"`
	Priority    int      `json:"priority,omitempty"`
	MaxAttempts int      `json:"max_attempts,omitempty"`
	Timeout     duration `json:"timeout,omitempty"`
	SoftTimeout duration `json:"soft_timeout,omitempty"`
	Tags        []string `json:"tags,omitempty"`
}

// MarshalJSON writes what UnmarshalJSON reads, such as "1h30m".
func (d duration) MarshalJSON() ([]byte, error) {
	text := time.Duration(d).String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return []byte(`"` + text + `"`), nil
}

func (b scheduleBody) spec() schedules.Spec {
	o := b.Options
	return schedules.Spec{
		Name: b.Name, Function: b.Function, Input: b.Input, Cron: b.Cron, Timezone: b.Timezone, Overlap: b.Overlap,
		CatchUp: b.CatchUp, CatchUpWindow: time.Duration(b.CatchUpWindow), Jitter: time.Duration(b.Jitter), Paused: b.Paused,
		Options: jobs.Options{
			Queue: o.Queue, Priority: o.Priority, MaxAttempts: o.MaxAttempts, Timeout: time.Duration(o.Timeout),
			SoftTimeout: time.Duration(o.SoftTimeout), Tags: o.Tags,
		},
	}
}

func bodyOfSchedule(s *schedules.Spec) scheduleBody {
	o := s.Options
	return scheduleBody{
		Name: s.Name, Function: s.Function, Input: s.Input, Cron: s.Cron, Timezone: s.Timezone, Overlap: s.Overlap,
		CatchUp: s.CatchUp, CatchUpWindow: duration(s.CatchUpWindow), Jitter: duration(s.Jitter), Paused: s.Paused,
		Options: scheduleJobOptions{
			Queue: o.Queue, Priority: o.Priority, MaxAttempts: o.MaxAttempts, Timeout: duration(o.Timeout),
			SoftTimeout: duration(o.SoftTimeout), Tags: o.Tags,
		},
	}
}

// scheduleAnswer is a schedule as it stands.
type scheduleAnswer struct {
	scheduleBody

	Owner     string     `json:"owner"` // the function whose configuration declares it
	NextTick  *time.Time `json:"next_tick"`
	LastTick  *time.Time `json:"last_tick"`
	LastJobAt *time.Time `json:"last_job_at"`
	LastJobID *int64     `json:"last_job_id,string"`
	Fired     int64      `json:"fired"`
	Skipped   int64      `json:"skipped"`
	Missed    int64      `json:"missed"`
	Error     string     `json:"error"`
	CreatedAt time.Time  `json:"created_at"`
	UpdatedAt time.Time  `json:"updated_at"`
}

// answerSchedule shows the next tick by the clock of the schedule's zone, which is what people compare it with.
func answerSchedule(s *schedules.Schedule) scheduleAnswer {
	answer := scheduleAnswer{
		scheduleBody: bodyOfSchedule(&s.Spec), Owner: s.Owner, LastJobAt: s.LastJobAt,
		Fired: s.Fired, Skipped: s.Skipped, Missed: s.Missed, Error: s.Error, CreatedAt: s.CreatedAt, UpdatedAt: s.UpdatedAt,
	}
	zone := zoneOf(s.Timezone)
	for from, to := range map[*time.Time]**time.Time{s.NextTick: &answer.NextTick, s.LastTick: &answer.LastTick} {
		if from != nil {
			local := from.In(zone)
			*to = &local
		}
	}
	if s.LastJobID > 0 {
		answer.LastJobID = &s.LastJobID
	}
	return answer
}

// ticksAnswer are times as RFC 3339 writes them, by the clock of the zone.
type ticksAnswer struct {
	Timezone string      `json:"timezone"`
	Ticks    []time.Time `json:"ticks"`
}

func answerTicks(timezone string, ticks []time.Time) ticksAnswer {
	answer := ticksAnswer{Timezone: cmp.Or(timezone, schedules.DefaultTimezone), Ticks: make([]time.Time, 0, len(ticks))}
	zone := zoneOf(answer.Timezone)
	for _, tick := range ticks {
		answer.Ticks = append(answer.Ticks, tick.In(zone))
	}
	return answer
}

// zoneOf is the zone of a schedule, which was checked when it was stored.
func zoneOf(name string) *time.Location {
	zone, err := time.LoadLocation(name)
	if err != nil {
		return time.UTC
	}
	return zone
}
