package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/millrace-dev/millrace/internal/apiclient"
)

// callbacksCmd groups what can be done with callbacks.
type callbacksCmd struct {
	List   callbacksListCmd   `cmd:"" help:"List the callbacks of a job."`
	Retry  callbacksRetryCmd  `cmd:"" help:"Send a callback again."`
	Secret callbacksSecretCmd `cmd:"" help:"Show the secret that signs callbacks."`
	Rotate callbacksRotateCmd `cmd:"" help:"Make another secret; the former signs beside it for a while."`
}

type callbacksListCmd struct {
	clientFlags
	jsonFlag
	Job string `arg:"" help:"Id of the job."`
}

// Run is called by kong.
func (l *callbacksListCmd) Run(ctx context.Context, out *streams) error {
	return l.with(func(client *apiclient.Client) error {
		list, err := client.Callbacks(ctx, l.Job)
		if err != nil {
			return fmt.Errorf("list the callbacks of job %s: %w", l.Job, err)
		}
		if l.JSON {
			return out.printJSON(list)
		}
		now := time.Now()
		t := out.table("ID", "EVENT", "STATE", "ATTEMPTS", "LAST", "MADE", "URL")
		for _, c := range list {
			t.row(c.ID, c.Event, c.State, strconv.Itoa(c.Attempts), dash(clean(lastOf(c))), ago(c.CreatedAt, now), clean(c.URL))
		}
		return t.flush()
	})
}

// lastOf says what the last attempt came to.
func lastOf(c apiclient.Callback) string {
	if c.LastError == "" && c.LastStatus != 0 {
		return strconv.Itoa(c.LastStatus)
	}
	return c.LastError
}

type callbacksRetryCmd struct {
	clientFlags
	Job string `arg:"" help:"Id of the job."`
	ID  string `arg:"" help:"Id of the callback, as callbacks list shows it."`
}

// Run is called by kong.
func (r *callbacksRetryCmd) Run(ctx context.Context, out *streams) error {
	return r.with(func(client *apiclient.Client) error {
		if _, err := client.RetryCallback(ctx, r.Job, r.ID); err != nil {
			return fmt.Errorf("send callback %s again: %w", r.ID, err)
		}
		out.sayf("Callback %s is sent again.", r.ID)
		return nil
	})
}

type callbacksSecretCmd struct {
	clientFlags
	jsonFlag
}

// Run is called by kong. The secret stands alone on stdout, so that it can be assigned in a shell.
func (s *callbacksSecretCmd) Run(ctx context.Context, out *streams) error {
	return s.with(func(client *apiclient.Client) error {
		secrets, err := client.CallbackSecrets(ctx)
		if err != nil {
			return fmt.Errorf("read the secrets of callbacks: %w", err)
		}
		if s.JSON {
			return out.printJSON(secrets)
		}
		if len(secrets) == 0 {
			return fmt.Errorf("there is no secret; make one with: millrace callbacks rotate")
		}
		return out.printf("%s", secrets[0].Secret)
	})
}

type callbacksRotateCmd struct {
	clientFlags
	jsonFlag
	Overlap time.Duration `default:"24h" placeholder:"DURATION" help:"How long the former secret signs beside the new one. Default: ${default}."`
}

// Run is called by kong.
func (r *callbacksRotateCmd) Run(ctx context.Context, out *streams) error {
	return r.with(func(client *apiclient.Client) error {
		secret, err := client.RotateCallbackSecret(ctx, r.Overlap)
		if err != nil {
			return fmt.Errorf("rotate the secret of callbacks: %w", err)
		}
		if r.JSON {
			return out.printJSON(secret)
		}
		out.sayf("The former secret signs beside this one for %s.", r.Overlap)
		return out.printf("%s", secret.Secret)
	})
}
