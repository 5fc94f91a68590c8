package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/millrace-dev/millrace/internal/apiclient"
)

// runCmd submits one job.
type runCmd struct {
	clientFlags
	jsonFlag
	Function string `arg:"" help:"Name of the function, such as orders.charge."`
	Input    string `arg:"" optional:"" help:"Input as JSON, @FILE, or - for stdin. Default: null."`

	Wait   bool `short:"w" help:"Wait until the job has finished and print its output. Exit code 1 when it failed."`
	Follow bool `short:"f" help:"Show progress and logs on stderr while it runs; implies --wait."`

	Queue          string        `help:"Queue to run in."`
	Priority       int           `help:"1 (first) to 4 (last)."`
	MaxAttempts    int           `help:"Give up after this many attempts."`
	Timeout        time.Duration `help:"Time limit of one attempt, such as 30s."`
	SoftTimeout    time.Duration `placeholder:"TIME" help:"When the function is told that its time limit comes; shorter than it."`
	Delay          time.Duration `xor:"when" help:"Start after this time, such as 10m."`
	RunAt          time.Time     `xor:"when" format:"2006-01-02T15:04:05Z07:00" placeholder:"TIME" help:"Start at this time (RFC 3339)."`
	Tag            []string      `placeholder:"TAG" help:"Tag of the job; may be repeated."`
	IdempotencyKey string        `placeholder:"KEY" help:"A second run with the same key answers with the first one's job."`
}

// Run is called by kong.
func (r *runCmd) Run(ctx context.Context, out *streams) error {
	input, err := readJSON(r.Input, out.in)
	if err != nil {
		return err
	}
	return r.with(func(client *apiclient.Client) error {
		job, err := client.Submit(ctx, r.Function, input, r.options())
		if err != nil {
			return fmt.Errorf("run %s: %w", r.Function, err)
		}
		if !r.Wait && !r.Follow {
			return r.queued(out, job)
		}
		job, err = r.await(ctx, client, out, job)
		if err != nil {
			return stillRunning(ctx, out, job, err)
		}
		return printOutcome(out, job, r.JSON)
	})
}

func (r *runCmd) options() apiclient.Options {
	return apiclient.Options{
		Queue: r.Queue, Priority: r.Priority, MaxAttempts: r.MaxAttempts, Timeout: r.Timeout, SoftTimeout: r.SoftTimeout,
		Delay: r.Delay, RunAt: r.RunAt, Tags: r.Tag, IdempotencyKey: r.IdempotencyKey,
	}
}

func (r *runCmd) queued(out *streams, job apiclient.Job) error {
	if r.JSON {
		return out.printJSON(job)
	}
	if err := out.printf("%d", job.ID); err != nil {
		return err
	}
	out.sayf("%s is %s. See it with: millrace jobs get %d --wait", job.Function, job.State, job.ID)
	return nil
}

func (r *runCmd) await(ctx context.Context, client *apiclient.Client, out *streams, job apiclient.Job) (apiclient.Job, error) {
	id := job.ID
	var err error
	if r.Follow {
		job, err = followJob(ctx, client, out, id)
	} else {
		job, err = client.Wait(ctx, id)
	}
	if job.ID == 0 {
		job.ID = id
	}
	return job, err //nolint:wrapcheck // said in full by stillRunning
}

// stillRunning tells whoever stops waiting that the job goes on without them.
func stillRunning(ctx context.Context, out *streams, job apiclient.Job, err error) error {
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		out.sayf("Stopped waiting; job %d goes on. Stop it with: millrace jobs cancel %d", job.ID, job.ID)
		return errReported
	}
	return fmt.Errorf("wait for job %d: %w", job.ID, err)
}

// printOutcome prints a finished job: its output on stdout, or why it failed on stderr.
func printOutcome(out *streams, job apiclient.Job, asJSON bool) error {
	if asJSON {
		if err := out.printJSON(job); err != nil {
			return err
		}
	} else if job.State == apiclient.StateCompleted {
		if err := out.printJSON(job.Output); err != nil {
			return err
		}
	}
	if job.State == apiclient.StateCompleted {
		return nil
	}
	out.sayf("millrace: job %d of %s %s%s", job.ID, job.Function, job.State, failureText(job))
	return errReported
}

func failureText(job apiclient.Job) string {
	if job.Error == nil {
		return ""
	}
	text := fmt.Sprintf(" after %s: %s: %s", count(job.Attempt, "attempt"), job.Error.Code, cleanLines(job.Error.Message))
	if job.Error.Stack != "" {
		text += "\n" + cleanLines(job.Error.Stack)
	}
	return text
}
