package apiclient

import (
	"encoding/json"
	"fmt"
	"time"
)

// State of a job, in the words of the API.
type State string

// The states.
const (
	StateQueued    State = "queued"
	StateScheduled State = "scheduled"
	StateRunning   State = "running"
	StateRetrying  State = "retrying"
	StateCompleted State = "completed"
	StateFailed    State = "failed"
	StateCancelled State = "cancelled"
)

// Finished tells that the job will not change any more unless somebody retries it.
func (s State) Finished() bool {
	return s == StateCompleted || s == StateFailed || s == StateCancelled
}

// Job is one durable call of a function.
type Job struct {
	ID          int64           `json:"id,string"`
	Function    string          `json:"function"`
	State       State           `json:"state"`
	WaitingFor  string          `json:"waiting_for,omitempty"` // what keeps it from running; of one job that is read alone
	Input       json.RawMessage `json:"input"`
	Output      json.RawMessage `json:"output"` // null while there is none
	Error       *Failure        `json:"error"`
	Attempt     int             `json:"attempt"`
	MaxAttempts int             `json:"max_attempts"`
	Queue       string          `json:"queue"`
	Priority    int             `json:"priority"`
	Progress    *Progress       `json:"progress"`
	Version     string          `json:"version"`
	Tags        []string        `json:"tags"`
	CreatedAt   time.Time       `json:"created_at"`
	ScheduledAt time.Time       `json:"scheduled_at"`
	StartedAt   *time.Time      `json:"started_at"`
	FinishedAt  *time.Time      `json:"finished_at"`
	Node        string          `json:"node"`
	RerunOf     int64           `json:"rerun_of,omitempty,string"` // the job that this one repeats; 0 for none
	Timeline    []Attempt       `json:"timeline,omitempty"`        // of one job that is read alone
}

// Attempt is one entry of a job's timeline.
type Attempt struct {
	Attempt   int        `json:"attempt"`
	Node      string     `json:"node"`
	NodeName  string     `json:"node_name,omitempty"`
	StartedAt *time.Time `json:"started_at"`
	EndedAt   *time.Time `json:"ended_at"`
	Outcome   string     `json:"outcome"` // running, completed, failed, cancelled or lost
	Error     *Failure   `json:"error,omitempty"`
}

// Failure is why the last attempt of a job did not succeed. It is an error, so that a caller who waits for
// a job can return it.
type Failure struct { //nolint:errname // the API's own word
	Code      string `json:"code"`
	Message   string `json:"message"`
	Stack     string `json:"stack,omitempty"`
	Retryable bool   `json:"retryable"`
}

// Error says code and message.
func (f *Failure) Error() string { return fmt.Sprintf("%s: %s", f.Code, f.Message) }

// Progress is what the running function last reported.
type Progress struct {
	Percent float64   `json:"percent"` // 0 to 100
	Message string    `json:"message"`
	At      time.Time `json:"at"`
}

// LogLine is one line that a job wrote.
type LogLine struct {
	Seq     int64           `json:"seq,string"` // grows with each line of a job, with gaps
	Attempt int             `json:"attempt"`
	At      time.Time       `json:"at"`
	Level   string          `json:"level"`
	Message string          `json:"message"`
	Fields  json.RawMessage `json:"fields,omitempty"`
}

// Options of a submission; zero fields leave the choice to the function's own settings.
type Options struct {
	Queue       string
	Priority    int // 1 (first) to 4
	MaxAttempts int
	Timeout     time.Duration // of one attempt
	SoftTimeout time.Duration // when the function is told that its timeout comes
	RunAt       time.Time
	Delay       time.Duration
	Tags        []string
	// IdempotencyKey makes a second submission with the same key answer with the first one's job. One is
	// made when it is empty, so that a submission can be sent again after a cut connection.
	IdempotencyKey string
}
