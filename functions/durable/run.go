package durable

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/millrace-dev/millrace/jobs"
	"github.com/millrace-dev/millrace/jobs/steps"
)

// Bounds of one job's history.
const (
	// MaxOperations is how many durable operations a job may have.
	MaxOperations = 10_000
	// MaxHistory is how many bytes of results a job may have when it begins another operation: each attempt reads them all.
	MaxHistory = 64 << 20
	maxName    = 200
)

// Run is what one attempt makes of a job's history. It is safe for concurrent use.
type Run struct {
	log jobs.StepLog

	opening sync.Mutex // held while the history is read
	writing sync.Mutex // held while a batch is written, so that batches are in order

	mu        sync.Mutex
	opened    bool
	fresh     bool // an operation was begun that is not in the history
	recorded  map[string]*Operation
	unasked   int // of recorded
	unheard   int // of recorded: ended in an earlier attempt, and not told yet in this one
	ordinals  map[string]int
	position  int
	turn      int
	bytes     int // of results
	underWay  map[*Operation]struct{}
	queue     []*Operation // to be written
	beside    int          // how many of the program's branches run beside each other (Beside)
	values    values
	broken    error // the history and the function have parted: nothing more can be recorded
	suspended bool  // somebody was told to unwind
}

// New makes the Run of an attempt. Without a log there is nothing durable: operations are refused.
func New(log jobs.StepLog) *Run {
	return &Run{
		log: log, recorded: map[string]*Operation{}, ordinals: map[string]int{}, underWay: map[*Operation]struct{}{},
	}
}

// open reads the history, once.
func (r *Run) open(ctx context.Context) error {
	r.opening.Lock()
	defer r.opening.Unlock()

	if r.opened {
		return nil
	}

	if r.log == nil {
		return errNowhere
	}

	entries, err := r.log.Open(ctx)
	if err != nil {
		return fmt.Errorf("read the job's steps: %w", err)
	}

	if err := r.lookAgain(ctx, entries); err != nil {
		return err
	}

	r.mu.Lock()
	defer r.mu.Unlock()

	for i := range entries {
		if err := r.remember(&entries[i]); err != nil {
			return err
		}
	}

	r.opened = true

	return nil
}

// lookAgain looks for the events of waits that are recorded: an attempt may have died between recording its wait and
// looking.
func (r *Run) lookAgain(ctx context.Context, entries []steps.Entry) error {
	turn := 0
	for i := range entries {
		turn = max(turn, entries[i].Turn)
	}

	for i := range entries {
		e := &entries[i]
		if e.Kind != steps.KindEvent || e.State != steps.StateWaiting {
			continue
		}

		turn++

		data, err := r.find(ctx, e.Position, turn)
		if err != nil {
			return fmt.Errorf("read the job's steps: %w", err)
		}

		if data != nil {
			e.State, e.Value, e.Turn, e.Fresh = steps.StateDone, data, turn, true
		}
	}

	return nil
}

// remember takes an entry of the history.
func (r *Run) remember(e *steps.Entry) error {
	r.position = max(r.position, e.Position)
	r.turn = max(r.turn, e.Turn)
	r.bytes += len(e.Value)

	if e.Kind == steps.KindValues {
		return r.values.remember(e.Value)
	}

	op := &Operation{Entry: *e, run: r, inHistory: true}
	if e.DueIn != steps.Never {
		op.due = time.Now().Add(e.DueIn)
	}

	if op.before = e.State != steps.StateWaiting && !e.Fresh; op.before {
		r.unheard++
	}

	r.recorded[id(e.Kind, e.Name)] = op
	r.unasked++

	return nil
}

func id(kind steps.Kind, name string) string { return string(kind) + " " + name }

// Request is an operation that a function asks for.
type Request struct {
	Kind Kind
	Name string

	Wait  *time.Duration // of a sleep, or the timeout of a wait
	Until *time.Time     // of a sleep
	Event string
	Key   *string
	Match json.RawMessage // of an event's wait: what its data must contain; of a send: the data

	Call *jobs.Call // made by Prepare
}

// Kind is the kind of an operation.
type Kind = steps.Kind

// Prepare checks a job that is to be called.
func (r *Run) Prepare(ctx context.Context, sub jobs.Submission) (*jobs.Call, error) {
	if r.log == nil {
		return nil, errNowhere
	}

	return r.log.Prepare(ctx, sub) //nolint:wrapcheck // a mistake of the function, told as it is
}

// Ask begins an operation, or finds what became of it before. What the function does next depends on the operation's
// Status. Errors: steps.ErrFenced, a *jobs.Failure with CodeDiverged, a mistake in the request, ctx's.
func (r *Run) Ask(ctx context.Context, request Request) (*Operation, error) {
	if err := request.check(); err != nil {
		return nil, err
	}

	if err := r.open(ctx); err != nil {
		return nil, err
	}

	r.mu.Lock()
	defer r.mu.Unlock()

	if r.broken != nil {
		return nil, r.broken
	}

	name := r.ordinal(request.Kind, request.Name)

	op := r.recorded[id(request.Kind, name)]
	if op == nil {
		var err error
		if op, err = r.begin(request, name); err != nil {
			return nil, err
		}
	} else {
		r.unasked--
		delete(r.recorded, id(request.Kind, name))
	}

	r.begun(op)

	return op, nil
}

// ordinal numbers the uses of a name.
func (r *Run) ordinal(kind steps.Kind, name string) string {
	n := r.ordinals[id(kind, name)] + 1
	r.ordinals[id(kind, name)] = n

	if n == 1 {
		return name
	}

	return fmt.Sprintf("%s#%d", name, n)
}

// begin makes an operation that is not in the history. All but steps are to be written at once.
func (r *Run) begin(request Request, name string) (*Operation, error) {
	if err := r.divergence(request.Kind, name); err != nil {
		return nil, err
	}

	if r.position >= MaxOperations {
		return nil, fmt.Errorf("a job may have %d durable operations: let another job go on (ctx.enqueue)", MaxOperations)
	}

	if r.bytes > MaxHistory {
		return nil, errLargeHistory
	}

	r.position++
	r.fresh = true
	op := &Operation{run: r, Entry: steps.Entry{
		Position: r.position, Kind: request.Kind, Name: name, State: steps.StateWaiting, Event: request.Event,
		Key: request.Key, Match: request.Match, DueAt: request.Until,
	}, call: request.Call}

	switch {
	case request.Wait != nil:
		ms := request.Wait.Milliseconds()
		op.WaitMS, op.due = &ms, time.Now().Add(*request.Wait)
	case request.Until != nil:
		op.due = *request.Until
	}

	switch request.Kind {
	case steps.KindStep:
		op.mine = true
	case steps.KindSend:
		op.State = steps.StateDone
		op.Value = json.RawMessage("null")
		r.queue = append(r.queue, op)
	case steps.KindSleep, steps.KindEvent, steps.KindCall, steps.KindValues:
		r.queue = append(r.queue, op)
	}

	return op, nil
}

// begun notes that an operation is under way, beside which others.
func (r *Run) begun(op *Operation) {
	if len(r.underWay) > 0 || r.beside > 0 {
		op.overlaps = true

		for other := range r.underWay {
			other.overlaps = true
		}
	}

	r.underWay[op] = struct{}{}
}

// Beside tells that branches of the program run beside each other from now on, in no fixed order, until the function
// that it returns is called. What they ask for is not held against the order of an earlier run.
func (r *Run) Beside() (done func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.beside++

	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.beside--
	}
}

// Replaying reports whether the function is still doing again what it did in an earlier attempt.
func (r *Run) Replaying() bool {
	if r.log == nil || !r.log.Opened() {
		return false
	}

	r.mu.Lock()
	defer r.mu.Unlock()

	return !r.fresh && (!r.opened || r.unasked > 0 || r.unheard > 0)
}

// Err is why nothing more can be recorded: the attempt has to end with it. nil while all is well.
func (r *Run) Err() error {
	r.mu.Lock()
	defer r.mu.Unlock()

	return r.broken
}

// Opened reports whether the function has used anything durable in this attempt.
func (r *Run) Opened() bool {
	if r == nil {
		return false
	}

	r.mu.Lock()
	defer r.mu.Unlock()

	return r.opened
}
