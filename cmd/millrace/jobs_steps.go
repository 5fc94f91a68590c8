package main

import (
	"context"
	"fmt"
	"time"

	"github.com/millrace-dev/millrace/internal/apiclient"
)

// printSteps shows the durable operations of a job, if it has any: what each came to, or what it waits for.
func printSteps(ctx context.Context, client *apiclient.Client, out *streams, id int64, now time.Time) error {
	steps, err := client.Steps(ctx, id)
	if err != nil {
		return fmt.Errorf("read the steps of job %d: %w", id, err)
	}
	if len(steps) == 0 {
		return nil
	}
	t := out.table("STEP", "KIND", "NAME", "STATE", "TOOK", "RESULT")
	for i := range steps {
		step := &steps[i]
		took := span(now.Sub(step.CreatedAt))
		if step.SettledAt != nil {
			took = span(max(0, step.SettledAt.Sub(step.CreatedAt)))
		}
		t.row(fmt.Sprint(step.Position), step.Kind, step.Name, step.State, took, stepResult(step, now))
	}
	return t.flush()
}

// stepResult is what an operation came to, or what ends its wait.
func stepResult(step *apiclient.Step, now time.Time) string {
	const width = 60
	switch {
	case step.Error != nil:
		return shorten(step.Error.Error(), width)
	case step.Omitted:
		return "(large)"
	case step.State != "waiting":
		return jsonText(step.Value, width)
	case step.Job != 0:
		return fmt.Sprintf("job %d", step.Job)
	case step.Event != "" && step.Key != "":
		return fmt.Sprintf("event %s of %s", step.Event, step.Key)
	case step.Event != "":
		return "event " + step.Event
	}
	return moment(step.DueAt, now)
}
