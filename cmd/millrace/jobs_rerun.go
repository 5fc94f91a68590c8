package main

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/millrace-dev/millrace/internal/apiclient"
)

type jobsRerunCmd struct {
	clientFlags
	jsonFlag
	ID    jobID  `arg:"" help:"Id of the job to repeat."`
	Input string `help:"Another input as JSON, @FILE, or - for stdin. Default: the old job's."`
}

// Run is called by kong.
func (r *jobsRerunCmd) Run(ctx context.Context, out *streams) error {
	var input json.RawMessage
	if r.Input != "" {
		var err error
		if input, err = readJSON(r.Input, out.in); err != nil {
			return err
		}
	}
	return r.with(func(client *apiclient.Client) error {
		job, err := client.Rerun(ctx, int64(r.ID), input)
		if err != nil {
			return fmt.Errorf("rerun job %d: %w", r.ID, err)
		}
		if r.JSON {
			return out.printJSON(job)
		}
		return out.printf("%d", job.ID)
	})
}
