package durable

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/millrace-dev/millrace/jobs"
	"github.com/millrace-dev/millrace/jobs/steps"
)

// errNowhere is of calls that belong to no job.
var errNowhere = errors.New("there is no job here whose steps could be recorded")

// errTooMany refuses an operation behind values that are not in the history.
var errTooMany = fmt.Errorf("ctx.now, ctx.random and ctx.uuid gave more than %d values since the last durable operation: draw them within a step", maxValues)

// errLargeHistory refuses an operation of a job whose results are too much to be read by each attempt.
var errLargeHistory = fmt.Errorf(
	"the results of the job's durable operations have more than %d MiB: keep what is large elsewhere, and return where it is", MaxHistory>>20)

// check finds mistakes in a request.
func (q *Request) check() error {
	switch {
	case strings.TrimSpace(q.Name) == "":
		return fmt.Errorf("a %s needs a name", q.Kind)
	case len(q.Name) > maxName:
		return fmt.Errorf("the name of a %s has more than %d bytes", q.Kind, maxName)
	case strings.ContainsRune(q.Name, 0) || !utf8.ValidString(q.Name):
		return fmt.Errorf("the name of a %s is no valid text", q.Kind)
	case len(q.Match) > 0 && jobs.CheckStored(q.Match) != nil:
		return fmt.Errorf("the data of an event %w", jobs.CheckStored(q.Match))
	}

	return nil
}

// divergence is the failure of a function that does something new where it did something else before: with nothing else
// under way, what it did alone before it must have asked for by now. nil when all is well.
func (r *Run) divergence(kind steps.Kind, name string) error {
	if r.values.lost {
		return errTooMany
	}

	if len(r.underWay) > 0 || r.beside > 0 {
		return nil
	}

	var missed *Operation
	for _, op := range r.recorded {
		if op.Alone && (missed == nil || op.Position < missed.Position) {
			missed = op
		}
	}

	if missed == nil {
		return nil
	}

	return r.diverge(fmt.Sprintf("it asks for the %s %q, where it asked for the %s %q before", kind, name, missed.Kind, missed.Name))
}

// diverge has this operation and all that follow fail.
func (r *Run) diverge(what string) error {
	if r.broken == nil {
		r.broken = &jobs.Failure{
			Code: jobs.CodeDiverged, Message: "the function does not do again what it did before: " + what +
				" (what is between two steps must come to the same each time: put what may differ into a step)",
		}
	}

	return r.broken
}
