package main

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/millrace-dev/millrace/internal/apiclient"
)

// queuesCmd groups what can be done with queues.
type queuesCmd struct {
	List   queuesListCmd   `cmd:"" help:"List queues: what waits, what runs, what is paused."`
	Pause  queuesPauseCmd  `cmd:"" help:"Start no job of a queue any more. Running ones finish."`
	Resume queuesResumeCmd `cmd:"" help:"Start the jobs of a paused queue again."`
}

type queuesListCmd struct {
	clientFlags
	jsonFlag
}

// Run is called by kong.
func (l *queuesListCmd) Run(ctx context.Context, out *streams) error {
	return l.with(func(client *apiclient.Client) error {
		queues, err := client.Queues(ctx)
		if err != nil {
			return fmt.Errorf("list queues: %w", err)
		}
		if l.JSON {
			return out.printJSON(queues)
		}
		now := time.Now()
		t := out.table("QUEUE", "QUEUED", "RUNNING", "STATE")
		for _, q := range queues {
			t.row(q.Name, strconv.Itoa(q.Queued), strconv.Itoa(q.Running), pauseState(q.PausedAt, now))
		}
		return t.flush()
	})
}

// pauseState is a queue's or a function's state in a table.
func pauseState(pausedAt *time.Time, now time.Time) string {
	if pausedAt == nil {
		return "active"
	}
	return "paused " + ago(*pausedAt, now)
}

type queuesPauseCmd struct {
	clientFlags
	jsonFlag
	Name  string `arg:"" help:"Name of the queue."`
	Ahead bool   `help:"Pause a queue that has not been seen yet, ahead of its first job."`
}

// Run is called by kong.
func (p *queuesPauseCmd) Run(ctx context.Context, out *streams) error {
	return p.with(func(client *apiclient.Client) error {
		if !p.Ahead {
			if err := seenQueue(ctx, client, p.Name, ". To pause it ahead of its first job, add --ahead"); err != nil {
				return fmt.Errorf("pause queue %s: %w", p.Name, err)
			}
		}
		queue, err := client.PauseQueue(ctx, p.Name)
		if err != nil {
			return fmt.Errorf("pause queue %s: %w", p.Name, err)
		}
		return out.printQueue(queue, p.JSON)
	})
}

type queuesResumeCmd struct {
	clientFlags
	jsonFlag
	Name string `arg:"" help:"Name of the queue."`
}

// Run is called by kong.
func (r *queuesResumeCmd) Run(ctx context.Context, out *streams) error {
	return r.with(func(client *apiclient.Client) error {
		if err := seenQueue(ctx, client, r.Name, ""); err != nil {
			return fmt.Errorf("resume queue %s: %w", r.Name, err)
		}
		queue, err := client.ResumeQueue(ctx, r.Name)
		if err != nil {
			return fmt.Errorf("resume queue %s: %w", r.Name, err)
		}
		return out.printQueue(queue, r.JSON)
	})
}

// seenQueue refuses a name under which nothing is known, most likely a mistyped one, and says what else can be done.
// Who may not list the queues is believed.
func seenQueue(ctx context.Context, client *apiclient.Client, name, otherwise string) error {
	queues, err := client.Queues(ctx)
	if apiclient.HasStatus(err, http.StatusForbidden) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look for it: %w", err)
	}
	known := make([]string, len(queues))
	for i, q := range queues {
		if known[i] = q.Name; q.Name == name {
			return nil
		}
	}
	return fmt.Errorf("no queue of that name has been seen; there are: %s%s", dash(strings.Join(known, ", ")), otherwise)
}

func (s *streams) printQueue(queue apiclient.Queue, asJSON bool) error {
	if asJSON {
		return s.printJSON(queue)
	}
	return s.printf("%s  %s  (%d queued, %d running)",
		queue.Name, pauseState(queue.PausedAt, time.Now()), queue.Queued, queue.Running)
}
