package sequencer

import "time"

// How long and how often the owner looks at the outbox.
const (
	awakeFor     = 50 * time.Millisecond  // after the last row
	dozingFor    = 100 * time.Millisecond // after being awake
	awakePoll    = 2 * time.Millisecond
	awakePollLag = 5 * time.Millisecond // where a commit takes over slowCommit: a lone publisher pays for our fsyncs
	dozingPoll   = 10 * time.Millisecond
	asleepPoll   = 250 * time.Millisecond
	deafPoll     = 50 * time.Millisecond // asleep, where no notification could wake
	slowCommit   = time.Millisecond
)

type mode int

const (
	asleep mode = iota // the gate is open: the first row's transaction notifies
	awake              // the gate is closed
	dozing             // the gate is open, and what slipped through as it opened is looked for
)

// attention decides when the owner looks at the outbox. It is told what was
// found and holds nothing but times. The zero value is asleep and due.
type attention struct {
	deaf   bool // nobody can wake it
	mode   mode
	until  time.Time // the end of awake or dozing
	next   time.Time // when to look again
	called bool      // by the gate, so that there is something
	commit time.Duration
}

// found is told that there were rows.
func (a *attention) found(now time.Time) {
	a.mode, a.until, a.next, a.called = awake, now.Add(awakeFor), now, false
}

// nothing is told that the outbox was empty.
func (a *attention) nothing(now time.Time) {
	if a.mode == awake && !now.Before(a.until) {
		a.mode, a.until = dozing, now.Add(dozingFor)
	}
	if a.mode == dozing && !now.Before(a.until) {
		a.mode = asleep
	}
	a.next, a.called = now.Add(a.poll()), false
}

// woken is told that the gate notified.
func (a *attention) woken(now time.Time) { a.next, a.called = now, true }

// expects says that a look is likely to find rows, so that it need not be
// preceded by a cheaper one.
func (a *attention) expects(now time.Time) bool {
	return a.called || (a.mode == awake && a.until.Sub(now) > awakeFor/2)
}

// took is told how long a commit took.
func (a *attention) took(d time.Duration) { a.commit = (7*a.commit + d) / 8 }

// due says whether to look now.
func (a *attention) due(now time.Time) bool { return !now.Before(a.next) }

func (a *attention) poll() time.Duration {
	switch {
	case a.mode == asleep && a.deaf:
		return deafPoll
	case a.mode == asleep:
		return asleepPoll
	case a.mode == dozing:
		return dozingPoll
	case a.commit > slowCommit:
		return awakePollLag
	default:
		return awakePoll
	}
}
