package jobs

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

var (
	//go:embed sql/operation_columns.sql
	operationColumnsSQL string
	//go:embed sql/operation_insert.sql
	operationInsertSQL string
	//go:embed sql/operation_cancel.sql
	operationCancelSQL string
)

// ErrNoOperation is returned for an id that no operation has, or not any more.
var ErrNoOperation = errors.New("no such operation")

// OperationState is where a bulk operation stands.
type OperationState string

// The states of an operation.
//
//	queued ---a node takes it---> running ---no job is left---> completed
//	                                 \-----Postgres refuses---> failed
//	   \------------------------------\---somebody wants it---> cancelled
//
// It stays running when its node dies: another one goes on from the last batch.
const (
	OperationQueued    OperationState = "queued"
	OperationRunning   OperationState = "running"
	OperationCompleted OperationState = "completed"
	OperationFailed    OperationState = "failed"
	OperationCancelled OperationState = "cancelled"
)

// Finished reports whether the operation does nothing any more.
func (s OperationState) Finished() bool {
	return s == OperationCompleted || s == OperationFailed || s == OperationCancelled
}

// Operation is a Bulk under way, or what came of it. It is kept for seven days after its end, a dry run for an hour.
type Operation struct {
	ID        int64          `json:"id,string"`
	Action    Action         `json:"action"`
	State     OperationState `json:"state"`
	DryRun    bool           `json:"dry_run"`
	Filter    ListQuery      `json:"filter"`
	Functions []string       `json:"-"` // see Bulk.Functions
	Queue     string         `json:"queue,omitempty"`
	Priority  int            `json:"priority,omitempty"`

	Matched int64   `json:"matched"` // jobs that the filter found so far
	Done    int64   `json:"done"`    // those that were acted on; in a dry run, those that would be
	Skipped int64   `json:"skipped"` // the others: their state does not allow it
	Percent float64 `json:"percent"` // of the ids that are looked through
	Error   string  `json:"error,omitempty"`
	Node    string  `json:"node"` // that works on it, or did last

	CreatedAt  time.Time  `json:"created_at"`
	StartedAt  *time.Time `json:"started_at"`
	FinishedAt *time.Time `json:"finished_at"`

	position int64 // jobs with smaller ids are still to be looked at
}

// OperationPage is a part of the list of operations, newest first.
type OperationPage struct {
	Operations []Operation `json:"operations"`
	Next       string      `json:"next"` // empty on the last page
}

func scanOperation(row pgx.CollectableRow) (Operation, error) {
	var (
		op          Operation
		filter      []byte
		top, bottom int64
	)

	if err := row.Scan(
		&op.ID, &op.Action, &filter, &op.Functions, &op.Queue, &op.Priority, &op.DryRun, &op.State, &top, &bottom, &op.position,
		&op.Matched, &op.Done, &op.Skipped, &op.Error, &op.Node, &op.CreatedAt, &op.StartedAt, &op.FinishedAt,
	); err != nil {
		return op, fmt.Errorf("scan an operation: %w", err)
	}

	if err := json.Unmarshal(filter, &op.Filter); err != nil {
		return op, fmt.Errorf("read the filter of operation %d: %w", op.ID, err)
	}

	const whole = 100

	switch {
	case op.State == OperationCompleted:
		op.Percent = whole
	case top > bottom:
		op.Percent = whole * float64(top-max(op.position, bottom)) / float64(top-bottom)
	}

	return op, nil
}

// Operation reads one. ErrNoOperation when there is none of that id.
func (s *Service) Operation(ctx context.Context, id int64) (Operation, error) {
	return readOperation(ctx, s.pool, "select "+operationColumnsSQL+" from millrace.operation where id = $1", id)
}

func readOperation(ctx context.Context, db execer, sql string, args ...any) (Operation, error) {
	rows, err := db.Query(ctx, sql, args...)
	if err != nil {
		return Operation{}, fmt.Errorf("read an operation: %w", err)
	}

	op, err := pgx.CollectExactlyOneRow(rows, scanOperation)
	if errors.Is(err, pgx.ErrNoRows) {
		return op, ErrNoOperation
	}

	if err != nil {
		return op, fmt.Errorf("read an operation: %w", err)
	}

	return op, nil
}

// Operations returns a page of operations, newest first: limit 1 to 500, 0 means 50; cursor is Next of the page before.
// *ValidationError for another limit or cursor.
func (s *Service) Operations(ctx context.Context, limit int, cursor string) (OperationPage, error) {
	before, err := s.checkList(&ListQuery{Limit: limit, Cursor: cursor})
	if err != nil {
		return OperationPage{}, err
	}

	if limit == 0 {
		limit = DefaultListLimit
	}

	rows, err := s.pool.Query(ctx,
		"select "+operationColumnsSQL+" from millrace.operation where id < $1 order by id desc limit $2", before, limit+1)
	if err != nil {
		return OperationPage{}, fmt.Errorf("list operations: %w", err)
	}

	page := OperationPage{}
	if page.Operations, err = pgx.CollectRows(rows, scanOperation); err != nil {
		return OperationPage{}, fmt.Errorf("list operations: %w", err)
	}

	if len(page.Operations) > limit {
		page.Operations = page.Operations[:limit]
		page.Next = encodeCursor(page.Operations[limit-1].ID)
	}

	return page, nil
}

// CancelOperation ends an operation after the batch that is under way. What it has done stays done. One that has
// finished is returned as it is. ErrNoOperation when there is none of that id.
func (s *Service) CancelOperation(ctx context.Context, id int64) (Operation, error) {
	if _, err := s.pool.Exec(ctx, operationCancelSQL, id); err != nil {
		return Operation{}, fmt.Errorf("cancel operation %d: %w", id, err)
	}

	return s.Operation(ctx, id)
}

// Looks at an operation that somebody waits for: often at first, for short ones.
const (
	operationLookFirst = 20 * time.Millisecond
	operationLookMost  = time.Second
)

// WaitOperation returns an operation when it has finished. When ctx ends first, it returns the operation as it was last
// seen together with ctx's error. ErrNoOperation when there is none of that id.
func (s *Service) WaitOperation(ctx context.Context, id int64) (Operation, error) {
	op, err := s.Operation(ctx, id)

	for wait := operationLookFirst; err == nil && !op.State.Finished(); wait = min(2*wait, operationLookMost) {
		select {
		case <-ctx.Done():
			return op, fmt.Errorf("wait for operation %d: %w", id, ctx.Err())
		case <-time.After(wait):
		}

		var latest Operation
		if latest, err = s.Operation(ctx, id); err == nil {
			op = latest
		}
	}

	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("wait for operation %d: %w", id, ctx.Err())
	}

	return op, err
}
