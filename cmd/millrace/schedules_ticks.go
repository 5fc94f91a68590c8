package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/millrace-dev/millrace/internal/apiclient"
)

type schedulesTicksCmd struct {
	clientFlags
	jsonFlag
	Name  string `arg:"" help:"Name of the schedule."`
	Count int    `short:"n" default:"10" placeholder:"N" help:"How many ticks, 1 to 100. Default: ${default}."`
}

// Run is called by kong.
func (t *schedulesTicksCmd) Run(ctx context.Context, out *streams) error {
	return t.with(func(client *apiclient.Client) error {
		ticks, err := client.Ticks(ctx, t.Name, t.Count)
		if err != nil {
			return fmt.Errorf("read the ticks of schedule %s: %w", t.Name, err)
		}
		switch {
		case t.JSON:
			return out.printJSON(ticks)
		case len(ticks.Ticks) == 0:
			out.sayf("%s does not tick: it is paused, or its time is over. See `millrace schedules get %s`.", clean(t.Name), shell(t.Name))
			return nil
		default:
			return printTicks(out, ticks)
		}
	})
}

type schedulesPreviewCmd struct {
	clientFlags
	jsonFlag
	Cron     []string `arg:"" help:"Cron expression, quoted or not."`
	Timezone string   `placeholder:"ZONE" default:"UTC" help:"Time zone, such as Europe/Berlin. Default: ${default}."`
	Count    int      `short:"n" default:"10" placeholder:"N" help:"How many ticks, 1 to 100. Default: ${default}."`
}

// Run is called by kong.
func (p *schedulesPreviewCmd) Run(ctx context.Context, out *streams) error {
	return p.with(func(client *apiclient.Client) error {
		ticks, err := client.PreviewTicks(ctx, strings.Join(p.Cron, " "), p.Timezone, p.Count)
		if err != nil {
			return fmt.Errorf("preview: %w", err)
		}
		if p.JSON {
			return out.printJSON(ticks)
		}
		return printTicks(out, ticks)
	})
}

func printTicks(out *streams, ticks apiclient.Ticks) error {
	for _, tick := range ticks.Ticks {
		if err := out.printf("%s", tick.Format("Mon 2006-01-02 15:04:05 -0700")); err != nil {
			return err
		}
	}
	return nil
}
