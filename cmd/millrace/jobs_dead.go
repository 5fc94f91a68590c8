package main

import (
	"context"

	"github.com/millrace-dev/millrace/internal/apiclient"
)

// jobsDeadCmd groups what can be done with dead letters: jobs that failed for good.
type jobsDeadCmd struct {
	List    jobsDeadListCmd    `cmd:"" help:"List the jobs that failed for good, newest first."`
	Requeue jobsDeadRequeueCmd `cmd:"" help:"Run them again."`
	Purge   jobsDeadPurgeCmd   `cmd:"" help:"Delete them."`
}

// deadFlags choose dead letters.
type deadFlags struct {
	Function string `help:"Jobs of this function."`
	Queue    string `help:"Jobs of this queue."`
	Tag      string `help:"Jobs with this tag."`
	Schedule string `help:"Jobs of this schedule."`
	textFlags
}

func (f deadFlags) filters() filterFlags {
	return filterFlags{
		Function: f.Function, State: string(apiclient.StateFailed), Queue: f.Queue, Tag: f.Tag, Schedule: f.Schedule,
		textFlags: f.textFlags,
	}
}

type jobsDeadListCmd struct {
	clientFlags
	jsonFlag
	deadFlags
	Limit int `short:"n" default:"20" help:"How many jobs at most; 0 for all."`
}

// Run is called by kong.
func (l *jobsDeadListCmd) Run(ctx context.Context, out *streams) error {
	list := jobsListCmd{
		clientFlags: l.clientFlags, jsonFlag: l.jsonFlag, Function: l.Function, State: string(apiclient.StateFailed),
		Queue: l.Queue, Tag: l.Tag, Schedule: l.Schedule, Limit: l.Limit,
		Key: l.Key, Error: l.Error, After: l.After, Before: l.Before,
	}
	return list.Run(ctx, out)
}

type jobsDeadRequeueCmd struct {
	clientFlags
	jsonFlag
	deadFlags
	DryRun bool `help:"Count what would be done, and do nothing."`
	Yes    bool `short:"y" help:"Do not ask."`
}

// Run is called by kong.
func (r *jobsDeadRequeueCmd) Run(ctx context.Context, out *streams) error {
	return r.with(func(client *apiclient.Client) error {
		flags := bulkFlags{filterFlags: r.filters(), DryRun: r.DryRun, Yes: r.Yes}
		return flags.run(ctx, out, client, apiclient.Bulk{Action: "retry"}, r.JSON)
	})
}

type jobsDeadPurgeCmd struct {
	clientFlags
	jsonFlag
	deadFlags
	DryRun bool `help:"Count what would be done, and do nothing."`
	Yes    bool `short:"y" help:"Do not ask."`
}

// Run is called by kong.
func (p *jobsDeadPurgeCmd) Run(ctx context.Context, out *streams) error {
	return p.with(func(client *apiclient.Client) error {
		flags := bulkFlags{filterFlags: p.filters(), DryRun: p.DryRun, Yes: p.Yes}
		return flags.run(ctx, out, client, apiclient.Bulk{Action: "purge"}, p.JSON)
	})
}
