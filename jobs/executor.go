package jobs

import (
	"context"
	"encoding/json"
	"time"
)

// Executor knows the functions and runs them. Package functions provides it.
type Executor interface {
	// Resolve returns the settings of a function's live version, from memory. ErrUnknownFunction when there is none.
	Resolve(ctx context.Context, function string) (Settings, error)

	// Execute runs one attempt and returns its output as JSON. ctx ends at the attempt's deadline, or when the
	// job is cancelled. The error is a *Failure when the function is to blame; ErrNotBegun when ctx ended while the
	// function still waited for room to run in, and ErrInterrupted when others ended it, which both charge it nothing;
	// a *Suspension when it goes on later; any other error counts as a failure of the runtime and is retried.
	Execute(ctx context.Context, run *Run) (output json.RawMessage, err error)
}

// Settings are what a function's live version asks for. Zero fields mean the defaults of this package.
type Settings struct {
	Version     string // content hash of the deployed code
	Queue       string
	Priority    int
	MaxAttempts int
	Timeout     time.Duration // of one attempt
	SoftTimeout time.Duration // the function is told, and may end before the timeout does it; 0 means never
	Backoff     Backoff
	Unique      *Unique // at most one of these three
	Debounce    *Debounce
	Throttle    *Throttle
	Schema      *Schema   // of the input; nil means that anything goes
	Callback    *Callback // of jobs that say none
	Retention   Retention // of finished jobs; what it does not say is the service's
	Limits      Limits    // Claims go by those that are stored (StoreLimits); these say that jobs are to wait in a lane.

	// Elsewhere says that other nodes can run the function and this one cannot: a job of it that is claimed here is
	// handed on, at no attempt.
	Elsewhere bool
}

// Run is one attempt of a job, as the executor sees it.
type Run struct {
	JobID       int64
	Function    string
	Version     string // live at the time of the claim
	Input       json.RawMessage
	Attempt     int // 1 on the first attempt; suspensions do not count
	MaxAttempts int
	Deadline    time.Time
	Soft        time.Time       // when the function is to be told that its deadline comes; zero if never
	Traceparent string          // W3C trace context of the attempt; empty if there is none
	Event       json.RawMessage // Options.Event; empty if there is none
	Report      Reporter
	Steps       StepLog // nil where nothing durable can be done

	// Bytes is where the executor puts a result that is bytes. Then what it returns as the output does not count.
	Bytes Bytes
}

// Reporter takes what a running function says about itself. Its methods are safe for concurrent use, never
// fail, and block for a short time at most, when the database does not keep up with the logs.
type Reporter interface {
	// Progress replaces the job's progress; percent is clamped to 0..100. Calls are coalesced: watchers see
	// at most about ten a second, and always the last one.
	Progress(percent float64, message string)

	// Log appends a line. Unknown levels become info. fields is JSON or empty.
	Log(level, message string, fields json.RawMessage)
}
