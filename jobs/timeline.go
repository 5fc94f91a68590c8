package jobs

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

//go:embed sql/timeline.sql
var timelineSQL string

// OutcomeLost is a timeline's word for an attempt that ended with its node. The others are states: running, completed,
// failed, cancelled.
const OutcomeLost = "lost"

// TimelineEntry is one attempt of a job. An attempt that was handed back, when its node stopped, is none.
type TimelineEntry struct {
	Attempt   int        `json:"attempt"`
	Node      string     `json:"node"`                // its id
	NodeName  string     `json:"node_name,omitempty"` // empty when the node has gone and nothing failed on it
	StartedAt *time.Time `json:"started_at"`
	EndedAt   *time.Time `json:"ended_at"` // null while it runs
	Outcome   string     `json:"outcome"`
	Error     *Failure   `json:"error,omitempty"`
}

// endedAttempt is what of an element of river_job.errors a timeline shows, beside the failure.
type endedAttempt struct {
	At       *time.Time `json:"at"`
	Attempt  int        `json:"attempt"`
	Started  *time.Time `json:"started"`
	Node     string     `json:"node"`
	NodeName string     `json:"node_name"`
}

// Timeline returns the attempts of a job that was read before, in order: those that failed from what they left in the
// row, the last one from the row itself.
func (s *Service) Timeline(ctx context.Context, job *Job) ([]TimelineEntry, error) {
	rows, err := s.pool.Query(ctx, timelineSQL, job.ID)
	if err != nil {
		return nil, fmt.Errorf("read the attempts of job %d: %w", job.ID, err)
	}

	var (
		elements [][]byte
		name     string
		entries  []TimelineEntry
	)

	_, err = pgx.ForEachRow(rows, []any{&elements, &name}, func() error {
		for _, element := range elements {
			entries = append(entries, entryOf(element))
		}

		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the attempts of job %d: %w", job.ID, err)
	}

	if last, ok := job.lastEntry(entries); ok {
		last.NodeName = name
		entries = append(entries, last)
	}

	return entries, nil
}

// entryOf reads an element of river_job.errors. River's own and older ones say less.
func entryOf(element []byte) TimelineEntry {
	var stored endedAttempt

	_ = json.Unmarshal(element, &stored) // decodeFailure says so when it is unreadable
	entry := TimelineEntry{
		Attempt: stored.Attempt, Node: stored.Node, NodeName: stored.NodeName,
		StartedAt: stored.Started, EndedAt: stored.At, Outcome: string(StateFailed), Error: decodeFailure(element),
	}

	if entry.Error == nil { // no entry at all
		return entry
	}

	switch entry.Error.Code {
	case CodeWorkerLost:
		entry.Outcome = OutcomeLost
	case CodeCancelled:
		entry.Outcome = string(StateCancelled)
	}

	return entry
}

// lastEntry is the attempt that left nothing in the errors: it runs, or it completed.
func (j *Job) lastEntry(entries []TimelineEntry) (TimelineEntry, bool) {
	if j.State != StateRunning && j.State != StateCompleted || j.StartedAt == nil {
		return TimelineEntry{}, false
	}

	if n := len(entries); n > 0 && entries[n-1].Attempt == j.Attempt {
		return TimelineEntry{}, false // the row was read before it failed
	}

	return TimelineEntry{
		Attempt: j.Attempt, Node: j.Node, StartedAt: j.StartedAt, EndedAt: j.FinishedAt, Outcome: string(j.State),
	}, true
}
