package schedules

import (
	"context"
	_ "embed"
	"fmt"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/millrace-dev/millrace/jobs"
)

//go:embed sql/unfinished.sql
var unfinishedSQL string

// settleOverlaps asks for the unfinished jobs of the schedules whose policy cares, and follows it.
func settleOverlaps(ctx context.Context, tx pgx.Tx, firings []*firing) error {
	var (
		names   []string
		running []bool // whether running jobs count
		byName  = make(map[string]*firing)
	)

	for _, f := range firings {
		if f.Overlap != OverlapQueue && len(f.rows) > 0 {
			names, running = append(names, f.Name), append(running, f.Overlap != OverlapReplace)
			byName[f.Name] = f
		}
	}

	if len(names) == 0 {
		return nil
	}

	rows, err := tx.Query(ctx, unfinishedSQL, names, running)
	if err != nil {
		return fmt.Errorf("look for unfinished jobs: %w", err)
	}

	var (
		name   string
		id     int64
		cancel = make(map[int64]Overlap)
	)

	if _, err := pgx.ForEachRow(rows, []any{&name, &id}, func() error {
		if f := byName[name]; f.Overlap == OverlapSkip {
			f.plan.skipped += int64(len(f.plan.fire))
			f.plan.fire, f.rows = nil, nil
		} else {
			cancel[id] = f.Overlap
		}

		return nil
	}); err != nil {
		return fmt.Errorf("look for unfinished jobs: %w", err)
	}

	return cancelEarlier(ctx, tx, cancel)
}

// cancelEarlier cancels jobs, by the policy of their schedule. One that was claimed meanwhile runs, and replace leaves
// it alone. They are locked in the order in which the finisher does it.
func cancelEarlier(ctx context.Context, tx pgx.Tx, earlier map[int64]Overlap) error {
	batch := &pgx.Batch{}
	for _, id := range slices.Sorted(maps.Keys(earlier)) {
		jobs.QueueCancel(batch, id, earlier[id] != OverlapReplace)
	}

	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return fmt.Errorf("cancel earlier jobs: %w", err)
	}

	return nil
}
