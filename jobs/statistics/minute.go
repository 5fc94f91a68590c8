package statistics

import (
	"sync"
	"time"

	"github.com/millrace-dev/millrace/jobs"
)

const (
	// minuteFunctions bounds the functions that a node counts apart; those that come beyond are counted together.
	minuteFunctions = 2_000
	// OtherFunctions stands in statistics for the functions beyond the bound.
	OtherFunctions = "(other)"

	// minutesKept is how many minutes of functions wait for a Postgres that does not answer. What comes beyond goes, the
	// oldest first.
	minutesKept = 20_000
)

// series are a function's counts of one minute or one hour on this node.
type series struct {
	seconds                            int
	at                                 int64 // seconds of Unix
	function                           string
	completed, failed, dead, cancelled int64
	wait, run                          histogram
	dirty                              bool
	changes                            int64
}

func (s *series) add(state jobs.State, waited, took time.Duration) {
	s.dirty = true
	s.changes++
	s.wait.add(waited)
	s.run.add(took)

	switch state { //nolint:exhaustive // those that end an attempt
	case jobs.StateCompleted:
		s.completed++
	case jobs.StateCancelled:
		s.cancelled++
	case jobs.StateFailed:
		s.failed++
		s.dead++
	case jobs.StateRetrying:
		s.failed++
	}
}

// functionTally is what is being counted for a function now.
type functionTally struct{ minute, hour *series }

// minutes count the attempts of each function on this node: one addition in memory for each, and the rows are written
// every few seconds (tally). They hold whole counts, so a row is written again as it grows.
type minutes struct {
	mu        sync.Mutex
	functions map[string]*functionTally
	past      []*series // minutes and hours that are over and not stored yet
}

func newMinutes() *minutes { return &minutes{functions: make(map[string]*functionTally)} }

// add counts an attempt that ended at now. An attempt that was handed back or on is none.
func (m *minutes) add(now time.Time, function string, state jobs.State, waited, took time.Duration) {
	if state == jobs.StateQueued || state == jobs.StateScheduled {
		return
	}

	m.mu.Lock()
	defer m.mu.Unlock()

	f := m.functions[function]
	if f == nil {
		if len(m.functions) >= minuteFunctions {
			function = OtherFunctions
		}

		if f = m.functions[function]; f == nil {
			f = &functionTally{}
			m.functions[function] = f
		}
	}

	f.minute = m.current(f.minute, 60, now.Unix(), function)
	f.hour = m.current(f.hour, 3600, now.Unix(), function)

	f.minute.add(state, waited, took)
	f.hour.add(state, waited, took)
}

// current returns the series that now belongs to: s, or a new one in its place. The caller holds m.mu.
func (m *minutes) current(s *series, seconds int, now int64, function string) *series {
	at := now - now%int64(seconds)
	if s != nil && s.at == at {
		return s
	}

	if s != nil && s.dirty {
		m.past = append(m.past, s)
	}

	if len(m.past) > minutesKept {
		m.past = m.past[len(m.past)-minutesKept:]
	}

	return &series{seconds: seconds, at: at, function: function}
}

// snapshot copies what is not stored, at most limit series, and returns where the copies came from.
func (m *minutes) snapshot(limit int) (copies []series, from []*series) {
	m.mu.Lock()
	defer m.mu.Unlock()

	take := func(s *series) {
		if s != nil && s.dirty && len(from) < limit {
			copies = append(copies, *s)
			from = append(from, s)
		}
	}

	for _, s := range m.past {
		take(s)
	}

	for _, f := range m.functions {
		take(f.minute)
		take(f.hour)
	}

	return copies, from
}

// stored marks what did not change since its copy was taken, and forgets functions that have not run for an hour.
func (m *minutes) stored(copies []series, from []*series, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()

	for i, s := range from {
		s.dirty = s.changes != copies[i].changes
	}

	past := m.past[:0]

	for _, s := range m.past {
		if s.dirty {
			past = append(past, s)
		}
	}

	clear(m.past[len(past):])
	m.past = past

	for name, f := range m.functions {
		if !f.minute.dirty && !f.hour.dirty && f.hour.at+3600 <= now.Unix() {
			delete(m.functions, name)
		}
	}
}
