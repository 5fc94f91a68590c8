package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/millrace-dev/millrace/internal/apiclient"
)

type schedulesSetCmd struct {
	clientFlags
	jsonFlag
	Name     string  `arg:"" help:"Name of the schedule."`
	Cron     *string `arg:"" optional:"" help:"When: five fields, six with seconds, @every 90s, @hourly, @daily …; quote it."`
	Function *string `arg:"" optional:"" help:"Name of the function."`
	Input    *string `arg:"" optional:"" help:"Input as JSON, @FILE, or - for stdin. Default: null."`

	Timezone      *string        `placeholder:"ZONE" help:"Time zone, such as Europe/Berlin. Default: UTC."`
	Overlap       *string        `placeholder:"POLICY" help:"While an earlier job is unfinished: queue (default), skip, replace or cancel."`
	CatchUp       *string        `placeholder:"POLICY" help:"Missed ticks: none, one (default) or all."`
	CatchUpWindow *time.Duration `placeholder:"TIME" help:"How old a missed tick may be. Default: 1h."`
	Jitter        *time.Duration `placeholder:"TIME" help:"Delay each tick by up to so much."`
	Paused        *bool          `negatable:"" help:"Whether it ticks; not said, a pause is left alone."`
	Queue         *string        `placeholder:"NAME" help:"Queue to run in."`
	Priority      *int           `placeholder:"N" help:"1 (first) to 4 (last)."`
	MaxAttempts   *int           `placeholder:"N" help:"Give up after this many attempts."`
	Timeout       *time.Duration `placeholder:"TIME" help:"Time limit of one attempt, such as 30s."`
	SoftTimeout   *time.Duration `placeholder:"TIME" help:"When the function is told that its time limit comes; shorter than it."`
	Tag           []string       `placeholder:"TAG" xor:"tags" help:"Tag of the jobs, instead of those they had; may be repeated."`
	NoTags        bool           `xor:"tags" help:"Leave the jobs without tags."`
}

// Help is shown under the usage.
func (c *schedulesSetCmd) Help() string {
	return `A new schedule needs its cron and its function. Of one that is there only what you name changes:

  millrace schedules set nightly "0 3 * * *" reports.daily '{"region": "eu"}'
  millrace schedules set nightly --timezone Europe/Berlin`
}

// Run is called by kong.
func (c *schedulesSetCmd) Run(ctx context.Context, out *streams) error {
	change, err := c.change(out)
	if err != nil {
		return err
	}
	return c.with(func(client *apiclient.Client) error {
		s, err := client.ChangeSchedule(ctx, c.Name, change)
		if apiclient.HasStatus(err, http.StatusNotFound) && apiclient.HasCode(err, "not_found") {
			if c.Cron == nil || c.Function == nil {
				return usagef("there is no schedule %s; to make it, give its cron and its function: millrace schedules set %s \"0 3 * * *\" FUNCTION", c.Name, shell(c.Name))
			}
			s, err = client.CreateSchedule(ctx, c.Name, change)
		}
		if err != nil {
			return fmt.Errorf("set schedule %s: %w", c.Name, err)
		}
		if c.JSON {
			return out.printJSON(s)
		}
		return out.printf("%s  %s  %s  %s", s.Name, s.Cron, s.Function, nextTick(s, time.Now()))
	})
}

// change is what was named.
func (c *schedulesSetCmd) change(out *streams) (apiclient.ScheduleChange, error) {
	change := apiclient.ScheduleChange{
		Function: c.Function, Cron: c.Cron, Timezone: c.Timezone, Overlap: c.Overlap, CatchUp: c.CatchUp,
		CatchUpWindow: durationText(c.CatchUpWindow), Jitter: durationText(c.Jitter), Paused: c.Paused,
		Options: apiclient.ScheduleOptionsChange{
			Queue: c.Queue, Priority: c.Priority, MaxAttempts: c.MaxAttempts, Timeout: durationText(c.Timeout),
			SoftTimeout: durationText(c.SoftTimeout), Tags: c.tags(),
		},
	}
	if c.Input != nil {
		input, err := readJSON(*c.Input, out.in)
		if err != nil {
			return change, err
		}
		change.Input = input
	}
	return change, nil
}

// tags is nil when nothing was said of them.
func (c *schedulesSetCmd) tags() *[]string {
	switch {
	case c.NoTags:
		return &[]string{}
	case c.Tag == nil:
		return nil
	default:
		return &c.Tag
	}
}

// durationText is nil for what was not given.
func durationText(d *time.Duration) *string {
	if d == nil {
		return nil
	}
	text := d.String()
	return &text
}
