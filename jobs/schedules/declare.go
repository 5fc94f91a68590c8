package schedules

import (
	"context"
	_ "embed"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

//go:embed sql/drop_owned.sql
var dropOwnedSQL string

// Declare makes a function's own schedules those of declared, and removes its others, in the transaction that
// makes the declaring version live. A declared name becomes "function:name". What people did to a schedule that stays
// (a pause) and what happened to it (its counts, its next tick if its ticks stay what they were) stays too.
//
// Each of declared must have passed CheckDeclared.
func Declare(ctx context.Context, tx pgx.Tx, function string, declared []Spec) error {
	names := make([]string, len(declared))

	for i, spec := range declared {
		spec = withDefaults(spec)
		spec.Name, spec.Function = function+":"+spec.Name, function
		names[i] = spec.Name

		found, err := lock(ctx, tx, spec.Name)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return fmt.Errorf("schedule %s: %w", spec.Name, err)
		}

		spec.Paused = found != nil && found.Paused

		if err := store(ctx, tx, found, &spec, function); err != nil {
			return fmt.Errorf("schedule %s: %w", spec.Name, err)
		}
	}

	tag, err := tx.Exec(ctx, dropOwnedSQL, function, names)
	if err != nil {
		return fmt.Errorf("remove the schedules of %s: %w", function, err)
	}

	if tag.RowsAffected() > 0 {
		return hintAll(ctx, tx)
	}

	return nil
}
