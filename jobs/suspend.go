package jobs

import (
	"errors"
	"fmt"
	"time"

	"github.com/riverqueue/river/rivertype"
)

// Suspension is what an executor returns for a function that wants to go on later: it sleeps, waits, or puts itself off. It
// is not a failure, and charges the job no attempt. It is an error so that it travels where errors do; wrapping is allowed.
type Suspension struct { //nolint:errname // it is no error to users
	// Delay is until the job runs again; negative means when something wakes it.
	Delay time.Duration
}

// Error says what becomes of the job.
func (s *Suspension) Error() string {
	if s.Delay < 0 {
		return "the job is suspended until something wakes it"
	}

	return fmt.Sprintf("the job is suspended for %s", s.Delay)
}

// Snooze puts a job off: returned by a function as its error, it has the job run again after d, at no attempt. What was
// recorded of its steps stays.
func Snooze(d time.Duration) error { return &Suspension{Delay: max(d, 0)} }

// maxSuspensions bounds the number of an attempt, which is a smallint in the table and grows with each suspension.
const maxSuspensions = 32_000

// farFuture is the delay of what waits to be woken.
const farFuture = 100 * 365 * 24 * time.Hour

// suspended is the outcome of a function that goes on later. The number of the attempt stays, since the fence rests on it;
// the row's most attempts grow instead.
func (a *attempt) suspended(suspension *Suspension, settings Settings) outcome {
	if a.number >= maxSuspensions {
		return a.failed(&Failure{
			Code:    CodeSuspensions,
			Message: fmt.Sprintf("the job was put off %d times, which is the most", a.run.Steps.Suspended),
		}, settings)
	}

	delay := suspension.Delay
	if delay < 0 || delay > farFuture {
		delay = farFuture
	}

	return outcome{
		state: rivertype.JobStateScheduled, delay: delay, suspended: a.run.Steps.Suspended + 1, version: settings.Version,
	}
}

func suspensionOf(err error) *Suspension {
	suspension, _ := errors.AsType[*Suspension](err)

	return suspension
}
