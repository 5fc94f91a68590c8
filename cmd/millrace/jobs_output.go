package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/millrace-dev/millrace/internal/apiclient"
)

// jobsOutputCmd writes a result as it is, bytes included.
type jobsOutputCmd struct {
	clientFlags
	ID   jobID `arg:"" help:"Id of the job."`
	Wait bool  `short:"w" help:"Wait until the job has finished."`
}

// Run is called by kong.
func (o *jobsOutputCmd) Run(ctx context.Context, out *streams) error {
	return o.with(func(client *apiclient.Client) error {
		if o.Wait {
			if job, err := client.Wait(ctx, int64(o.ID)); err != nil {
				job.ID = int64(o.ID)
				return stillRunning(ctx, out, job, err)
			}
		}
		output, err := client.Output(ctx, int64(o.ID))
		if errors.Is(err, apiclient.ErrUnfinished) {
			return fmt.Errorf("job %d has not finished; wait for it with: millrace jobs output %d --wait", o.ID, o.ID)
		}
		if err != nil {
			return fmt.Errorf("read the output of job %d: %w", o.ID, err)
		}
		if isTerminal(out.out) && !isText(output.ContentType) {
			return usagef("the output is %d bytes of %s; save it: millrace jobs output %d > FILE", len(output.Data), output.ContentType, o.ID)
		}
		_, err = out.out.Write(output.Data)
		return err //nolint:wrapcheck // of stdout
	})
}

// isText tells what a terminal can show.
func isText(contentType string) bool {
	kind, _, _ := strings.Cut(contentType, ";")
	return strings.HasPrefix(kind, "text/") || kind == "application/json" || strings.HasSuffix(kind, "+json")
}
