package main

import (
	"context"
	"fmt"
	"time"

	"github.com/millrace-dev/millrace/internal/apiclient"
)

type schedulesSetCmd struct {
	clientFlags
	jsonFlag
	Name     string `arg:"" help:"Name of the schedule."`
	Cron     string `arg:"" help:"When: five fields, six with seconds, @every 90s, @hourly, @daily …; quote it."`
	Function string `arg:"" help:"Name of the function."`
	Input    string `arg:"" optional:"" help:"Input as JSON, @FILE, or - for stdin. Default: null."`

	Timezone      string        `placeholder:"ZONE" help:"Time zone, such as Europe/Berlin. Default: UTC."`
	Overlap       string        `help:"While an earlier job is unfinished: queue (default), skip, replace or cancel."`
	CatchUp       string        `help:"Missed ticks: none, one (default) or all."`
	CatchUpWindow time.Duration `help:"How old a missed tick may be. Default: 1h."`
	Jitter        time.Duration `help:"Delay each tick by up to so much."`
	Paused        bool          `help:"Do not tick until it is resumed."`
	Queue         string        `help:"Queue to run in."`
	Priority      int           `help:"1 (first) to 4 (last)."`
	MaxAttempts   int           `help:"Give up after this many attempts."`
	Timeout       time.Duration `help:"Time limit of one attempt, such as 30s."`
	Tag           []string      `placeholder:"TAG" help:"Tag of the jobs; may be repeated."`
}

// Run is called by kong.
func (c *schedulesSetCmd) Run(ctx context.Context, out *streams) error {
	input, err := readJSON(c.Input, out.in)
	if err != nil {
		return err
	}
	spec := apiclient.ScheduleSpec{
		Name: c.Name, Function: c.Function, Input: input, Cron: c.Cron, Timezone: c.Timezone, Overlap: c.Overlap,
		CatchUp: c.CatchUp, CatchUpWindow: durationText(c.CatchUpWindow), Jitter: durationText(c.Jitter), Paused: c.Paused,
		Options: apiclient.ScheduleOptions{
			Queue: c.Queue, Priority: c.Priority, MaxAttempts: c.MaxAttempts, Timeout: durationText(c.Timeout), Tags: c.Tag,
		},
	}
	return c.with(func(client *apiclient.Client) error {
		s, err := client.PutSchedule(ctx, spec)
		if err != nil {
			return fmt.Errorf("set schedule %s: %w", c.Name, err)
		}
		if c.JSON {
			return out.printJSON(s)
		}
		return out.printf("%s  %s  %s", s.Name, s.Function, nextTick(s, time.Now()))
	})
}

// durationText is empty for what was not given.
func durationText(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return d.String()
}
