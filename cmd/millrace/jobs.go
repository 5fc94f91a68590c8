package main

import (
	"context"
	"fmt"
	"time"

	"github.com/millrace-dev/millrace/internal/apiclient"
)

// jobsCmd groups what can be done with jobs.
type jobsCmd struct {
	List   jobsListCmd   `cmd:"" help:"List jobs, newest first."`
	Get    jobsGetCmd    `cmd:"" help:"Show one job."`
	Output jobsOutputCmd `cmd:"" help:"Print what a job returned, as it is: > file."`
	Logs   jobsLogsCmd   `cmd:"" help:"Print what a job logged."`
	Cancel jobsCancelCmd `cmd:"" help:"Cancel jobs that have not finished, by id or by filter."`
	Retry  jobsRetryCmd  `cmd:"" help:"Run failed, cancelled or waiting jobs now, by id or by filter."`
	Rerun  jobsRerunCmd  `cmd:"" help:"Make a new job like an old one, with another input if you like."`
	Dead   jobsDeadCmd   `cmd:"" help:"List, requeue and purge the jobs that failed for good."`

	Move       jobsMoveCmd       `cmd:"" help:"Move jobs to another queue."`
	Prioritize jobsPrioritizeCmd `cmd:"" help:"Give jobs another priority."`
	Delete     jobsDeleteCmd     `cmd:"" help:"Delete jobs, but for running ones."`
	Purge      jobsPurgeCmd      `cmd:"" help:"Delete finished jobs."`
}

type jobsListCmd struct {
	clientFlags
	jsonFlag
	Function string `placeholder:"NAME" help:"Only jobs of this function."`
	State    string `enum:",queued,scheduled,running,retrying,completed,failed,cancelled" default:"" placeholder:"STATE" help:"Only jobs in this state: queued, scheduled, running, retrying, completed, failed or cancelled."`
	Queue    string `placeholder:"NAME" help:"Only jobs of this queue."`
	Tag      string `placeholder:"TAG" help:"Only jobs with this tag."`
	Schedule string `placeholder:"NAME" help:"Only jobs of this schedule."`
	Key      string `name:"limit-key" placeholder:"KEY" help:"Only jobs whose limits are counted by this key."`
	Error    string `placeholder:"TEXT" help:"Only jobs with this text in their last failure."`

	After  time.Time `placeholder:"TIME" help:"Only jobs made at this time or later, such as 2026-01-31T08:00:00Z."`
	Before time.Time `placeholder:"TIME" help:"Only jobs made before this time."`

	Limit int `short:"n" default:"20" placeholder:"N" help:"How many jobs at most; 0 for all. Default: ${default}."`
}

// maxPage is the largest page that the server gives.
const maxPage = 500

// Run is called by kong.
func (l *jobsListCmd) Run(ctx context.Context, out *streams) error {
	if l.Limit < 0 {
		return usagef("--limit must not be negative")
	}
	return l.with(func(client *apiclient.Client) error {
		rows := newJobRows(out, l.JSON)
		if err := l.each(ctx, client, rows.add); err != nil {
			return err
		}
		return rows.flush()
	})
}

// each pages through the list until the limit.
func (l *jobsListCmd) each(ctx context.Context, client *apiclient.Client, use func(apiclient.Job) error) error {
	query := apiclient.ListQuery{
		Function: l.Function, State: apiclient.State(l.State), Queue: l.Queue, Tag: l.Tag, Schedule: l.Schedule, Limit: maxPage,
		Key: l.Key, Error: l.Error, CreatedAfter: l.After, CreatedBefore: l.Before,
	}
	for seen := 0; ; {
		if l.Limit > 0 {
			query.Limit = min(maxPage, l.Limit-seen)
		}
		page, err := client.Jobs(ctx, query)
		if err != nil {
			return fmt.Errorf("list jobs: %w", err)
		}
		for _, job := range page.Jobs {
			if err := use(job); err != nil {
				return err
			}
			seen++
		}
		if page.Next == "" || (l.Limit > 0 && seen >= l.Limit) {
			return nil
		}
		query.Cursor = page.Next
	}
}

// jobRows prints jobs as a table, or as one JSON value a line.
type jobRows struct {
	out   *streams
	table *table // made with the first row
	json  bool
	now   time.Time
}

func newJobRows(out *streams, asJSON bool) *jobRows {
	return &jobRows{out: out, json: asJSON, now: time.Now()}
}

func (r *jobRows) add(job apiclient.Job) error {
	if r.json {
		return r.out.printJSON(job)
	}
	if r.table == nil {
		r.table = r.out.table("ID", "FUNCTION", "STATE", "ATTEMPT", "CREATED", "TOOK", "ERROR")
	}
	const errorWidth = 60
	failure := ""
	if job.Error != nil {
		failure = shorten(job.Error.Error(), errorWidth)
	}
	r.table.row(fmt.Sprint(job.ID), job.Function, string(job.State), fmt.Sprintf("%d/%d", job.Attempt, job.MaxAttempts),
		ago(job.CreatedAt, r.now), took(job, r.now), failure)
	return nil
}

func (r *jobRows) flush() error {
	switch {
	case r.json:
		return nil
	case r.table == nil:
		r.out.sayf("No job matches.")
		return nil
	default:
		return r.table.flush()
	}
}

// took is how long the last attempt ran, or runs.
func took(job apiclient.Job, now time.Time) string {
	switch {
	case job.StartedAt == nil:
		return "-"
	case job.FinishedAt != nil:
		return span(max(0, job.FinishedAt.Sub(*job.StartedAt)))
	case job.State == apiclient.StateRunning:
		return span(max(0, now.Sub(*job.StartedAt)))
	default:
		return "-"
	}
}

type jobsLogsCmd struct {
	clientFlags
	jsonFlag
	ID     jobID `arg:"" help:"Id of the job."`
	Follow bool  `short:"f" help:"Go on until the job has finished."`
}

// Run is called by kong.
func (l *jobsLogsCmd) Run(ctx context.Context, out *streams) error {
	return l.with(func(client *apiclient.Client) error {
		show := func(line apiclient.LogLine) error {
			if l.JSON {
				return out.printJSON(line)
			}
			return out.printf("%s", formatLog(line))
		}
		if l.Follow {
			_, err := client.Follow(ctx, int64(l.ID), func(e apiclient.JobEvent) error {
				if e.Line == nil {
					return nil
				}
				return show(*e.Line)
			})
			return err //nolint:wrapcheck // says what was being done itself
		}
		const page = 500
		for after := int64(0); ; {
			lines, err := client.Logs(ctx, int64(l.ID), after, page)
			if err != nil {
				return fmt.Errorf("read the logs of job %d: %w", l.ID, err)
			}
			for _, line := range lines {
				after = line.Seq
				if err := show(line); err != nil {
					return err
				}
			}
			if len(lines) < page {
				return nil
			}
		}
	})
}
