package durable

import (
	"encoding/json"
	"time"

	"github.com/millrace-dev/millrace/jobs"
	"github.com/millrace-dev/millrace/jobs/steps"
)

// Operation is one durable operation that a function asked for in this attempt.
type Operation struct {
	steps.Entry

	run       *Run
	inHistory bool
	before    bool // ended in an earlier attempt, and told there
	mine      bool // a step whose function is to run, and has not ended
	overlaps  bool
	due       time.Time // zero for never
	call      *jobs.Call
	told      bool

	// Tag is the caller's own.
	Tag int
}

// Status is what the function has to do about an operation.
type Status int

// The statuses of an operation.
const (
	// Ended has a Value or an Error, to be told to the function (Tell).
	Ended Status = iota
	// ToRun is a step whose function is to be called, and then End.
	ToRun
	// Waits may have to be written yet (Flush), and ends in this attempt at most if that finds an event.
	Waits
)

// Status is what is to be done.
func (op *Operation) Status() Status {
	op.run.mu.Lock()
	defer op.run.mu.Unlock()

	switch {
	case op.State != steps.StateWaiting && (op.inHistory || op.Kind != steps.KindSend):
		return Ended
	case op.Kind == steps.KindStep && (op.mine || op.due.IsZero() || !time.Now().Before(op.due)):
		op.mine = true

		return ToRun
	default:
		return Waits
	}
}

// Retry is how often a step is tried again by itself, and how long after.
type Retry struct {
	Times   int // after the first try
	Backoff jobs.Backoff
}

// End is what became of a step's function: failure is nil when it returned value, which is JSON. A failed step that may
// be tried again waits for that. Flush writes it.
func (op *Operation) End(value json.RawMessage, failure *steps.Failure, retry Retry) {
	r := op.run

	r.mu.Lock()
	defer r.mu.Unlock()

	if failure == nil {
		if err := jobs.CheckStored(value); err != nil {
			failure = &steps.Failure{Code: jobs.CodeInvalidOutput, Message: "the step's result " + err.Error()}
		}
	}

	op.mine = false
	op.DueAt, op.WaitMS = nil, nil

	switch {
	case failure == nil:
		op.State, op.Value, op.Error = steps.StateDone, value, nil
		r.bytes += len(value)
	case failure.Retryable && op.Tries < retry.Times:
		op.Tries++
		op.Error = jobs.StorableFailure(failure)
		ms := retry.Backoff.Delay(op.Tries).Milliseconds()
		op.WaitMS, op.due = &ms, time.Now().Add(time.Duration(ms)*time.Millisecond)
	default:
		op.Tries++
		op.State, op.Error = steps.StateFailed, jobs.StorableFailure(failure)
	}

	r.queue = append(r.queue, op)
}

// Drop takes back that a step was begun: its function was cut off, and nothing is to be recorded of it.
func (op *Operation) Drop() {
	op.run.mu.Lock()
	defer op.run.mu.Unlock()
	op.mine = false
	delete(op.run.underWay, op)
}

// Tell notes that the function is being told how the operation ended. What ended is told in the order of Turn.
func (op *Operation) Tell() {
	r := op.run

	r.mu.Lock()
	defer r.mu.Unlock()

	if op.told {
		return
	}

	op.told = true
	delete(r.underWay, op)

	if op.before {
		r.unheard--
	}
}
