package jobs

import (
	"encoding/json"
	"time"

	"github.com/riverqueue/river/rivertype"
)

// State is where a job stands, in the words that users see.
type State string

// The states of a job. A job begins as queued or scheduled, and ends as completed, failed or cancelled.
const (
	StateQueued    State = "queued"    // ready to run, waiting for a slot
	StateScheduled State = "scheduled" // waits for its time
	StateRunning   State = "running"   // an attempt is under way on some node
	StateRetrying  State = "retrying"  // the last attempt failed, the next one waits for its time
	StateCompleted State = "completed" // finished with an output
	StateFailed    State = "failed"    // finished: every attempt failed, or the failure cannot be retried
	StateCancelled State = "cancelled" // finished: somebody cancelled it
)

// States returns every state, in the order of a job's life.
func States() []State {
	return []State{
		StateScheduled, StateQueued, StateRunning, StateRetrying, StateCompleted, StateFailed, StateCancelled,
	}
}

// Finished reports whether the job will not run again unless somebody retries it.
func (s State) Finished() bool {
	return s == StateCompleted || s == StateFailed || s == StateCancelled
}

// Valid reports whether s is one of the states above.
func (s State) Valid() bool { return len(s.stored()) > 0 }

// stateOf translates the state of a river_job row. River's "pending" is a job that waits for somebody to
// release it, which users see as scheduled.
func stateOf(stored rivertype.JobState) State {
	switch stored {
	case rivertype.JobStateAvailable:
		return StateQueued
	case rivertype.JobStateScheduled, rivertype.JobStatePending:
		return StateScheduled
	case rivertype.JobStateRunning:
		return StateRunning
	case rivertype.JobStateRetryable:
		return StateRetrying
	case rivertype.JobStateCompleted:
		return StateCompleted
	case rivertype.JobStateDiscarded:
		return StateFailed
	case rivertype.JobStateCancelled:
		return StateCancelled
	}

	return State(stored)
}

// stored returns the row states that s stands for, none when s is not a state.
func (s State) stored() []rivertype.JobState {
	switch s {
	case StateQueued:
		return []rivertype.JobState{rivertype.JobStateAvailable}
	case StateScheduled:
		return []rivertype.JobState{rivertype.JobStateScheduled, rivertype.JobStatePending}
	case StateRunning:
		return []rivertype.JobState{rivertype.JobStateRunning}
	case StateRetrying:
		return []rivertype.JobState{rivertype.JobStateRetryable}
	case StateCompleted:
		return []rivertype.JobState{rivertype.JobStateCompleted}
	case StateFailed:
		return []rivertype.JobState{rivertype.JobStateDiscarded}
	case StateCancelled:
		return []rivertype.JobState{rivertype.JobStateCancelled}
	}

	return nil
}

// Job is one durable call of a function, as it stands in the database at the time of reading.
type Job struct {
	ID       int64  `json:"id,string"` // a string in JSON: JavaScript loses digits of large numbers
	Function string `json:"function"`
	State    State  `json:"state"`
	// WaitingFor is what keeps a job that could otherwise run. Get alone looks.
	WaitingFor WaitingFor `json:"waiting_for,omitempty"`

	Input  json.RawMessage `json:"input"`
	Output json.RawMessage `json:"output"` // null until the job completed
	Error  *Failure        `json:"error"`  // the last attempt's failure; null once the job completed

	Attempt     int    `json:"attempt"` // attempts begun so far, the running one included
	MaxAttempts int    `json:"max_attempts"`
	Queue       string `json:"queue"`
	Priority    int    `json:"priority"` // 1 (first) to 4 (last)

	Progress *Progress `json:"progress"` // what the function reported last; null if it reported nothing
	Version  string    `json:"version"`  // the function's version that ran last; empty before the first attempt ended
	Tags     []string  `json:"tags"`

	Schedule string     `json:"schedule,omitempty"` // the schedule that made it
	Tick     *time.Time `json:"tick,omitempty"`     // the schedule's tick; nil when it was run by hand

	RerunOf int64 `json:"rerun_of,omitempty,string"` // the job that this one repeats; 0 for none

	CreatedAt   time.Time  `json:"created_at"`
	ScheduledAt time.Time  `json:"scheduled_at"` // not run before this time
	StartedAt   *time.Time `json:"started_at"`   // when the last attempt began
	FinishedAt  *time.Time `json:"finished_at"`
	Node        string     `json:"node"` // the node of the last attempt

	// Timeline is the attempts that ended or run, in order. Get alone reads it.
	Timeline []TimelineEntry `json:"timeline,omitempty"`

	// Omitted names the fields, "input" or "output", that are null only because they are large: lists and
	// channels leave them out, Get does not.
	Omitted []string `json:"omitted,omitempty"`

	// Replayed says that Submit answered with an earlier job that had the same idempotency key.
	Replayed bool `json:"-"`
	// Outcome says that Submit answered with an earlier job, and why; empty for a new one.
	Outcome Outcome `json:"outcome,omitempty"`
}

// Progress is what a running function reported about itself.
type Progress struct {
	Percent float64   `json:"percent"` // 0 to 100
	Message string    `json:"message"`
	At      time.Time `json:"at"`
}

// LogLine is one line that a function logged.
type LogLine struct {
	Seq     int64           `json:"seq,string"` // grows with each line of a job, with gaps
	Attempt int             `json:"attempt"`
	At      time.Time       `json:"at"`
	Level   string          `json:"level"` // debug, info, warn or error
	Message string          `json:"message"`
	Fields  json.RawMessage `json:"fields,omitempty"`
}
