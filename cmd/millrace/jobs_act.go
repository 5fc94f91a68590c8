package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/millrace-dev/millrace/internal/apiclient"
)

type jobsCancelCmd struct {
	clientFlags
	jsonFlag
	bulkFlags
	IDs []jobID `arg:"" optional:"" name:"id" help:"Ids of the jobs. Without any, the flags choose them."`
}

// Run is called by kong.
func (c *jobsCancelCmd) Run(ctx context.Context, out *streams) error {
	return c.with(func(client *apiclient.Client) error {
		if len(c.IDs) == 0 {
			return c.run(ctx, out, client, apiclient.Bulk{Action: "cancel"}, c.JSON)
		}
		if c.given() || c.DryRun {
			return usagef("ids name the jobs already: leave the filters and --dry-run out")
		}
		return actOnJobs(ctx, out, c.IDs, c.JSON, "cancel", client.Cancel)
	})
}

type jobsRetryCmd struct {
	clientFlags
	jsonFlag
	bulkFlags
	IDs []jobID `arg:"" optional:"" name:"id" help:"Ids of the jobs. Without any, the flags choose them."`
}

// Run is called by kong.
func (r *jobsRetryCmd) Run(ctx context.Context, out *streams) error {
	return r.with(func(client *apiclient.Client) error {
		if len(r.IDs) == 0 {
			return r.run(ctx, out, client, apiclient.Bulk{Action: "retry"}, r.JSON)
		}
		if r.given() || r.DryRun {
			return usagef("ids name the jobs already: leave the filters and --dry-run out")
		}
		return actOnJobs(ctx, out, r.IDs, r.JSON, "retry", client.Retry)
	})
}

// actOnJobs goes on after a refusal, so that one finished job does not keep the others from being cancelled.
func actOnJobs(ctx context.Context, out *streams, ids []jobID, asJSON bool, verb string, act func(context.Context, int64) (apiclient.Job, error)) error {
	var failures []error
	for _, id := range ids {
		job, err := act(ctx, int64(id))
		switch {
		case err != nil && !apiclient.IsProblem(err):
			return fmt.Errorf("%s job %d: %w", verb, id, err)
		case err != nil:
			failures = append(failures, fmt.Errorf("%s job %d: %w", verb, id, err))
		case asJSON:
			err = out.printJSON(job)
		default:
			err = out.printf("%d  %s  %s", job.ID, job.Function, job.State)
		}
		if err != nil && !apiclient.IsProblem(err) {
			return err
		}
	}
	return errors.Join(failures...)
}
