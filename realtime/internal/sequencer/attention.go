package sequencer

import "time"

// How long and how often the owner looks at the outbox.
const (
	awakeFor     = 50 * time.Millisecond  // after the last row
	dozingFor    = 100 * time.Millisecond // after being awake, and longer while a transaction that may have rows is open
	awakePoll    = 2 * time.Millisecond   // at least, and
	awakePollMax = 8 * time.Millisecond   // at most: between them, twice the time of a commit
	dozingPoll   = 10 * time.Millisecond
	settleEach   = 250 * time.Millisecond // how often open transactions are looked for
	asleepPoll   = 250 * time.Millisecond
	deafPoll     = 50 * time.Millisecond // asleep, where no notification could wake
)

type mode int

const (
	asleep mode = iota // the gate is open: the first row's transaction notifies
	awake              // the gate is closed
	dozing             // the gate is open, and what slipped through as it opened is looked for
)

// attention decides when the owner looks at the outbox. It is told what was
// found and holds nothing but times.
type attention struct {
	deaf   bool // no notification wakes it
	mode   mode
	since  time.Time // when it began to doze
	until  time.Time // the end of awake; when dozing, when to look for open transactions
	next   time.Time // when to look again
	quiet  bool      // no transaction that saw the gate closed is open
	likely bool      // the next look finds something: the last one did, or the gate called
	commit time.Duration
}

// newAttention is that of a new owner. It dozes: in the last one's time the gate
// may have been closed.
func newAttention(deaf bool, now time.Time) attention {
	return attention{deaf: deaf, mode: dozing, since: now, until: now, next: now}
}

// found is told that there were rows, and whether there are more or somebody
// waits for the next ones. Otherwise there is a pause, in which more come
// together: a batch costs several times what a row does.
func (a *attention) found(now time.Time, more bool) {
	a.mode, a.until, a.quiet, a.likely = awake, now.Add(awakeFor), false, true
	a.next = now
	if !more {
		a.next = now.Add(a.poll(now))
	}
}

// nothing is told that the outbox was empty.
func (a *attention) nothing(now time.Time) {
	if a.mode == awake && !now.Before(a.until) {
		a.mode, a.since, a.until, a.quiet = dozing, now, now.Add(dozingFor), false
	}
	if a.mode == dozing && a.quiet {
		a.mode = asleep
	}
	a.next, a.likely = now.Add(a.poll(now)), false
}

// drowsy says that it would sleep if nobody had an open transaction with rows.
func (a *attention) drowsy(now time.Time) bool { return a.mode == dozing && !now.Before(a.until) }

// settled is told whether there is none.
func (a *attention) settled(quiet bool, now time.Time) { a.quiet, a.until = quiet, now.Add(settleEach) }

// woken is told that the gate notified.
func (a *attention) woken(now time.Time) { a.next, a.likely = now, true }

// expects says that a look is likely to find rows, so that it need not be
// preceded by a cheaper one.
func (a *attention) expects() bool { return a.likely }

// took is told how long a commit took.
func (a *attention) took(d time.Duration) { a.commit = (7*a.commit + d) / 8 }

// due says whether to look now.
func (a *attention) due(now time.Time) bool { return !now.Before(a.next) }

// poll is the time to the next look. Awake, it grows with the time of a commit:
// on a slow disk a lone publisher pays for ours, and on a busy machine all do.
// While a transaction stays open, it becomes a thousandth of the time that this
// has taken, and never more than asleep.
func (a *attention) poll(now time.Time) time.Duration {
	sleep := asleepPoll
	if a.deaf {
		sleep = deafPoll
	}
	switch a.mode {
	case awake:
		return min(max(awakePoll, 2*a.commit), awakePollMax)
	case dozing:
		return min(max(dozingPoll, now.Sub(a.since)/1000), sleep)
	case asleep:
	}
	return sleep
}
