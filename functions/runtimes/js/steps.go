package js

import (
	"container/heap"
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"strings"

	"github.com/millrace-dev/millrace/functions/durable"
	"github.com/millrace-dev/millrace/functions/runtimes"
	"github.com/millrace-dev/millrace/jobs"
	"github.com/millrace-dev/millrace/jobs/steps"
)

// stepsOf are the durable operations of one call. They belong to the goroutine that owns the VM, which writes them when
// the function has nothing else to do: so what it begins together is written together.
type stepsOf struct {
	run      *durable.Run
	asked    map[int]*durable.Operation // by the promise's id
	retries  map[int]durable.Retry
	running  int // steps whose function is under way
	flushing bool
	ended    byTurn // to be told
}

func newStepsOf(run *durable.Run) *stepsOf {
	return &stepsOf{run: run, asked: map[int]*durable.Operation{}, retries: map[int]durable.Retry{}}
}

// byTurn is a heap: what ended is told in the order in which an earlier attempt was told of it.
type byTurn []*durable.Operation

// Len implements heap.Interface.
func (h *byTurn) Len() int { return len(*h) }

// Less implements heap.Interface.
func (h *byTurn) Less(i, j int) bool { return (*h)[i].Turn < (*h)[j].Turn }

// Swap implements heap.Interface.
func (h *byTurn) Swap(i, j int) { (*h)[i], (*h)[j] = (*h)[j], (*h)[i] }

// Push implements heap.Interface.
func (h *byTurn) Push(op any) { *h = append(*h, op.(*durable.Operation)) } //nolint:forcetypeassert // nothing else is pushed

// Pop implements heap.Interface.
func (h *byTurn) Pop() any {
	last := len(*h) - 1
	op := (*h)[last]
	*h = (*h)[:last]

	return op
}

// next is what is to be told next, nil if there is nothing.
func (s *stepsOf) next() *durable.Operation {
	if len(s.ended) == 0 {
		return nil
	}

	return heap.Pop(&s.ended).(*durable.Operation) //nolint:forcetypeassert // nothing else is pushed
}

// ask begins a durable operation and returns whether the function of a step is to be called.
func (c *call) ask(args []any) (bool, error) {
	id, ok := number(args, 1)
	kind, isKind := argument[string](args, 2)
	name, isName := argument[string](args, 3)
	options, isJSON := argument[string](args, 4)

	switch {
	case !ok || !isKind || !isJSON:
		return false, errArguments
	case !isName:
		return false, errors.New("the name of a step, a sleep, an event or a function must be a string")
	case c.steps.run == nil:
		return false, errors.New("there is no job here whose steps could be recorded")
	}

	request, retry, err := runtimes.ParseStep(c.ctx, c.steps.run, kind, name, []byte(options))
	if err != nil {
		return false, err //nolint:wrapcheck // a mistake of the function
	}

	op, err := c.steps.run.Ask(c.ctx, request)
	if err != nil {
		return false, err //nolint:wrapcheck // a mistake of the function, or the end of the call
	}

	op.Tag = int(id)
	c.steps.asked[op.Tag], c.steps.retries[op.Tag] = op, retry

	switch op.Status() {
	case durable.Ended:
		heap.Push(&c.steps.ended, op)
	case durable.ToRun:
		c.steps.running++
		return true, nil
	case durable.Waits:
	}

	return false, nil
}

// end takes what became of a step's function.
func (c *call) end(args []any) error {
	id, isID := number(args, 1)
	ok, isBool := argument[bool](args, 2)
	text, isText := argument[string](args, 3)
	op := c.steps.asked[int(id)]

	if !isID || !isBool || !isText || op == nil {
		return errArguments
	}

	c.steps.running--

	if ok {
		op.End([]byte(text), nil, durable.Retry{})
		return nil
	}

	failure := &steps.Failure{}
	if err := json.Unmarshal([]byte(text), failure); err != nil {
		return errArguments
	}

	failure.Stack = c.program.rewrite(cut(failure.Stack))
	op.End(nil, failure, c.steps.retries[op.Tag])

	return nil
}

// tell settles an operation's promise.
func (c *call) tell(op *durable.Operation) error {
	op.Tell()

	if op.State == steps.StateFailed {
		text, err := json.Marshal(op.Error)
		if err != nil {
			return err //nolint:wrapcheck // strings and a bool always have a JSON form
		}

		return c.machine.call("tell", op.Tag, false, string(text))
	}

	value := string(op.Value)
	if value == "" {
		value = "null"
	}

	return c.machine.call("tell", op.Tag, true, value)
}

// flush begins to write what there is, unless that is being done.
func (c *call) flush() {
	if s := c.steps; s.run != nil && !s.flushing && s.run.Dirty() {
		s.flushing = true
		c.ops.flush(s.run)
	}
}

func (c *call) flushed(s settled) error {
	c.steps.flushing = false
	for _, op := range s.ended {
		heap.Push(&c.steps.ended, op)
	}

	return s.err
}

// suspend ends a call that waits for nothing within this process.
func (c *call) suspend() error {
	run := c.steps.run
	if run == nil {
		return stalled()
	}

	if err := run.Err(); err != nil {
		return err //nolint:wrapcheck // it says what was being done
	}

	if c.steps.running > 0 {
		return stalledStep()
	}

	suspension, err := run.Suspension(c.ctx)

	switch {
	case err != nil:
		return err //nolint:wrapcheck // it says what was being done
	case suspension == nil:
		return stalled()
	}

	return suspension
}

// closeSteps writes what the function did not wait for. A call whose history could not be written has failed, whatever it
// returned; one that failed with the error of a step forgets that, so that the next attempt tries it again.
func (c *call) closeSteps() error {
	run := c.steps.run
	if run == nil || !run.Opened() {
		return nil
	}

	if _, err := run.Flush(c.ctx); err != nil {
		return err //nolint:wrapcheck // it says what was being done
	}

	if err := run.Err(); err != nil {
		return err //nolint:wrapcheck // it says what was being done
	}

	var failure *jobs.Failure
	if c.blamed == "" || !errors.As(c.err, &failure) || !failure.Retryable {
		return nil
	}

	var positions []int

	for part := range strings.SplitSeq(c.blamed, ",") {
		id, _ := strconv.Atoi(part)
		if op := c.steps.asked[id]; op != nil {
			positions = append(positions, op.Position)
		}
	}

	return run.Forget(context.WithoutCancel(c.ctx), positions) //nolint:wrapcheck // it says what was being done
}

// snooze is the outcome of a function that puts itself off.
func snooze(delay string) error {
	d, err := runtimes.ParseDuration([]byte(delay))
	if err != nil {
		return &jobs.Failure{Code: jobs.CodeException, Message: "ctx.snooze: " + err.Error()}
	}

	return jobs.Snooze(d)
}
