package statistics

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/millrace-dev/millrace/jobs"
)

const (
	// failureSamples is how many jobs a group names: the last ones.
	failureSamples = 10
	// failurePending bounds the failures whose kind is looked at later; with more, whoever brings one does it himself.
	failurePending = 10_000
	// failureGroups bounds the kinds that gather between two writes. What comes beyond is counted as one kind for each
	// function and code.
	failureGroups  = 1_000
	failureMessage = 1 << 10 // bytes of a group's message

	otherFailures = "(other messages)"
)

// failed is an attempt's failure before its kind is known.
type failed struct {
	function string
	job      int64
	failure  *jobs.Failure
	at       time.Time
}

// gathered is what a group gained since it was written last.
type gathered struct {
	id, function, code, pattern, frame, message string
	count                                       int64
	first, last                                 time.Time
	jobs                                        []int64 // the newest first
}

// failures gather this node's failed attempts by their kind. Adding one costs the finisher an append; the kinds are
// found out by the tally's own goroutine.
type failures struct {
	mu      sync.Mutex
	pending []failed
	groups  map[string]*gathered
}

func newFailures() *failures { return &failures{groups: make(map[string]*gathered)} }

// add takes a failure.
func (f *failures) add(one failed) {
	f.mu.Lock()
	defer f.mu.Unlock()

	if f.pending = append(f.pending, one); len(f.pending) >= failurePending {
		f.digest()
	}
}

// digest puts what is pending into groups. The caller holds f.mu.
func (f *failures) digest() {
	for i := range f.pending {
		one := &f.pending[i]
		pattern, frame := patternOf(one.failure.Message), frameOf(one.failure.Stack)
		id := fingerprint(one.function, one.failure.Code, pattern, frame)

		if f.groups[id] == nil && len(f.groups) >= failureGroups {
			pattern, frame = otherFailures, ""
			id = fingerprint(one.function, one.failure.Code, pattern, frame)
		}

		g := f.groups[id]
		if g == nil {
			g = &gathered{id: id, function: one.function, code: one.failure.Code, pattern: pattern, frame: frame, first: one.at}
			f.groups[id] = g
		}

		g.count++
		g.last = one.at
		g.message = cutText(one.failure.Message, failureMessage)
		g.jobs = slices.Insert(g.jobs, 0, one.job)
		g.jobs = g.jobs[:min(len(g.jobs), failureSamples)]
	}

	f.pending = f.pending[:0]
	if cap(f.pending) > failurePending/2 {
		f.pending = nil
	}
}

// take returns what gathered, by id. What cannot be stored is given back with putBack.
func (f *failures) take() []*gathered {
	f.mu.Lock()
	defer f.mu.Unlock()

	f.digest()

	list := make([]*gathered, 0, len(f.groups))
	for _, g := range f.groups {
		list = append(list, g)
	}

	slices.SortFunc(list, func(a, b *gathered) int { return strings.Compare(a.id, b.id) })
	clear(f.groups)

	return list
}

// putBack adds to what gathers now what could not be stored.
func (f *failures) putBack(list []*gathered) {
	f.mu.Lock()
	defer f.mu.Unlock()

	for _, old := range list {
		g := f.groups[old.id]
		if g == nil {
			f.groups[old.id] = old

			continue
		}

		g.count += old.count
		g.first = old.first
		g.jobs = append(g.jobs, old.jobs...)
		g.jobs = g.jobs[:min(len(g.jobs), failureSamples)]
	}
}

// failureArguments are those of failure_save.sql.
func failureArguments(list []*gathered) []any {
	texts := make([][]string, 7)
	counts := make([]int64, len(list))
	first, last := make([]time.Time, len(list)), make([]time.Time, len(list))

	for i, g := range list {
		jobs := strings.Trim(strings.Join(strings.Fields(fmt.Sprint(g.jobs)), ","), "[]")

		for j, text := range []string{g.id, g.function, g.code, g.pattern, g.frame, g.message, "{" + jobs + "}"} {
			texts[j] = append(texts[j], text)
		}

		counts[i], first[i], last[i] = g.count, g.first, g.last
	}

	return []any{texts[0], texts[1], texts[2], texts[3], texts[4], texts[5], counts, first, last, texts[6]}
}
