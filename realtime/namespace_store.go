package realtime

import (
	"cmp"
	"context"
	_ "embed" // the statements
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

var (
	//go:embed sql/namespace_lock.sql
	sqlNamespaceLock string
	//go:embed sql/namespace_put.sql
	sqlNamespacePut string
	//go:embed sql/namespace_delete.sql
	sqlNamespaceDelete string
	//go:embed sql/namespace_retire.sql
	sqlNamespaceRetire string
	//go:embed sql/namespace_stored.sql
	sqlNamespaceStored string
	//go:embed sql/namespace_count.sql
	sqlNamespaceCount string
	//go:embed sql/namespace_epochs.sql
	sqlNamespaceEpochs string
)

// storeTimeout bounds the reading and writing of namespaces.
const storeTimeout = 10 * time.Second

// StoredNamespace is a namespace as the API shows it.
type StoredNamespace struct {
	Namespace

	// BuiltIn namespaces are of the configuration and cannot be changed, but for the default one: a stored
	// one goes before it.
	BuiltIn bool
	// UpdatedAt is when a stored namespace was written last; zero where it is built in.
	UpdatedAt time.Time
}

// storeBuiltIn writes the settings of the configuration, so that the SQL function millrace.publish refuses in the
// caller's transaction what Hub.Publish would refuse.
func (t *namespaceTable) storeBuiltIn(ctx context.Context, pool *pgxpool.Pool) error {
	return changeNamespaces(ctx, pool, func(ctx context.Context, tx pgx.Tx) error {
		writes := &pgx.Batch{}
		names := make([]string, 0, len(t.builtIn))
		for name, n := range t.builtIn {
			names = append(names, name)
			writes.Queue(sqlNamespacePut, n.columns(true)...)
		}
		writes.Queue(sqlNamespaceRetire, names)
		if err := tx.SendBatch(ctx, writes).Close(); err != nil {
			return fmt.Errorf("store the namespaces: %w", err)
		}
		return nil
	})
}

// changeNamespaces runs one change at a time in all instances.
func changeNamespaces(ctx context.Context, pool *pgxpool.Pool, change func(context.Context, pgx.Tx) error) error {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, sqlNamespaceLock); err != nil {
			return fmt.Errorf("lock the namespaces: %w", err)
		}
		return change(ctx, tx)
	})
}

// columns are the parameters of namespace_put.sql.
func (n *Namespace) columns(builtIn bool) []any {
	return []any{
		n.Name, builtIn, n.Source != nil, n.HistorySize, n.HistoryTTL.Seconds(), n.Ephemeral, n.Personal, n.Binary,
		min(n.maxSize(), math.MaxInt32),
		n.rule(ActionSubscribe), n.rule(ActionPublish), n.rule(ActionPresence), n.rule(ActionHistory),
		n.Presence, n.JoinLeave, n.Delta, n.CacheRecovery, n.Relaxed, n.PublishRate,
	}
}

// readStored returns the stored namespaces by their names.
func readStored(ctx context.Context, from querier) ([]StoredNamespace, error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	rows, err := from.Query(ctx, sqlNamespaceStored)
	if err != nil {
		return nil, fmt.Errorf("read the namespaces: %w", err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (n StoredNamespace, err error) {
		err = row.Scan(&n.Name, &n.HistorySize, &n.HistoryTTL, &n.Ephemeral, &n.Personal, &n.Binary, &n.MaxSize,
			&n.Subscribe, &n.Publish, &n.PresenceRule, &n.HistoryRule, &n.Presence, &n.JoinLeave, &n.Delta,
			&n.CacheRecovery, &n.Relaxed, &n.PublishRate, &n.UpdatedAt)
		return n, err
	})
	if err != nil {
		return nil, fmt.Errorf("read the namespaces: %w", err)
	}
	return list, nil
}

// querier is a pool, a connection or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

var errNamespacesInMemory = errors.New("this hub keeps everything in memory, and no namespaces")

// Namespaces lists the namespaces in force, by name: those of this instance's configuration and the stored ones.
func (h *Hub) Namespaces(ctx context.Context) ([]StoredNamespace, error) {
	if h.broker == nil {
		return nil, errNamespacesInMemory
	}
	stored, err := readStored(ctx, h.config.Pool)
	if err != nil {
		return nil, err
	}
	builtIn := h.namespaces.table().builtIn
	list := slices.DeleteFunc(stored, func(n StoredNamespace) bool { return n.Name != "" && builtIn[n.Name] != nil })
	for name, n := range builtIn {
		if name != "" || len(list) == 0 || list[0].Name != "" {
			list = append(list, StoredNamespace{Namespace: *n, BuiltIn: true})
		}
	}
	slices.SortFunc(list, func(a, b StoredNamespace) int { return cmp.Compare(a.Name, b.Name) })
	return list, nil
}
