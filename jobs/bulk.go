package jobs

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// Action is what a bulk operation does with each of its jobs.
type Action string

// The actions. Jobs in other states than those named are skipped, and counted.
const (
	ActionRetry      Action = "retry"      // run now: failed, cancelled, retrying and scheduled jobs; one attempt more if none is left
	ActionCancel     Action = "cancel"     // end what has not finished; running jobs are asked to
	ActionDelete     Action = "delete"     // remove with logs and all: any job but a running one
	ActionPurge      Action = "purge"      // remove what has finished
	ActionMove       Action = "move"       // to another queue: any job but a running or a completed one
	ActionPrioritize Action = "prioritize" // give another priority: the same
)

// Actions returns every action.
func Actions() []Action {
	return []Action{ActionRetry, ActionCancel, ActionDelete, ActionPurge, ActionMove, ActionPrioritize}
}

// states are those in which a job can be acted on, nil for what is no action.
func (a Action) states() []State {
	switch a {
	case ActionRetry:
		return []State{StateFailed, StateCancelled, StateRetrying, StateScheduled}
	case ActionCancel:
		return []State{StateScheduled, StateQueued, StateRetrying, StateRunning}
	case ActionDelete:
		return []State{StateScheduled, StateQueued, StateRetrying, StateCompleted, StateFailed, StateCancelled}
	case ActionPurge:
		return []State{StateCompleted, StateFailed, StateCancelled}
	case ActionMove, ActionPrioritize:
		return []State{StateScheduled, StateQueued, StateRetrying, StateFailed, StateCancelled}
	}

	return nil
}

// Bulk asks for one action on every job that a filter finds.
type Bulk struct {
	Action Action
	Filter ListQuery // without Limit and Cursor
	All    bool      // says that a filter which excludes nothing is meant

	Queue    string // of ActionMove: where to
	Priority int    // of ActionPrioritize: 1 (first) to 4 (last)

	// DryRun counts what would be done, and does nothing.
	DryRun bool

	// Functions bounds whose jobs are touched, beside the filter: names, or beginnings of names followed by '*'. Empty
	// means all.
	Functions []string
}

// Bulk begins an operation on the jobs that there are now, and returns it: nodes work on it in the background, in
// batches of some hundred jobs, each a transaction of its own. Whatever dies meanwhile, each job is acted on once.
// *ValidationError for a bad request.
func (s *Service) Bulk(ctx context.Context, bulk Bulk) (Operation, error) {
	if err := s.checkBulk(&bulk); err != nil {
		return Operation{}, err
	}

	filter, err := json.Marshal(bulk.Filter)
	if err != nil {
		return Operation{}, fmt.Errorf("write the filter of an operation: %w", err)
	}

	functions := bulk.Functions
	if len(functions) == 0 {
		functions = []string{everyFunction}
	}

	op, err := readOperation(ctx, s.pool, operationInsertSQL+operationColumnsSQL,
		bulk.Action, filter, functions, bulk.Queue, bulk.Priority, bulk.DryRun)
	if err != nil {
		return op, fmt.Errorf("begin to %s jobs: %w", bulk.Action, err)
	}

	if s.operator != nil {
		s.operator.Expect(0)
	}

	return op, nil
}

// Everything reports whether the query excludes nothing.
func (q ListQuery) Everything() bool {
	q.Limit, q.Cursor = 0, ""

	return reflect.ValueOf(q).IsZero()
}

// everyFunction in Bulk.Functions is all of them.
const everyFunction = "*"

func (s *Service) checkBulk(bulk *Bulk) error {
	wrong := &ValidationError{}

	if bulk.Action.states() == nil {
		wrong.Add("action", fmt.Sprintf("%.40q is no action: there are %s", bulk.Action, words(Actions())))
	}

	if bulk.Filter.Limit != 0 || bulk.Filter.Cursor != "" {
		wrong.Add("filter", "cannot have a limit or a cursor")
	} else if _, err := s.checkList(&bulk.Filter); err != nil {
		addAll(wrong, "filter.", err)
	}

	if bulk.Filter.Everything() && !bulk.All {
		wrong.Add("filter", "is empty: name what the jobs have in common, or say that all of them are meant")
	}

	s.checkChange(wrong, bulk)

	return wrong.OrNil()
}

// checkChange looks at what the action needs beside the filter.
func (s *Service) checkChange(wrong *ValidationError, bulk *Bulk) {
	change := &Options{Queue: bulk.Queue, Priority: bulk.Priority}
	s.checker.checkNames(wrong, change)
	s.checker.checkNumbers(wrong, change)

	switch {
	case bulk.Action == ActionMove && bulk.Queue == "":
		wrong.Add("queue", "is missing: where to move the jobs")
	case bulk.Action != ActionMove && bulk.Queue != "":
		wrong.Add("queue", "belongs to the action move; as a filter it is filter.queue")
	}

	switch {
	case bulk.Action == ActionPrioritize && bulk.Priority == 0:
		wrong.Add("priority", "is missing: 1 (first) to 4 (last)")
	case bulk.Action != ActionPrioritize && bulk.Priority != 0:
		wrong.Add("priority", "belongs to the action prioritize")
	}
}

// addAll adds another check's mistakes, with the place of the part that they are in.
func addAll(wrong *ValidationError, place string, err error) {
	if part, ok := err.(*ValidationError); ok { //nolint:errorlint // made by our own checks, unwrapped
		for _, field := range part.Fields {
			wrong.Add(place+field.Field, field.Message)
		}

		return
	}

	wrong.Add(strings.TrimSuffix(place, "."), err.Error())
}

func words(actions []Action) string {
	texts := make([]string, len(actions))
	for i, action := range actions {
		texts[i] = string(action)
	}

	return strings.Join(texts, ", ")
}

// mayTouch reports whether one of an operation's functions is this one.
func mayTouch(functions []string, function string) bool {
	return slices.ContainsFunc(functions, func(pattern string) bool {
		prefix, wild := strings.CutSuffix(pattern, everyFunction)

		return wild && strings.HasPrefix(function, prefix) || pattern == function
	})
}
