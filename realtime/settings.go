package realtime

import (
	"context"
	_ "embed" // the statements
	"fmt"
	"math"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

//go:embed sql/lock_namespaces.sql
var sqlLockNamespaces string

//go:embed sql/store_namespaces.sql
var sqlStoreNamespaces string

// storeTimeout bounds the writing of the namespaces at the start.
const storeTimeout = 10 * time.Second

// store writes what the SQL function millrace.publish has to know of the namespaces, so that it refuses in the
// caller's transaction what Hub.Publish would refuse.
func (all namespaces) store(ctx context.Context, pool *pgxpool.Pool) error {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	n := len(all)
	names, readOnly, anyBytes, sizes := make([]string, 0, n), make([]bool, 0, n), make([]bool, 0, n), make([]int32, 0, n)
	for name, settings := range all {
		names, readOnly = append(names, name), append(readOnly, settings.Source != nil)
		anyBytes = append(anyBytes, settings.Binary)
		sizes = append(sizes, int32(min(settings.maxSize(), math.MaxInt32))) //nolint:gosec // no more than that
	}
	err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, sqlLockNamespaces); err != nil {
			return err //nolint:wrapcheck // wrapped below
		}
		_, err := tx.Exec(ctx, sqlStoreNamespaces, names, readOnly, anyBytes, sizes)
		return err //nolint:wrapcheck // wrapped below
	})
	if err != nil {
		return fmt.Errorf("store the namespaces: %w", err)
	}
	return nil
}
