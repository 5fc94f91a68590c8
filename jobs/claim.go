package jobs

import (
	"context"
	_ "embed"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

//go:embed sql/claim.sql
var claimSQL string

// claimTimeout bounds one claim. If Postgres commits it and the answer does not come back, the rows are running
// and in nobody's memory: the sweeper finds them (see sweeper.reconcile).
const claimTimeout = 5 * time.Second

// claim takes up to limit jobs of a queue, in the order of priority, due time and id. It returns exactly limit
// of them when there are that many: River asks again at once only then.
func claim(ctx context.Context, pool *pgxpool.Pool, queue string, limit int, client string) ([]*attempt, error) {
	ctx, cancel := context.WithTimeout(ctx, claimTimeout)
	defer cancel()

	rows, err := pool.Query(ctx, claimSQL, queue, limit, client)
	if err != nil {
		return nil, fmt.Errorf("claim jobs of queue %s: %w", queue, err)
	}

	now := time.Now()

	claims, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (*attempt, error) {
		var (
			a       = &attempt{queue: queue, claimed: now}
			timeout *string
		)

		err := row.Scan(&a.id, &a.number, &a.max, &a.function, (*[]byte)(&a.input), &timeout, &a.young)
		a.timeout = parseTimeout(timeout)

		return a, err
	})
	if err != nil {
		return nil, fmt.Errorf("claim jobs of queue %s: %w", queue, err)
	}

	return claims, nil
}
