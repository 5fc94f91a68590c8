package jobs

import (
	"time"

	"github.com/riverqueue/river/rivertype"
)

// ended counts an attempt whose outcome is recorded. A nil tally counts nothing.
func (t *tally) ended(a *attempt, out *outcome, waited, took time.Duration) {
	if t == nil {
		return
	}

	now := time.Now()
	t.minutes.add(now, a.function, out.state, max(0, waited), max(0, took))

	if out.failure != nil && out.failure.Code != CodeCancelled {
		t.failures.add(failed{function: a.function, job: a.id, failure: out.failure, at: now})
	}
}

// lost counts an attempt that ended with its node, by what became of its job.
func (t *tally) lost(function string, job int64, state rivertype.JobState) {
	if t == nil {
		return
	}

	if state == rivertype.JobStateAvailable {
		state = rivertype.JobStateRetryable // it runs again, and the attempt counts
	}

	now := time.Now()
	t.minutes.add(now, function, state, unknownTime, unknownTime)
	t.failures.add(failed{function: function, job: job, failure: lostFailure(), at: now})
}
