package jobs

import (
	"time"

	"github.com/riverqueue/river/rivertype"
)

// AttemptEnd is an attempt whose outcome this node has recorded.
type AttemptEnd struct {
	JobID    int64
	Function string
	State    State         // what became of the job; queued and scheduled: it was handed back or on, at no attempt
	Lost     bool          // the attempt ended with its node, so its times are not known
	Waited   time.Duration // from when the job was due to the beginning of the attempt
	Took     time.Duration
	Failure  *Failure // nil for none
}

// observer is told of attempts that ended; nil: nobody wants to know.
type observer func(*AttemptEnd)

// ended tells of an attempt whose outcome is recorded.
func (tell observer) ended(a *attempt, out *outcome) {
	if tell != nil {
		tell(&AttemptEnd{
			JobID: a.id, Function: a.function, State: stateOf(out.state), Waited: max(0, a.waited), Took: max(0, a.took), Failure: out.failure,
		})
	}
}

// lost tells of an attempt that ended with its node, by what became of its job.
func (tell observer) lost(function string, job int64, state rivertype.JobState) {
	if tell == nil {
		return
	}

	if state == rivertype.JobStateAvailable {
		state = rivertype.JobStateRetryable // it runs again, and the attempt counts
	}

	tell(&AttemptEnd{JobID: job, Function: function, State: stateOf(state), Lost: true, Failure: lostFailure()})
}
