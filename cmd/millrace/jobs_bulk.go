package main

import (
	"bufio"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/millrace-dev/millrace/internal/apiclient"
	"github.com/millrace-dev/millrace/internal/progress"
)

// filterFlags choose the jobs of a bulk operation.
type filterFlags struct {
	Function string `help:"Jobs of this function."`
	State    string `enum:",queued,scheduled,running,retrying,completed,failed,cancelled" default:"" placeholder:"STATE" help:"Jobs in this state: queued, scheduled, running, retrying, completed, failed or cancelled."`
	Queue    string `help:"Jobs of this queue."`
	Tag      string `help:"Jobs with this tag."`
	Schedule string `help:"Jobs of this schedule."`
	textFlags
	All bool `help:"All jobs, if nothing else is said."`
}

func (f filterFlags) filter() apiclient.Filter {
	filter := apiclient.Filter{}
	for name, value := range map[string]string{
		"function": f.Function, "state": f.State, "queue": f.Queue, "tag": f.Tag, "schedule": f.Schedule,
	} {
		if value != "" {
			filter[name] = value
		}
	}
	f.add(filter)
	return filter
}

// textFlags choose jobs by what was found out about them, in the words of jobs list.
type textFlags struct {
	Key    string    `name:"limit-key" placeholder:"KEY" help:"Jobs whose limits are counted by this key."`
	Error  string    `placeholder:"TEXT" help:"Jobs with this text in their last failure."`
	After  time.Time `placeholder:"TIME" help:"Jobs made at this time or later, such as 2026-01-31T08:00:00Z."`
	Before time.Time `placeholder:"TIME" help:"Jobs made before this time."`
}

func (f textFlags) add(filter apiclient.Filter) {
	for name, value := range map[string]string{"key": f.Key, "error": f.Error} {
		if value != "" {
			filter[name] = value
		}
	}
	for name, at := range map[string]time.Time{"created_after": f.After, "created_before": f.Before} {
		if !at.IsZero() {
			filter[name] = at.Format(time.RFC3339Nano)
		}
	}
}

// given tells that something was said of which jobs are meant.
func (f filterFlags) given() bool { return f.All || len(f.filter()) > 0 }

// bulkFlags are shared by all bulk operations.
type bulkFlags struct {
	filterFlags
	DryRun bool `help:"Count what would be done, and do nothing."`
	Yes    bool `short:"y" help:"Do not ask."`
	Detach bool `help:"Do not wait for the end; the operation goes on at the server."`
}

// run counts, asks, begins and follows.
func (b bulkFlags) run(ctx context.Context, out *streams, client *apiclient.Client, bulk apiclient.Bulk, asJSON bool) error {
	if !b.given() {
		return usagef("say which jobs: --function, --state, --queue, --tag, --schedule, --limit-key, --error, --after or --before, or --all")
	}
	bulk.Filter, bulk.All = b.filter(), b.All
	var counted apiclient.Operation
	if b.DryRun || !b.Yes {
		dry := bulk
		dry.DryRun = true
		var err error
		if counted, err = b.begin(ctx, out, client, dry); err != nil {
			return err
		}
	}
	if b.DryRun {
		return printOperation(out, counted, asJSON)
	}
	if !b.Yes {
		if counted.Done == 0 {
			return out.printf("%s match, and none can be %s.", count(int(counted.Matched), "job"), pastOf(bulk.Action))
		}
		if err := confirm(out, bulk.Action, counted); err != nil {
			return err
		}
	}
	op, err := b.begin(ctx, out, client, bulk)
	if err != nil {
		return err
	}
	return printOperation(out, op, asJSON)
}

// begin starts an operation and shows its progress to the end.
func (b bulkFlags) begin(ctx context.Context, out *streams, client *apiclient.Client, bulk apiclient.Bulk) (apiclient.Operation, error) {
	op, err := client.Bulk(ctx, bulk)
	if err != nil {
		return op, fmt.Errorf("%s jobs: %w", bulk.Action, err)
	}
	if b.Detach && !bulk.DryRun {
		return op, nil
	}
	return followOperation(ctx, out, client, op)
}

// followOperation shows a bar until the operation has finished.
func followOperation(ctx context.Context, out *streams, client *apiclient.Client, op apiclient.Operation) (apiclient.Operation, error) {
	const (
		whole = 100
		look  = time.Second
	)
	var bar *progress.Bar
	for !op.Finished() {
		if bar == nil {
			bar = progress.New(out.err, operationLabel(op), whole)
			defer bar.End()
		}
		bar.Set(int64(op.Percent), fmt.Sprintf("%d done, %d skipped", op.Done, op.Skipped))
		latest, err := client.Operation(ctx, op.ID, look)
		if err != nil {
			return op, fmt.Errorf("follow operation %d, which goes on at the server (millrace operations get %d): %w", op.ID, op.ID, err)
		}
		op = latest
	}
	if bar != nil {
		bar.Set(int64(op.Percent), fmt.Sprintf("%d done, %d skipped", op.Done, op.Skipped))
	}
	return op, nil
}

func operationLabel(op apiclient.Operation) string {
	if op.DryRun {
		return "counting"
	}
	return op.Action
}

// confirm asks a person. Where there is none, nothing is done by mistake.
func confirm(out *streams, action string, counted apiclient.Operation) error {
	skipped := ""
	if counted.Skipped > 0 {
		skipped = fmt.Sprintf(" (%d more match, but their state does not allow it)", counted.Skipped)
	}
	_, _ = fmt.Fprintf(out.err, "%s will be %s%s. Go on? [y/N] ", count(int(counted.Done), "job"), pastOf(action), skipped)
	answer, err := bufio.NewReader(out.in).ReadString('\n')
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return nil
	case "":
		if err != nil {
			out.sayf("")
			return usagef("nobody answers: add --yes, or --dry-run to count only")
		}
	}
	out.sayf("Nothing was done.")
	return errReported
}

// pastOf is an action as it has happened.
func pastOf(action string) string {
	switch action {
	case "retry":
		return "retried"
	case "cancel":
		return "cancelled"
	case "move":
		return "moved"
	default:
		return strings.TrimSuffix(action, "e") + "ed"
	}
}

type jobsDeleteCmd struct {
	clientFlags
	jsonFlag
	bulkFlags
}

// Run is called by kong.
func (d *jobsDeleteCmd) Run(ctx context.Context, out *streams) error {
	return d.with(func(client *apiclient.Client) error {
		return d.run(ctx, out, client, apiclient.Bulk{Action: "delete"}, d.JSON)
	})
}

type jobsPurgeCmd struct {
	clientFlags
	jsonFlag
	bulkFlags
}

// Run is called by kong.
func (p *jobsPurgeCmd) Run(ctx context.Context, out *streams) error {
	return p.with(func(client *apiclient.Client) error {
		return p.run(ctx, out, client, apiclient.Bulk{Action: "purge"}, p.JSON)
	})
}

type jobsMoveCmd struct {
	clientFlags
	jsonFlag
	bulkFlags
	To string `required:"" placeholder:"QUEUE" help:"The queue to move them to."`
}

// Run is called by kong.
func (m *jobsMoveCmd) Run(ctx context.Context, out *streams) error {
	return m.with(func(client *apiclient.Client) error {
		return m.run(ctx, out, client, apiclient.Bulk{Action: "move", Queue: m.To}, m.JSON)
	})
}

type jobsPrioritizeCmd struct {
	clientFlags
	jsonFlag
	bulkFlags
	Priority int `required:"" help:"Their new priority: 1 (first) to 4 (last)."`
}

// Run is called by kong.
func (p *jobsPrioritizeCmd) Run(ctx context.Context, out *streams) error {
	return p.with(func(client *apiclient.Client) error {
		return p.run(ctx, out, client, apiclient.Bulk{Action: "prioritize", Priority: p.Priority}, p.JSON)
	})
}
