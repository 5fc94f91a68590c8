package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/millrace-dev/millrace/internal/apiclient"
)

type jobsGetCmd struct {
	clientFlags
	jsonFlag
	ID   jobID `arg:"" help:"Id of the job."`
	Wait bool  `short:"w" help:"Wait until the job has finished. Exit code 1 when it failed."`
}

// Run is called by kong.
func (g *jobsGetCmd) Run(ctx context.Context, out *streams) error {
	return g.with(func(client *apiclient.Client) error {
		read := client.Job
		if g.Wait {
			read = client.Wait
		}
		job, err := read(ctx, int64(g.ID))
		if err != nil {
			if g.Wait {
				job.ID = int64(g.ID)
				return stillRunning(ctx, out, job, err)
			}
			return fmt.Errorf("read job %d: %w", g.ID, err)
		}
		if g.JSON {
			err = out.printJSON(job)
		} else {
			err = errors.Join(printJob(out, job, time.Now()), printSteps(ctx, client, out, job.ID, time.Now()))
		}
		if err == nil && g.Wait && job.State != apiclient.StateCompleted {
			return errReported
		}
		return err
	})
}

// printJob shows everything about a job, one field a line; long values are shortened (--json has them whole).
func printJob(out *streams, job apiclient.Job, now time.Time) error {
	const valueWidth = 400
	rows := [][2]string{
		{"id", fmt.Sprint(job.ID)},
		{"function", job.Function},
		{"state", string(job.State)},
		{"waiting for", waitingText(job)},
		{"attempt", fmt.Sprintf("%d of %d", job.Attempt, job.MaxAttempts)},
		{"queue", fmt.Sprintf("%s, priority %d", job.Queue, job.Priority)},
		{"version", job.Version},
		{"tags", strings.Join(job.Tags, ", ")},
		{"created", moment(&job.CreatedAt, now)},
		{"scheduled", moment(&job.ScheduledAt, now)},
		{"started", moment(job.StartedAt, now)},
		{"finished", moment(job.FinishedAt, now)},
		{"took", took(job, now)},
		{"node", job.Node},
		{"progress", progressText(job.Progress)},
		{"input", shorten(string(job.Input), valueWidth)},
		{"output", jsonText(job.Output, valueWidth)},
	}
	if job.Error != nil {
		rows = append(rows, [2]string{"error", job.Error.Error()})
	}
	t := &table{writer: newTabWriter(out.out)}
	for _, row := range rows {
		if row[1] != "" && row[1] != "-" {
			t.row(row[0], row[1])
		}
	}
	if err := t.flush(); err != nil {
		return err
	}
	if len(job.Timeline) > 1 {
		if err := printTimeline(out, job.Timeline, now); err != nil {
			return err
		}
	}
	if job.Error != nil && job.Error.Stack != "" {
		return out.printf("%s", cleanLines(job.Error.Stack))
	}
	return nil
}

// waitingText says in words what a job waits for, and what ends that.
func waitingText(job apiclient.Job) string {
	text, known := map[string]string{
		"queue_paused":    "queue " + job.Queue + " is paused (millrace queues resume " + job.Queue + ")",
		"function_paused": "the function is paused (millrace functions resume " + job.Function + ")",
		"concurrency":     "the function's concurrency: as many jobs of its key run as may",
		"rate":            "the function's rate",
		"no_node":         "an instance that works on queue " + job.Queue,
		"turn":            "its turn in queue " + job.Queue,
		"other_node":      "an instance that has the function: those that took the job so far have not",
	}[job.WaitingFor]
	if !known {
		return job.WaitingFor
	}
	return text
}

func moment(at *time.Time, now time.Time) string {
	if at == nil || at.IsZero() {
		return ""
	}
	return fmt.Sprintf("%s (%s)", at.Local().Format("2006-01-02 15:04:05.000"), ago(*at, now)) //nolint:gosmopolitan // people read their own time
}

func progressText(p *apiclient.Progress) string {
	if p == nil {
		return ""
	}
	return strings.TrimSpace(fmt.Sprintf("%.0f %% %s", p.Percent, p.Message))
}

func jsonText(value json.RawMessage, width int) string {
	if len(value) == 0 || string(value) == "null" {
		return ""
	}
	return shorten(string(value), width)
}

// printTimeline shows the attempts of a job that had several.
func printTimeline(out *streams, attempts []apiclient.Attempt, now time.Time) error {
	const errorWidth = 60
	t := out.table("ATTEMPT", "NODE", "STARTED", "TOOK", "OUTCOME", "ERROR")
	for _, a := range attempts {
		node, lasted, failure := a.NodeName, "", ""
		if node == "" {
			node = a.Node
		}
		if a.StartedAt != nil && a.EndedAt != nil {
			lasted = span(max(0, a.EndedAt.Sub(*a.StartedAt)))
		}
		if a.Error != nil {
			failure = shorten(a.Error.Error(), errorWidth)
		}
		t.row(fmt.Sprint(a.Attempt), node, moment(a.StartedAt, now), lasted, a.Outcome, failure)
	}
	return t.flush()
}
