package main

import (
	"context"
	"fmt"
	"time"

	"github.com/millrace-dev/millrace/internal/apiclient"
)

// operationsCmd groups what can be done with bulk operations.
type operationsCmd struct {
	List   operationsListCmd   `cmd:"" help:"List the newest bulk operations."`
	Get    operationsGetCmd    `cmd:"" help:"Show one, or follow it to its end."`
	Cancel operationsCancelCmd `cmd:"" help:"End one. What it has done stays done."`
}

type operationsListCmd struct {
	clientFlags
	jsonFlag
	Limit int `short:"n" default:"20" help:"How many at most, up to 500."`
}

// Run is called by kong.
func (l *operationsListCmd) Run(ctx context.Context, out *streams) error {
	if l.Limit < 1 || l.Limit > maxPage {
		return usagef("--limit must be 1 to %d", maxPage)
	}
	return l.with(func(client *apiclient.Client) error {
		list, err := client.Operations(ctx, l.Limit)
		if err != nil {
			return fmt.Errorf("list operations: %w", err)
		}
		if l.JSON {
			return out.printJSON(list)
		}
		now := time.Now()
		t := out.table("ID", "ACTION", "FILTER", "STATE", "DONE", "SKIPPED", "BEGUN")
		for _, op := range list {
			t.row(fmt.Sprint(op.ID), actionText(op), string(op.Filter), operationState(op), fmt.Sprint(op.Done), fmt.Sprint(op.Skipped),
				ago(op.CreatedAt, now))
		}
		return t.flush()
	})
}

type operationsGetCmd struct {
	clientFlags
	jsonFlag
	ID     jobID `arg:"" help:"Id of the operation."`
	Follow bool  `short:"f" help:"Show its progress until it has finished."`
}

// Run is called by kong.
func (g *operationsGetCmd) Run(ctx context.Context, out *streams) error {
	return g.with(func(client *apiclient.Client) error {
		op, err := client.Operation(ctx, int64(g.ID), 0)
		if err != nil {
			return fmt.Errorf("read operation %d: %w", g.ID, err)
		}
		if g.Follow {
			if op, err = followOperation(ctx, out, client, op); err != nil {
				return err
			}
		}
		return printOperation(out, op, g.JSON)
	})
}

type operationsCancelCmd struct {
	clientFlags
	jsonFlag
	ID jobID `arg:"" help:"Id of the operation."`
}

// Run is called by kong.
func (c *operationsCancelCmd) Run(ctx context.Context, out *streams) error {
	return c.with(func(client *apiclient.Client) error {
		op, err := client.CancelOperation(ctx, int64(c.ID))
		if err != nil {
			return fmt.Errorf("cancel operation %d: %w", c.ID, err)
		}
		return printOperation(out, op, c.JSON)
	})
}

// printOperation says in one line what was done. An operation that failed is a failure of the command.
func printOperation(out *streams, op apiclient.Operation, asJSON bool) error {
	var err error
	switch {
	case asJSON:
		err = out.printJSON(op)
	case op.DryRun:
		err = out.printf("%s would be %s, %d skipped.", count(int(op.Done), "job"), pastOf(op.Action), op.Skipped)
	case op.State == "completed":
		err = out.printf("%s %s, %d skipped.", count(int(op.Done), "job"), pastOf(op.Action), op.Skipped)
	default:
		err = out.printf("Operation %d (%s) is %s: %s %s, %d skipped.",
			op.ID, actionText(op), operationState(op), count(int(op.Done), "job"), pastOf(op.Action), op.Skipped)
	}
	if err == nil && op.State == "failed" {
		return fmt.Errorf("operation %d failed: %s", op.ID, op.Error) //nolint:err113 // shown to a person
	}
	return err
}

func operationState(op apiclient.Operation) string {
	if op.State == "running" {
		return fmt.Sprintf("running, %.0f %%", op.Percent)
	}
	return op.State
}

// actionText is the action with what it changes.
func actionText(op apiclient.Operation) string {
	text := op.Action
	switch {
	case op.Queue != "":
		text += " to " + op.Queue
	case op.Priority != 0:
		text += fmt.Sprintf(" %d", op.Priority)
	}
	if op.DryRun {
		text += " (dry run)"
	}
	return text
}
