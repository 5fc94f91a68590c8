package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/millrace-dev/millrace/internal/postgres"
	"github.com/millrace-dev/millrace/jobs/steps"
)

// StepLog is the history of the job that an attempt belongs to: what its durable operations came to. Each write is fenced
// by the attempt. Its methods are safe for concurrent use.
type StepLog interface {
	// Opened reports whether the job has a history already, from memory.
	Opened() bool
	// Open begins the history, or goes on with it, and returns what there is. steps.ErrFenced.
	Open(ctx context.Context) ([]steps.Entry, error)
	// Prepare checks a job that the function wants to call. Errors: those of Submit for a mistake of the caller.
	Prepare(ctx context.Context, sub Submission) (*Call, error)
	// Record writes entries, and submits the calls in the same transaction. Entries alone may be recorded again when the
	// answer was lost; calls may not. steps.ErrFenced.
	Record(ctx context.Context, entries []steps.Entry, calls map[int]*Call) error
	// FindEvent looks for an event for the recorded wait at a position, of which the function hears at turn; nil when
	// there is none yet. steps.ErrFenced.
	FindEvent(ctx context.Context, position, turn int) (json.RawMessage, error)
	// Forget takes failures out of the history.
	Forget(ctx context.Context, positions []int) error
}

// Call is a job that a function calls and waits for.
type Call struct{ row *row }

// stepLog is the StepLog of one attempt.
type stepLog struct {
	service *Service
	fence   steps.Fence
	opened  bool
	version string
	trace   string
}

func (s *Service) stepLog(a *attempt, version, traceparent string) *stepLog {
	return &stepLog{
		service: s, fence: steps.Fence{Job: a.id, Attempt: a.number, Client: s.cfg.NodeID},
		opened: a.run.Steps.Opened, version: version, trace: traceparent,
	}
}

// Opened implements StepLog.
func (l *stepLog) Opened() bool { return l.opened }

// Open implements StepLog.
func (l *stepLog) Open(ctx context.Context) ([]steps.Entry, error) {
	return l.service.steps.Open(ctx, l.fence, l.version) //nolint:wrapcheck // it says what was being done
}

// errCallOptions refuses what would make the call somebody else's job.
var errCallOptions = errors.New("a call cannot have unique, debounce, throttle or idempotencyKey: it is a job of its own, made once")

// Prepare implements StepLog. The function's own rules (unique and the like) are for submissions: a call is always made.
func (l *stepLog) Prepare(ctx context.Context, sub Submission) (*Call, error) {
	opts := &sub.Options
	if opts.Unique != nil || opts.Debounce != nil || opts.Throttle != nil || opts.IdempotencyKey != "" {
		return nil, errCallOptions
	}

	if opts.Traceparent == "" {
		opts.Traceparent = l.trace
	}

	r, err := l.service.accept(ctx, &sub)
	if err != nil {
		return nil, err
	}

	r.rule = nil

	return &Call{row: r}, nil
}

// Record implements StepLog.
func (l *stepLog) Record(ctx context.Context, entries []steps.Entry, calls map[int]*Call) error {
	sends := false
	for i := range entries {
		sends = sends || entries[i].Kind == steps.KindSend
	}

	if len(calls) == 0 && !sends {
		return l.service.steps.Record(ctx, l.fence, entries) //nolint:wrapcheck // it says what was being done
	}

	//nolint:wrapcheck // it says what was being done
	return l.service.steps.RecordWith(ctx, l.fence, entries, func(ctx context.Context, tx pgx.Tx) error {
		if err := sendAll(ctx, tx, entries); err != nil {
			return err
		}

		return l.insert(ctx, tx, entries, calls)
	})
}

// sendAll sends the events among entries.
func sendAll(ctx context.Context, tx pgx.Tx, entries []steps.Entry) error {
	for i := range entries {
		if e := &entries[i]; e.Kind == steps.KindSend {
			if err := steps.SendIn(ctx, tx, e); err != nil {
				return err //nolint:wrapcheck // it says what was being done
			}
		}
	}

	return nil
}

// insert submits the calls, each with a note of where its end is to be told.
func (l *stepLog) insert(ctx context.Context, tx pgx.Tx, entries []steps.Entry, calls map[int]*Call) error {
	rows := make([]*row, 0, len(calls))

	for i := range entries {
		call := calls[entries[i].Position]
		if call == nil {
			continue
		}

		if err := call.row.calledBy(l.fence.Job, entries[i].Position); err != nil {
			return err
		}

		rows = append(rows, call.row)
	}

	for start := 0; start < len(rows); start += chunkRows {
		if err := insertRows(ctx, tx, rows[start:min(start+chunkRows, len(rows))]); err != nil {
			return fmt.Errorf("call %d jobs: %w", len(rows), err)
		}
	}

	for i := range entries {
		if call := calls[entries[i].Position]; call != nil {
			entries[i].Child = call.row.job.ID
		}
	}

	return nil
}

// FindEvent implements StepLog.
func (l *stepLog) FindEvent(ctx context.Context, position, turn int) (json.RawMessage, error) {
	return l.service.steps.FindEvent(ctx, l.fence, position, turn) //nolint:wrapcheck // it says what was being done
}

// Forget implements StepLog.
func (l *stepLog) Forget(ctx context.Context, positions []int) error {
	return l.service.steps.Forget(ctx, l.fence, positions) //nolint:wrapcheck // it says what was being done
}

// calledBy notes in the row whose call it is.
func (r *row) calledBy(job int64, position int) error {
	fields := map[string]json.RawMessage{}
	if err := json.Unmarshal(r.metadata, &fields); err != nil {
		return fmt.Errorf("read the metadata of a call: %w", err)
	}

	parent, err := json.Marshal(map[string]int64{"job": job, "position": int64(position)})
	if err != nil {
		return fmt.Errorf("write whose call it is: %w", err)
	}

	fields[metaParent] = parent
	if r.metadata, err = json.Marshal(fields); err != nil {
		return fmt.Errorf("write the metadata of a call: %w", err)
	}

	return nil
}

// CheckStored says why a value, which is JSON, cannot be a step's result or an event's data; nil when it can.
func CheckStored(value json.RawMessage) error { return checkJSON(value, DefaultMaxInput) }

// StorableFailure is a copy with the texts cut to what is stored.
func StorableFailure(failure *steps.Failure) *steps.Failure {
	cut := *failure
	cut.Name = postgres.Storable(cut.Name, maxFailureName)
	cut.Code = postgres.Storable(cut.Code, maxFailureName)
	cut.Message = postgres.Storable(cut.Message, maxFailureMessage)
	cut.Stack = postgres.Storable(cut.Stack, maxFailureStack)

	return &cut
}

const maxFailureName = 200 // bytes of the class and of the code of a step's failure
