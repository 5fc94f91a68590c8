package steps

import (
	"encoding/json"
	"errors"
	"time"
)

// ErrFenced says that the attempt is not the newest one of its job any more: nothing was recorded.
var ErrFenced = errors.New("the attempt was taken away")

// Kind is what an operation does.
type Kind string

// The kinds of operations.
const (
	KindStep   Kind = "step"   // runs a function once
	KindSleep  Kind = "sleep"  // waits for a time
	KindEvent  Kind = "event"  // waits for an event
	KindCall   Kind = "call"   // runs another job and waits for it
	KindSend   Kind = "send"   // sends an event
	KindValues Kind = "values" // what now, random and uuid gave; no operation of its own
)

// State is where an operation stands.
type State string

// The states of an operation.
const (
	StateWaiting State = "waiting"
	StateDone    State = "done"
	StateFailed  State = "failed"
)

// Failure is why a step or a called job failed, as the function gets it.
type Failure struct { //nolint:errname // users know it as a step's failure
	Name      string `json:"name,omitempty"` // of the error's class, in JavaScript
	Code      string `json:"code"`
	Message   string `json:"message"`
	Stack     string `json:"stack,omitempty"`
	Retryable bool   `json:"retryable"`
}

// Error returns the message.
func (f *Failure) Error() string { return f.Message }

// Entry is one operation in a job's history. In JSON it is what record.sql reads.
type Entry struct {
	Position int             `json:"position"` // from 1, in the order in which the function asked
	Kind     Kind            `json:"kind"`
	Name     string          `json:"name"` // with #2 and so on where it is used again
	State    State           `json:"state"`
	Tries    int             `json:"tries"`           // that failed, of a step
	Alone    bool            `json:"alone"`           // nothing else of the job was under way
	Turn     int             `json:"turn,omitempty"`  // its place among what the function has heard of; 0: not heard of
	Value    json.RawMessage `json:"value,omitempty"` // of done
	Error    *Failure        `json:"error,omitempty"` // of failed, and the last one of a step that is to be tried again

	WaitMS *int64          `json:"wait_ms,omitempty"` // until it is due, from now on
	DueAt  *time.Time      `json:"due_at,omitempty"`  // the same, as a time
	Event  string          `json:"event,omitempty"`   // of an event's wait
	Key    *string         `json:"key,omitempty"`
	Match  json.RawMessage `json:"match,omitempty"` // what the event's data must contain
	Child  int64           `json:"child_id,omitempty"`

	Fresh bool          `json:"-"` // as read: it ended since the last attempt looked
	DueIn time.Duration `json:"-"` // as read: until it is due; Never when it has no such time
}

// Never is the DueIn of what is not due by itself.
const Never = time.Duration(1<<63 - 1)

// Fence is what a write to a job's history has to match.
type Fence struct {
	Job     int64
	Attempt int // as it stands in the row
	Client  string
}
