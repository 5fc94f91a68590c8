package jobs

import (
	"context"
	_ "embed"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/millrace-dev/millrace/internal/postgres"
)

var (
	//go:embed sql/operation_fence.sql
	operationFenceSQL string
	//go:embed sql/operation_advance.sql
	operationAdvanceSQL string
	//go:embed sql/bulk_lock.sql
	bulkLockSQL string
	//go:embed sql/bulk_count.sql
	bulkCountSQL string
	//go:embed sql/bulk_retry.sql
	bulkRetrySQL string
	//go:embed sql/bulk_cancel.sql
	bulkCancelSQL string
	//go:embed sql/bulk_delete.sql
	bulkDeleteSQL string
	//go:embed sql/bulk_move.sql
	bulkMoveSQL string
	//go:embed sql/bulk_prioritize.sql
	bulkPrioritizeSQL string
)

const (
	// bulkBatch is the most jobs of one transaction: some 20 ms, so that nobody waits long for a row.
	bulkBatch = 500
	// bulkCountBatch is the same of a dry run, which holds nothing.
	bulkCountBatch = 5_000

	// bulkPatience bounds what a batch may hold and wait for. A transaction of a user may keep a row for ever.
	bulkPatience = `select set_config('lock_timeout', '500ms', true),
		set_config('idle_in_transaction_session_timeout', '10s', true)`
)

// batch is a part of an operation: the jobs that the filter finds next.
type batch struct {
	ids  []int64
	next int64 // where the following batch begins; 0 when this is the last one
}

// runBatch does an operation's next batch for a node. With held, rows that others hold are skipped instead of waited
// for.
func (s *Service) runBatch(ctx context.Context, op *Operation, node string, held bool) error {
	found, err := s.findBatch(ctx, op)
	if err != nil {
		return err
	}

	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, bulkPatience); err != nil {
			return fmt.Errorf("bound a batch: %w", err)
		}

		fence, err := tx.Exec(ctx, operationFenceSQL, op.ID, node, op.position)
		if err != nil || fence.RowsAffected() == 0 {
			return err //nolint:wrapcheck // below; without an error it is cancelled, or somebody else's
		}

		done, err := op.act(ctx, tx, found.ids, held)
		if err != nil {
			return err
		}

		matched := int64(len(found.ids))
		_, err = tx.Exec(ctx, operationAdvanceSQL, op.ID, node, found.next, matched, done, matched-done)

		return err //nolint:wrapcheck // below
	})
	if err != nil {
		return fmt.Errorf("do a batch: %w", err)
	}

	return nil
}

// findBatch looks for the next jobs with the list's own statement. It is read outside of the transaction: what is in
// no state for the action any more when its row is locked, is not acted on.
func (s *Service) findBatch(ctx context.Context, op *Operation) (batch, error) {
	limit := bulkBatch
	if op.DryRun {
		limit = bulkCountBatch
	}

	floor, err := s.listFloor(ctx, &op.Filter, op.position)
	if err != nil {
		return batch{}, err
	}

	list, args := listStatement(&op.Filter, op.position, floor, limit)

	rows, err := s.pool.Query(ctx, "select j.id, j.kind from ("+list+") j order by j.id desc", args...)
	if err != nil {
		return batch{}, fmt.Errorf("find jobs: %w", err)
	}

	var (
		b     = batch{next: floor}
		id    int64
		kind  string
		count int
	)

	_, err = pgx.ForEachRow(rows, []any{&id, &kind}, func() error {
		if count++; mayTouch(op.Functions, kind) {
			b.ids = append(b.ids, id)
		}

		return nil
	})
	if err != nil {
		return batch{}, fmt.Errorf("find jobs: %w", err)
	}

	if count == limit {
		b.next = id
	}

	return b, nil
}

// act does the operation's action to those of the jobs whose state allows it, and returns how many those were.
func (op *Operation) act(ctx context.Context, tx pgx.Tx, ids []int64, held bool) (int64, error) {
	if len(ids) == 0 {
		return 0, nil
	}

	states := op.storedStates()

	if op.DryRun {
		count, err := tx.Exec(ctx, bulkCountSQL, ids, states)

		return count.RowsAffected(), err //nolint:wrapcheck // the caller's caller says what was being done
	}

	lock := bulkLockSQL
	if held {
		lock = strings.TrimSpace(lock) + " skip locked"
	}

	rows, err := tx.Query(ctx, lock, ids, states)
	if err != nil {
		return 0, err //nolint:wrapcheck // as above
	}

	ready, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil || len(ready) == 0 {
		return 0, err //nolint:wrapcheck // as above
	}

	return op.actOn(ctx, tx, ready)
}

// storedStates are the row states in which the action may be done and which the filter, if it names one, asks for: a
// job may have gone on since it was found.
func (op *Operation) storedStates() []string {
	var stored []string

	for _, state := range op.Action.states() {
		if op.Filter.State != "" && op.Filter.State != state {
			continue
		}

		for _, name := range state.stored() {
			stored = append(stored, string(name))
		}
	}

	return stored
}

// actOn acts on locked jobs, inside of a savepoint. When Postgres refuses one of them, as a unique key that another job
// has meanwhile, the others are done without it.
func (op *Operation) actOn(ctx context.Context, tx pgx.Tx, ids []int64) (done int64, err error) {
	err = pgx.BeginFunc(ctx, tx, func(inner pgx.Tx) error {
		sql, args := op.statement(ids)

		tag, err := inner.Exec(ctx, sql, args...)
		done = tag.RowsAffected()

		return err //nolint:wrapcheck // below
	})

	switch {
	case err == nil:
		return done, nil
	case !postgres.RefusesData(err):
		return 0, fmt.Errorf("%s %d jobs: %w", op.Action, len(ids), err)
	case len(ids) == 1:
		return 0, nil
	}

	done = 0

	for half := range slices.Chunk(ids, (len(ids)+1)/2) { //nolint:mnd // halves
		n, err := op.actOn(ctx, tx, half)
		if err != nil {
			return 0, err
		}

		done += n
	}

	return done, nil
}

func (op *Operation) statement(ids []int64) (sql string, args []any) {
	switch op.Action {
	case ActionRetry:
		return bulkRetrySQL, []any{ids}
	case ActionCancel:
		return bulkCancelSQL, []any{ids}
	case ActionMove:
		return bulkMoveSQL, []any{ids, op.Queue}
	case ActionPrioritize:
		return bulkPrioritizeSQL, []any{ids, op.Priority}
	case ActionDelete, ActionPurge:
	}

	return bulkDeleteSQL, []any{ids}
}
