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
	listener := postgres.NewListener(postgres.ListenerConfig{URL: db.URL, Logger: slog.New(slog.DiscardHandler)})
	store := NewStore(db.Pool, listener, nil)
	require.NoError(t, listener.Start(t.Context()))
	t.Cleanup(func() { require.NoError(t, listener.Stop(context.Background())) })
	run(t, store)
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

// refusedWithin waits until the bearer is refused.
func refusedWithin(t *testing.T, store *Store, bearer string, within time.Duration) {
	t.Helper()
	require.Eventually(t, func() bool {
		_, err := store.Authenticate(t.Context(), bearer)
		return err != nil && err == ErrUnauthenticated //nolint:errorlint // it is returned as it is
	}, within, 20*time.Millisecond)
}
