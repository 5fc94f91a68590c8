package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/millrace-dev/millrace/internal/apiclient"
)

// schedulesCmd groups what can be done with schedules.
type schedulesCmd struct {
	List    schedulesListCmd    `cmd:"" help:"List schedules."`
	Get     schedulesGetCmd     `cmd:"" help:"Show a schedule and its next ticks."`
	Set     schedulesSetCmd     `cmd:"" help:"Make a schedule, or change what is named of one."`
	Delete  schedulesDeleteCmd  `cmd:"" help:"Remove schedules; their jobs stay."`
	Pause   schedulesPauseCmd   `cmd:"" help:"Keep schedules from ticking."`
	Resume  schedulesResumeCmd  `cmd:"" help:"Let paused schedules tick again, from now on."`
	Run     schedulesRunCmd     `cmd:"" help:"Run a schedule's job now, beside its ticks."`
	Ticks   schedulesTicksCmd   `cmd:"" help:"Show when a schedule ticks next."`
	Preview schedulesPreviewCmd `cmd:"" help:"Show when a cron expression ticks."`
}

type schedulesListCmd struct {
	clientFlags
	jsonFlag
	Function string `placeholder:"NAME" help:"Schedules of this function alone."`
}

// Run is called by kong.
func (l *schedulesListCmd) Run(ctx context.Context, out *streams) error {
	return l.with(func(client *apiclient.Client) error {
		list, err := client.Schedules(ctx, l.Function)
		if err != nil {
			return fmt.Errorf("list schedules: %w", err)
		}
		if l.JSON {
			for _, s := range list {
				if err := out.printJSON(s); err != nil {
					return err
				}
			}
			return nil
		}
		if len(list) == 0 {
			out.sayf("No schedules. Make one with: millrace schedules set NAME \"*/5 * * * *\" FUNCTION")
			return nil
		}
		now := time.Now()
		t := out.table("SCHEDULE", "FUNCTION", "CRON", "TIME ZONE", "NEXT", "LAST JOB", "FIRED", "SKIPPED", "MISSED", "ERROR")
		for _, s := range list {
			t.row(s.Name, s.Function, s.Cron, s.Timezone, nextTick(s, now), lastJob(s, now),
				fmt.Sprint(s.Fired), fmt.Sprint(s.Skipped), fmt.Sprint(s.Missed), dash(shorten(s.Error, 60)))
		}
		return t.flush()
	})
}

func nextTick(s apiclient.Schedule, now time.Time) string {
	switch {
	case s.Paused:
		return "paused"
	case s.NextTick == nil:
		return "never"
	default:
		return ago(*s.NextTick, now)
	}
}

func lastJob(s apiclient.Schedule, now time.Time) string {
	if s.LastJobID == nil || s.LastJobAt == nil {
		return "-"
	}
	return fmt.Sprintf("%d, %s", *s.LastJobID, ago(*s.LastJobAt, now))
}

type schedulesGetCmd struct {
	clientFlags
	jsonFlag
	Name string `arg:"" help:"Name of the schedule."`
}

// Run is called by kong.
func (g *schedulesGetCmd) Run(ctx context.Context, out *streams) error {
	return g.with(func(client *apiclient.Client) error {
		s, err := client.Schedule(ctx, g.Name)
		if err != nil {
			return fmt.Errorf("read schedule %s: %w", g.Name, err)
		}
		if g.JSON {
			return out.printJSON(s)
		}
		const shown = 5
		ticks, err := client.Ticks(ctx, g.Name, shown)
		if err != nil {
			return fmt.Errorf("read the ticks of schedule %s: %w", g.Name, err)
		}
		return printSchedule(out, s, ticks, time.Now())
	})
}

func printSchedule(out *streams, s apiclient.Schedule, ticks apiclient.Ticks, now time.Time) error {
	const valueWidth = 400
	t := &table{writer: newTabWriter(out.out)}
	for _, row := range [][2]string{
		{"schedule", s.Name},
		{"function", s.Function},
		{"cron", s.Cron + ", " + s.Timezone},
		{"input", shorten(string(s.Input), valueWidth)},
		{"overlap", s.Overlap},
		{"catch up", s.CatchUp + ", within " + s.CatchUpWindow},
		{"jitter", s.Jitter},
		{"declared by", s.Owner},
		{"next", nextTick(s, now)},
		{"last job", lastJob(s, now)},
		{"ticks", fmt.Sprintf("%d fired, %d skipped, %d missed", s.Fired, s.Skipped, s.Missed)},
		{"error", s.Error},
	} {
		t.row(row[0], dash(row[1]))
	}
	if err := t.flush(); err != nil {
		return err
	}
	return printTicks(out, ticks)
}

type schedulesDeleteCmd struct {
	clientFlags
	Names []string `arg:"" name:"name" help:"Names of the schedules."`
}

// Run is called by kong.
func (d *schedulesDeleteCmd) Run(ctx context.Context, out *streams) error {
	return d.with(func(client *apiclient.Client) error {
		return eachSchedule(d.Names, "delete", func(name string) error {
			if err := client.DeleteSchedule(ctx, name); err != nil {
				return err
			}
			out.sayf("Schedule %s is deleted.", clean(name))
			return nil
		})
	})
}

type schedulesPauseCmd struct {
	clientFlags
	jsonFlag
	Names []string `arg:"" name:"name" help:"Names of the schedules."`
}

// Run is called by kong.
func (p *schedulesPauseCmd) Run(ctx context.Context, out *streams) error {
	return p.with(func(client *apiclient.Client) error {
		return eachSchedule(p.Names, "pause", func(name string) error {
			return showAfter(out, p.JSON)(client.PauseSchedule(ctx, name))
		})
	})
}

type schedulesResumeCmd struct {
	clientFlags
	jsonFlag
	Names []string `arg:"" name:"name" help:"Names of the schedules."`
}

// Run is called by kong.
func (r *schedulesResumeCmd) Run(ctx context.Context, out *streams) error {
	return r.with(func(client *apiclient.Client) error {
		return eachSchedule(r.Names, "resume", func(name string) error {
			return showAfter(out, r.JSON)(client.ResumeSchedule(ctx, name))
		})
	})
}

// eachSchedule goes on after a refusal.
func eachSchedule(names []string, verb string, act func(name string) error) error {
	var failures []error
	for _, name := range names {
		err := act(name)
		if err == nil {
			continue
		}
		err = fmt.Errorf("%s schedule %s: %w", verb, name, err)
		if !apiclient.IsProblem(err) {
			return err
		}
		failures = append(failures, err)
	}
	return errors.Join(failures...)
}

// showAfter prints a schedule that was changed.
func showAfter(out *streams, asJSON bool) func(apiclient.Schedule, error) error {
	return func(s apiclient.Schedule, err error) error {
		switch {
		case err != nil:
			return err
		case asJSON:
			return out.printJSON(s)
		default:
			return out.printf("%s  %s", s.Name, nextTick(s, time.Now()))
		}
	}
}

type schedulesRunCmd struct {
	clientFlags
	jsonFlag
	Name string `arg:"" help:"Name of the schedule."`
}

// Run is called by kong.
func (r *schedulesRunCmd) Run(ctx context.Context, out *streams) error {
	return r.with(func(client *apiclient.Client) error {
		job, err := client.RunSchedule(ctx, r.Name)
		if err != nil {
			return fmt.Errorf("run schedule %s: %w", r.Name, err)
		}
		if r.JSON {
			return out.printJSON(job)
		}
		return out.printf("%d", job.ID)
	})
}
