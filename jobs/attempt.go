package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"github.com/riverqueue/river/rivertype"
)

// Why an attempt's context ended.
var (
	errTimedOut   = errors.New("the attempt's time is over")
	errCancelled  = errors.New("the job was cancelled")
	errDraining   = errors.New("the node is stopping")
	errSuperseded = errors.New("the attempt is not ours any more")
)

// attempt is one claim of a job by this process, from the claim to the recorded finish. The pair of its number
// and this process' client id never comes again, which is what fencing rests on (see the package's doc).
type attempt struct {
	id       int64
	number   int
	max      int
	function string
	queue    string
	input    json.RawMessage
	run      runOptions    // from the submission; what it does not say is the function's
	waited   time.Duration // from when the job was due to the claim
	limited  bool          // it came out of a lane: its end frees a slot
	claimed  time.Time
	begunAt  time.Time     // of its function
	took     time.Duration // by its function

	mu     sync.Mutex
	begun  bool
	ended  bool               // its function returned, or was given up
	cause  error              // the first reason to stop, nil while there is none
	cancel context.CancelFunc // nil before its function runs

	older *attempt // another attempt of the same job, still in this process after a lost lease
}

// begin marks the attempt as under way.
func (a *attempt) begin() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.begun, a.begunAt = true, time.Now()
}

// counted is the attempt's number as users count: without those that ended in a suspension.
func (a *attempt) counted() int { return max(a.number-a.run.Steps.Suspended, 1) }

// counts is the most attempts in the same way.
func (a *attempt) counts() int { return max(a.max-a.run.Steps.Suspended, 1) }

// within returns the context in which the function runs: it ends after timeout, with ctx, or when the attempt is
// stopped. It is one context for all three, since every job pays for it; whyEnded tells them apart.
func (a *attempt) within(ctx context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, errTimedOut)

	a.mu.Lock()
	defer a.mu.Unlock()

	if a.cancel = cancel; a.cause != nil {
		cancel()
	}

	return ctx, cancel
}

// whyEnded is the reason why the attempt's context ended, nil while it has not. River's own cancellation means that
// the node stops, unless somebody used River's tools to cancel the job.
func (a *attempt) whyEnded(ctx context.Context) error {
	if cause := a.whyStopped(); cause != nil {
		return cause
	}

	switch cause := context.Cause(ctx); {
	case cause == nil:
		return nil
	case errors.Is(cause, errTimedOut):
		return errTimedOut
	case errors.Is(cause, rivertype.ErrJobCancelledRemotely):
		return errCancelled
	default:
		return errDraining
	}
}

// stop ends the attempt's context. The first cause stays.
func (a *attempt) stop(cause error) {
	a.mu.Lock()
	defer a.mu.Unlock()

	if a.cause == nil {
		a.cause = cause
	}

	if a.cancel != nil {
		a.cancel()
	}
}

// end marks that the function is done with, so that nobody announces or stops it any more.
func (a *attempt) end() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ended, a.took = true, time.Since(a.begunAt)
}

// whyStopped is the first cause given to stop, nil when there was none.
func (a *attempt) whyStopped() error {
	a.mu.Lock()
	defer a.mu.Unlock()

	return a.cause
}

func (a *attempt) status() (begun, ended bool) {
	a.mu.Lock()
	defer a.mu.Unlock()

	return a.begun, a.ended
}

// attempts are all that this process holds a claim on.
type attempts struct {
	mu   sync.Mutex
	byID map[int64]*attempt
	n    int
}

func newAttempts() *attempts { return &attempts{byID: make(map[int64]*attempt)} }

func (s *attempts) add(claims []*attempt) {
	s.mu.Lock()
	defer s.mu.Unlock()

	for _, a := range claims {
		a.older = s.byID[a.id]
		s.byID[a.id] = a
	}

	s.n += len(claims)
}

func (s *attempts) get(id int64, number int) *attempt {
	s.mu.Lock()
	defer s.mu.Unlock()

	for a := s.byID[id]; a != nil; a = a.older {
		if a.number == number {
			return a
		}
	}

	return nil
}

// remove forgets an attempt; a second time does nothing.
func (s *attempts) remove(gone *attempt) {
	s.mu.Lock()
	defer s.mu.Unlock()

	first := s.byID[gone.id]
	if first == gone {
		if gone.older == nil {
			delete(s.byID, gone.id)
		} else {
			s.byID[gone.id] = gone.older
		}

		s.n--

		return
	}

	for a := first; a != nil; a = a.older {
		if a.older == gone {
			a.older = gone.older
			s.n--

			return
		}
	}
}

// all returns what is held at this moment.
func (s *attempts) all() []*attempt {
	s.mu.Lock()
	defer s.mu.Unlock()

	list := make([]*attempt, 0, s.n)
	for _, a := range s.byID {
		for ; a != nil; a = a.older {
			list = append(list, a)
		}
	}

	return list
}

func (s *attempts) len() int {
	s.mu.Lock()
	defer s.mu.Unlock()

	return s.n
}

// stopAll ends every attempt that is held now.
func (s *attempts) stopAll(cause error) {
	for _, a := range s.all() {
		a.stop(cause)
	}
}
