package runtimes

import (
	"context"
	"encoding/json"
	"time"

	"github.com/millrace-dev/millrace/functions/durable"
	"github.com/millrace-dev/millrace/jobs"
)

// Host is what a running function can ask of the platform: the operations of its ctx. Methods are safe for
// concurrent use. What goes wrong is told to the function, which may catch it.
type Host interface {
	// Progress replaces the job's progress; percent is clamped to 0..100.
	Progress(percent float64, message string)
	// Log appends a line to the job's log. Level is debug, info, warn or error; fields is JSON or empty.
	Log(level, message string, fields json.RawMessage)
	// Publish sends data, which is JSON, to a channel and returns once it is committed.
	Publish(ctx context.Context, channel string, data json.RawMessage) error
	// Enqueue submits a job and returns its id once it is committed.
	Enqueue(ctx context.Context, request EnqueueRequest) (id string, err error)
	// Now is the present time. It, Random and UUID give the same again when a durable function is replayed.
	Now() time.Time
	// Random is a number in [0, 1).
	Random() float64
	// RandomBytes returns n bytes fit for secrets.
	RandomBytes(n int) []byte
	// UUID is a random UUID, version 4.
	UUID() string
	// Steps is the history of the job, for what is durable; nil where there is none.
	Steps() *durable.Run
}

// EnqueueRequest is ctx.enqueue(function, input, options).
type EnqueueRequest struct {
	Function string
	Input    json.RawMessage // JSON; empty means null
	Options  jobs.Options
}
