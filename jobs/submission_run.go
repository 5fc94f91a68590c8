package jobs

import (
	"encoding/json"
	"time"
)

// runOptions are what a submission says of the job's attempts. They stand in the row's metadata as "run", in one value,
// so that a claim reads them all at the price of one; a job that says nothing has none.
type runOptions struct {
	Timeout int64           `json:"timeout_ms,omitempty"`      // Options.Timeout
	Soft    int64           `json:"soft_timeout_ms,omitempty"` // Options.SoftTimeout
	Backoff *Backoff        `json:"backoff,omitempty"`
	Event   json.RawMessage `json:"event,omitempty"`
	Trace   string          `json:"trace,omitempty"` // Options.Traceparent
	Steps   stepOptions     `json:"steps,omitzero"`  // no part of a submission: what its attempts have left
}

// stepOptions are what a claim must know of a job's durable steps, as Postgres writes it (migrations/0016_steps).
type stepOptions struct {
	Opened    bool   `json:"opened,omitempty"`    // there is a history
	Version   string `json:"version,omitempty"`   // that the job goes on with
	Suspended int    `json:"suspended,omitempty"` // how often; attempts that do not count
}

func runOptionsOf(opts *Options) runOptions {
	run := runOptions{
		Timeout: opts.Timeout.Milliseconds(), Soft: opts.SoftTimeout.Milliseconds(), Event: opts.Event, Trace: opts.Traceparent,
	}
	if !opts.Backoff.IsZero() {
		run.Backoff = &opts.Backoff
	}

	return run
}

func (r *runOptions) none() bool {
	return r.Timeout == 0 && r.Soft == 0 && r.Backoff == nil && len(r.Event) == 0 && r.Trace == ""
}

// timeouts are the hard and the soft time limit of an attempt, the soft one 0 when there is none. A soft one that does
// not come before the hard one is none: they may have been said in different places.
func (r *runOptions) timeouts(settings *Settings) (hard, soft time.Duration) {
	hard = firstPositive(time.Duration(r.Timeout)*time.Millisecond, settings.Timeout, DefaultTimeout)
	soft = firstPositive(time.Duration(r.Soft)*time.Millisecond, settings.SoftTimeout)

	if soft >= hard {
		soft = 0
	}

	return hard, soft
}

// parseRun reads metadata's run. Whoever inserts rows with SQL may have put anything there, and a row that cannot be
// read must not hold up the others of its claim: what makes no sense counts as not said.
func parseRun(text *string) runOptions {
	if text == nil {
		return runOptions{}
	}

	var run runOptions
	if err := json.Unmarshal([]byte(*text), &run); err != nil {
		return runOptions{}
	}

	if run.Timeout < 0 || run.Timeout > maxTimeout.Milliseconds() {
		run.Timeout = 0
	}

	if run.Soft < 0 || run.Soft > maxTimeout.Milliseconds() {
		run.Soft = 0
	}

	if run.Steps.Suspended < 0 || run.Steps.Suspended > maxSuspensions {
		run.Steps.Suspended = 0
	}

	if run.Backoff != nil && run.Backoff.Validate() != nil {
		run.Backoff = nil
	}

	return run
}
