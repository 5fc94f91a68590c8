package apiclient

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
)

// JobEvent is one thing that happened to a job. Exactly one of the pointers is set.
type JobEvent struct {
	Job      *Job      // its state changed, or this is how it stands at the beginning and after a reconnect
	Progress *Progress // the function reported
	Line     *LogLine  // the function wrote a log line
	Lost     error     // the connection is gone, for this reason, and is being opened again
}

// Follow calls each with the job's changes, progress and log lines, live, and returns the finished job. It
// reconnects by itself. Log lines are rows: those that were written before it began, or while it was cut off, are
// read from the table, so that every line comes once and in order; states and progress show how things stand.
// An error of each ends it and is returned.
func (c *Client) Follow(ctx context.Context, id int64, each func(JobEvent) error) (Job, error) {
	follower := &follower{client: c, id: id, each: each, live: map[int64]struct{}{}}
	err := c.stream(ctx, call{method: http.MethodGet, path: jobPath(id) + "/events"}, func(e StreamEvent) error {
		return follower.handle(ctx, e)
	})
	if err != nil {
		return follower.job, fmt.Errorf("follow job %d: %w", id, err)
	}
	return follower.job, nil
}

type follower struct {
	client *Client
	id     int64
	each   func(JobEvent) error
	job    Job
	read   int64              // log lines up to here have been read from the table
	live   map[int64]struct{} // lines after it that came live
}

const (
	logPage  = 500  // lines read from the table at a time
	liveMost = 2000 // live lines held before the table is read to let them go
)

func (f *follower) handle(ctx context.Context, e StreamEvent) error {
	if e.Kind == EventLost {
		return f.each(JobEvent{Lost: e.Err})
	}
	if e.Kind != EventMessage && e.Kind != EventSnapshot {
		return nil // the snapshot after a reconnect brings what was missed
	}
	var message struct {
		Type     string    `json:"type"`
		Job      *Job      `json:"job"`
		Progress *Progress `json:"progress"`
		Line     *LogLine  `json:"line"`
	}
	if err := json.Unmarshal(e.Data, &message); err != nil {
		return fmt.Errorf("read an event: %w", err)
	}
	switch message.Type {
	case "snapshot", "state":
		return f.state(ctx, message.Type, message.Job)
	case "progress":
		return f.each(JobEvent{Progress: message.Progress})
	case "log":
		return f.line(ctx, message.Line)
	default:
		// A newer server may say more; what this client does not know it does not need.
		return nil
	}
}

func (f *follower) state(ctx context.Context, kind string, job *Job) error {
	if job == nil {
		return nil
	}
	f.job = *job
	// A snapshot opens a connection, an end closes it: both are where lines may have been missed.
	if kind == "snapshot" || job.State.Finished() {
		if err := f.readLogs(ctx); err != nil {
			return err
		}
	}
	if err := f.each(JobEvent{Job: job}); err != nil {
		return err
	}
	if job.State.Finished() {
		return errStop
	}
	return nil
}

// line passes on a line that came live. It does not count as read: one before it may have been lost.
func (f *follower) line(ctx context.Context, line *LogLine) error {
	if line == nil || line.Seq <= f.read {
		return nil
	}
	if _, again := f.live[line.Seq]; again {
		return nil
	}
	f.live[line.Seq] = struct{}{}
	if err := f.each(JobEvent{Line: line}); err != nil {
		return err
	}
	if len(f.live) >= liveMost {
		return f.readLogs(ctx)
	}
	return nil
}

// readLogs passes on all lines of the table that have not come live.
func (f *follower) readLogs(ctx context.Context) error {
	for {
		lines, err := f.client.Logs(ctx, f.id, f.read, logPage)
		if err != nil {
			return err
		}
		for i := range lines {
			f.read = lines[i].Seq
			if _, known := f.live[f.read]; known {
				delete(f.live, f.read)
				continue
			}
			if err := f.each(JobEvent{Line: &lines[i]}); err != nil {
				return err
			}
		}
		if len(lines) < logPage {
			return nil
		}
	}
}
