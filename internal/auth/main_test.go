package auth

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/postgres"
	"github.com/millrace-dev/millrace/internal/testdb"
)

func TestMain(m *testing.M) { testdb.Main(m) }

// promise is how long an ended credential may still be accepted, anywhere.
const promise = 5 * time.Second

// node is a store as one instance has it, with a listening connection.
func node(t *testing.T, db *testdb.DB) *Store {
	t.Helper()
	store := toldNode(t, db)
	run(t, store)
	return store
}

// toldNode is one that looks for nothing by itself: what it knows came by NOTIFY, or is too old for its cache.
func toldNode(t *testing.T, db *testdb.DB) *Store {
	t.Helper()
	listener := postgres.NewListener(postgres.ListenerConfig{URL: db.URL, Logger: slog.New(slog.DiscardHandler)})
	store := NewStore(db.Pool, listener, nil)
	require.NoError(t, listener.Start(t.Context()))
	t.Cleanup(func() { require.NoError(t, listener.Stop(context.Background())) })
	return store
}

// deafNode is one that hears no NOTIFY.
func deafNode(t *testing.T, db *testdb.DB) *Store {
	t.Helper()
	store := NewStore(db.Pool, nil, nil)
	run(t, store)
	return store
}

func run(t *testing.T, store *Store) {
	t.Helper()
	require.NoError(t, store.Start(t.Context()))
	t.Cleanup(func() { require.NoError(t, store.Stop(context.Background())) })
}

func mustKey(t *testing.T, store *Store, scopes ...string) (Key, string) {
	t.Helper()
	key, text, err := store.CreateKey(t.Context(), KeyParams{Name: t.Name(), Scopes: scopes})
	require.NoError(t, err)
	return key, text
}

func mustIdentity(t *testing.T, store *Store, bearer string) Identity {
	t.Helper()
	id, err := store.Authenticate(t.Context(), bearer)
	require.NoError(t, err)
	return id
}

// patience is for what must come at some time. That the promise is kept is measured where the clock that counts is the
// code's own, not that of a machine with much else to do.
const patience = 20 * time.Second

// refusedWithin waits until the bearer is refused, which was accepted for the last time within the given time.
func refusedWithin(t *testing.T, store *Store, bearer string, within time.Duration) {
	t.Helper()
	begin := time.Now()
	var accepted time.Duration
	require.Eventually(t, func() bool {
		asked := time.Since(begin)
		_, err := store.Authenticate(t.Context(), bearer)
		if err == nil {
			accepted = asked
		}
		return err != nil && err == ErrUnauthenticated //nolint:errorlint // it is returned as it is
	}, patience, 20*time.Millisecond)
	require.Less(t, accepted, within)
}
