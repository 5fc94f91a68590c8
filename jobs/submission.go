package jobs

import (
	"encoding/json"
	"time"
)

// What a job gets when neither its options nor its function's settings say otherwise.
const (
	DefaultQueue       = "default"
	DefaultPriority    = 2 // so that something can go first, and something last
	DefaultMaxAttempts = 5
	DefaultTimeout     = time.Minute
	DefaultMaxInput    = 4 << 20 // bytes of JSON
)

// Submission asks for one run of a function.
type Submission struct {
	Function string          // dotted name, such as orders.charge
	Input    json.RawMessage // any JSON value that jsonb can hold, at most Config.MaxInput bytes; empty means null
	Options  Options
}

// Options change how one job runs. A zero field takes the function's setting, and then the default.
type Options struct {
	Queue       string        // letters, digits, '_' and '-', at most 64
	Priority    int           // 1 (first) to 4 (last)
	MaxAttempts int           // 1 to 100
	Timeout     time.Duration // of one attempt: 1 ms to 24 h
	SoftTimeout time.Duration // of one attempt, below the timeout: the function is told, and may clean up and return
	RunAt       time.Time     // not before; a time in the past means now; at most ten years ahead
	Delay       time.Duration // the same, counted from the moment of insertion; not together with RunAt
	Tags        []string      // at most 20, each 3 to 100 letters, digits, '_' and inner '-'
	Backoff     Backoff       // the wait between attempts

	// At most one of them. It replaces the function's.
	Unique   *Unique
	Debounce *Debounce // not together with RunAt or Delay
	Throttle *Throttle // without Drop, not together with RunAt or Delay

	// Event describes the event that led to the job: a JSON object of at most 16 KiB, which the function gets beside
	// its input.
	Event json.RawMessage

	// Callback asks that the job's end be told to a URL. It replaces the function's.
	Callback *Callback

	// Traceparent is the W3C trace context that the job's attempts go on with; empty means that of Submit's context.
	Traceparent string

	// IdempotencyKey, up to 255 printable ASCII characters: a second submission with the same key within
	// 24 hours returns the first one's job if it asks for the same, and ErrIdempotencyMismatch if not.
	IdempotencyKey string
}

// Result is what became of one submission of SubmitMany: Err is nil and Job is set, or the other way round.
type Result struct {
	Job Job
	Err error
}

// ListQuery selects jobs. Zero fields do not filter. In JSON it is a filter: without the page.
type ListQuery struct {
	Function string `json:"function,omitempty"`
	State    State  `json:"state,omitempty"`
	Queue    string `json:"queue,omitempty"`
	Tag      string `json:"tag,omitempty"`
	Schedule string `json:"schedule,omitempty"` // jobs of this schedule's ticks, and those of it that were run by hand
	Key      string `json:"key,omitempty"`      // the value that a function's limits count by: of concurrency or of rate
	Error    string `json:"error,omitempty"`    // a text within the last failure, in small letters or capitals

	// Jobs that were made from CreatedAfter on, and before CreatedBefore.
	CreatedAfter  time.Time `json:"created_after,omitzero"`
	CreatedBefore time.Time `json:"created_before,omitzero"`

	Limit  int    `json:"-"` // 1 to 500, 0 means 50
	Cursor string `json:"-"` // Page.Next of the page before; empty for the newest jobs
}

// Page is a part of a list, newest jobs first. With filters it may hold fewer jobs than asked for, even none,
// while Next is set: one call looks at a bounded number of rows.
type Page struct {
	Jobs []Job  `json:"jobs"`
	Next string `json:"next"` // empty on the last page
}

// CountLimit bounds every count in Stats: a count that reached it means "at least so many".
const CountLimit = 10_000

// Stats is the state of the whole installation.
type Stats struct {
	States     map[State]int `json:"states"`
	Queues     []QueueStats  `json:"queues"`
	Nodes      []Node        `json:"nodes"`
	CountLimit int           `json:"count_limit"`
	// Estimates say how many there are about of the states whose count reached the limit, by Postgres' own statistics:
	// as of its last ANALYZE, from a sample. A state of which there are many is off by some percent.
	Estimates map[State]int64 `json:"estimates,omitempty"`
}

// QueueStats counts the unfinished jobs of one queue.
type QueueStats struct {
	Name    string `json:"name"`
	Queued  int    `json:"queued"`
	Running int    `json:"running"`
}

// Node is one running instance of millrace.
type Node struct {
	ID          string          `json:"id"`
	Name        string          `json:"name"`
	StartedAt   time.Time       `json:"started_at"`
	HeartbeatAt time.Time       `json:"heartbeat_at"`
	Draining    bool            `json:"draining"`
	Alive       bool            `json:"alive"` // heard from within the last 10 s
	Info        json.RawMessage `json:"info"`
}
