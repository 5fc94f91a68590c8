package realtime

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

// Limits of stored namespaces. What the program's configuration says is not bounded by them.
const (
	MaxStoredNamespaces = 1000
	MaxStoredHistory    = 100_000
	MaxStoredTTL        = 365 * 24 * time.Hour
	MaxStoredSize       = 1 << 20 // more is refused in SQL anyway
	MaxStoredRate       = 100_000
)

// thisShard is the one shard that numbers all channels.
const thisShard = 0

// Errors of PutNamespace and DeleteNamespace.
var (
	// ErrBuiltIn is returned for namespaces of the configuration, which cannot be changed while it runs.
	ErrBuiltIn = errors.New("the namespace is built in")
	// ErrUnknownNamespace is returned by DeleteNamespace where nothing is stored under the name.
	ErrUnknownNamespace = errors.New("no such namespace is stored")
	// ErrNamespaceLimit is returned for more than MaxStoredNamespaces.
	ErrNamespaceLimit = errors.New("too many namespaces")
)

// PutNamespace stores a namespace with all its settings, in the place of the one of that name: of two writers the
// last one wins. It is in force here when PutNamespace returns and on the other instances within a second. See
// doc.go for what becomes of open subscriptions. The errors are *NamespaceError, ErrBuiltIn and ErrNamespaceLimit.
func (h *Hub) PutNamespace(ctx context.Context, n Namespace) error {
	if err := n.validateStored(); err != nil {
		return err
	}
	return h.changeNamespace(ctx, n.Name, func(ctx context.Context, tx pgx.Tx) error {
		var others int
		if err := tx.QueryRow(ctx, sqlNamespaceCount, n.Name).Scan(&others); err != nil {
			return fmt.Errorf("count the namespaces: %w", err)
		}
		if others >= MaxStoredNamespaces {
			return fmt.Errorf("%w: %d are stored", ErrNamespaceLimit, others)
		}
		if _, err := tx.Exec(ctx, sqlNamespacePut, n.columns(false)...); err != nil {
			return fmt.Errorf("store namespace %q: %w", n.Name, err)
		}
		return nil
	})
}

// DeleteNamespace removes a stored namespace. Its channels are then of the default namespace; the default one
// itself falls back to the configuration's. The errors are ErrUnknownNamespace and ErrBuiltIn.
func (h *Hub) DeleteNamespace(ctx context.Context, name string) error {
	return h.changeNamespace(ctx, name, func(ctx context.Context, tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, sqlNamespaceDelete, name)
		if err != nil {
			return fmt.Errorf("delete namespace %q: %w", name, err)
		}
		if tag.RowsAffected() == 0 {
			return fmt.Errorf("delete namespace %q: %w", name, ErrUnknownNamespace)
		}
		return nil
	})
}

// validateStored returns nil or a *NamespaceError.
func (n *Namespace) validateStored() error {
	var problems []NamespaceProblem
	if invalid, is := errors.AsType[*NamespaceError](n.validate()); is {
		problems = invalid.Problems
	}
	problems = append(problems, broken([]settingRule{
		{n.Source != nil, "source", "cannot be stored: views are of the program"},
		{n.HistorySize > MaxStoredHistory, "history_size", fmt.Sprintf("is at most %d", MaxStoredHistory)},
		{n.HistoryTTL > MaxStoredTTL, "history_ttl", "is at most a year"},
		{n.HistoryTTL%time.Microsecond != 0, "history_ttl", "must be in whole microseconds"},
		{n.MaxSize > MaxStoredSize, "max_size", fmt.Sprintf("is at most %d bytes", MaxStoredSize)},
		{n.PublishRate > MaxStoredRate, "publish_rate", fmt.Sprintf("is at most %d a second", MaxStoredRate)},
	})...)
	if len(problems) > 0 {
		return &NamespaceError{Name: n.Name, Problems: problems}
	}
	return nil
}

// changeNamespace runs a change of what is stored under a name and brings it into force.
func (h *Hub) changeNamespace(ctx context.Context, name string, change func(context.Context, pgx.Tx) error) error {
	switch {
	case h.broker == nil:
		return errNamespacesInMemory
	case name != "" && h.namespaces.table().builtIn[name] != nil:
		return fmt.Errorf("namespace %q: %w", name, ErrBuiltIn)
	}
	err := changeNamespaces(ctx, h.config.Pool, func(ctx context.Context, tx pgx.Tx) error {
		before, err := h.readTable(ctx, tx)
		if err != nil {
			return err
		}
		if err := change(ctx, tx); err != nil {
			return err
		}
		after, err := h.readTable(ctx, tx)
		if err != nil {
			return err
		}
		if before.named(name).keepsHistory() != after.named(name).keepsHistory() {
			if err := endEpochs(ctx, tx, name, after); err != nil {
				return err
			}
		}
		_, err = sendControl(ctx, tx, controlNamespace, nil, commandKept)
		return err
	})
	if err != nil {
		return err
	}
	return h.reloadNamespaces(ctx)
}

// endEpochs makes the positions of a namespace's channels void: what is published while there is no history is
// missing in it, and nobody should believe to have recovered that.
func endEpochs(ctx context.Context, tx pgx.Tx, name string, all *namespaceTable) error {
	others := slices.DeleteFunc(slices.Collect(maps.Keys(all.byName)), func(other string) bool { return other == "" })
	if _, err := tx.Exec(ctx, sqlNamespaceEpochs, name, others, thisShard); err != nil {
		return fmt.Errorf("end the epochs of namespace %q: %w", name, err)
	}
	return nil
}
