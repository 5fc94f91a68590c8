package durable

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/millrace-dev/millrace/jobs"
	"github.com/millrace-dev/millrace/jobs/steps"
)

const (
	writeRetryMin = 50 * time.Millisecond
	writeRetryMax = 2 * time.Second
)

// Dirty reports whether Flush has something to write.
func (r *Run) Dirty() bool {
	r.mu.Lock()
	defer r.mu.Unlock()

	return len(r.queue) > 0
}

// Flush writes what was begun and what ended, all that there is in one batch, and returns what the function is to be told
// of, in order. Only one batch is written at a time. While Postgres does not answer it tries until ctx ends.
func (r *Run) Flush(ctx context.Context) ([]*Operation, error) {
	r.writing.Lock()
	defer r.writing.Unlock()

	batch, entries, calls := r.take()
	if len(entries) == 0 {
		return nil, nil
	}

	err := r.record(ctx, entries, calls)

	var ended []*Operation
	if err == nil {
		ended, err = r.written(ctx, batch, entries)
	}

	if err != nil {
		r.mu.Lock()
		defer r.mu.Unlock()

		if r.broken == nil {
			r.broken = err
		}
	}

	return ended, err
}

// take takes what is to be written. What ends in it gets its turn.
func (r *Run) take() ([]*Operation, []steps.Entry, map[int]*jobs.Call) {
	r.mu.Lock()
	defer r.mu.Unlock()

	batch := r.queue
	r.queue = nil

	entries := make([]steps.Entry, 0, len(batch)+1)
	if value := r.values.take(); value != nil {
		r.position++
		r.turn++
		entries = append(entries, steps.Entry{
			Position: r.position, Kind: steps.KindValues, State: steps.StateDone, Value: value, Turn: r.turn,
		})
	}

	calls := map[int]*jobs.Call{}

	for _, op := range batch {
		if op.State != steps.StateWaiting {
			r.turn++
			op.Turn = r.turn
		}

		if op.call != nil {
			calls[op.Position] = op.call
		}

		op.Alone = !op.overlaps
		entries = append(entries, op.Entry)
	}

	return batch, entries, calls
}

// record writes entries. The effect of a step is there already, so its result is worth some patience.
func (r *Run) record(ctx context.Context, entries []steps.Entry, calls map[int]*jobs.Call) error {
	return patiently(ctx, entries, func() error { return r.log.Record(ctx, entries, calls) })
}

// patiently does what may be done again until it succeeds or ctx ends.
func patiently(ctx context.Context, entries []steps.Entry, do func() error) error {
	for wait := writeRetryMin; ; wait = min(wait*2, writeRetryMax) {
		err := do()
		if err == nil || errors.Is(err, steps.ErrFenced) || !repeatable(err, entries) {
			return err
		}

		select {
		case <-ctx.Done():
			return fmt.Errorf("record steps: %w", errors.Join(context.Cause(ctx), err))
		case <-time.After(wait):
		}
	}
}

// repeatable reports whether the entries may be written again after err. Calls and events may have been made.
func repeatable(err error, entries []steps.Entry) bool {
	if refusal, ok := errors.AsType[*pgconn.PgError](err); ok {
		return refusal.Code[:2] != "22" && refusal.Code[:2] != "23" && refusal.Code != "54000"
	}

	for i := range entries {
		if kind := entries[i].Kind; kind == steps.KindCall || kind == steps.KindSend {
			return pgconn.SafeToRetry(err)
		}
	}

	return true
}

// written looks for the events that are there, and returns what ended.
func (r *Run) written(ctx context.Context, batch []*Operation, entries []steps.Entry) ([]*Operation, error) {
	children := make(map[int]int64, len(batch))
	for i := range entries {
		children[entries[i].Position] = entries[i].Child
	}

	var ended []*Operation

	for _, op := range batch {
		if op.Kind == steps.KindEvent {
			if err := r.findEvent(ctx, op); err != nil {
				return nil, err
			}
		}

		r.mu.Lock()
		op.inHistory, op.call, op.Child = true, nil, children[op.Position]

		if op.State != steps.StateWaiting {
			ended = append(ended, op)
		}
		r.mu.Unlock()
	}

	return ended, nil
}

// findEvent ends a wait whose event is there already.
func (r *Run) findEvent(ctx context.Context, op *Operation) error {
	r.mu.Lock()
	r.turn++
	turn := r.turn
	r.mu.Unlock()

	data, err := r.find(ctx, op.Position, turn)
	if err != nil || data == nil {
		return err
	}

	r.mu.Lock()
	defer r.mu.Unlock()
	op.State, op.Value, op.Turn = steps.StateDone, data, turn
	r.bytes += len(data)

	return nil
}

// find looks for the event of the wait at a position.
func (r *Run) find(ctx context.Context, position, turn int) (data json.RawMessage, err error) {
	err = patiently(ctx, nil, func() (err error) {
		data, err = r.log.FindEvent(ctx, position, turn)

		return err //nolint:wrapcheck // it says what was being done
	})

	return data, err
}
