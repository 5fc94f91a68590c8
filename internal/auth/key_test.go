package auth

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/testdb"
)

func TestKeyLifecycle(t *testing.T) {
	t.Parallel()
	store := node(t, testdb.New(t))
	key, text := mustKey(t, store, "jobs:submit:orders.*", "stats:read")
	require.True(t, strings.HasPrefix(text, "mr_live_"+key.ID+"_"))

	id := mustIdentity(t, store, text)
	require.Equal(t, KindKey, id.Kind)
	require.Equal(t, key.ID, id.Key)
	require.True(t, id.Allows(ScopeJobsSubmit, "orders.charge"))
	require.False(t, id.Allows(ScopeJobsSubmit, "mail.send"))
	require.False(t, id.Allows(ScopeJobsRead, "orders.charge"))
	require.True(t, id.Allows(ScopeStatsRead, ""))
	require.False(t, id.AllowsAny(ScopeAdmin))

	listed, err := store.ListKeys(t.Context(), "", 10)
	require.NoError(t, err)
	require.Len(t, listed, 1)
	encoded, err := json.Marshal(listed)
	require.NoError(t, err)
	require.NotContains(t, string(encoded), text[len("mr_live_")+len(key.ID)+1:])

	require.NoError(t, store.Revoke(t.Context(), key.ID))
	_, err = store.Authenticate(t.Context(), text)
	require.ErrorIs(t, err, ErrUnauthenticated, "at once where it was revoked")
	require.NoError(t, store.Revoke(t.Context(), key.ID), "again")
	require.ErrorIs(t, store.Revoke(t.Context(), "nosuch"), ErrNotFound)
}

func TestEveryRefusalIsTheSame(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := deafNode(t, db)
	key, text := mustKey(t, store, "admin")
	expired, expiredText := mustKey(t, store, "admin")
	_, err := db.Pool.Exec(t.Context(), `update millrace.api_key set expires_at = now() - interval '1 s' where id = $1`, expired.ID)
	require.NoError(t, err)

	for name, bearer := range map[string]string{
		"none": "", "other secret": "mr_live_" + key.ID + "_" + strings.Repeat("a", 52), "no secret": "mr_live_" + key.ID + "_",
		"unknown id": "mr_live_abcdefgh_" + strings.Repeat("a", 52), "cut": text[:len(text)-1], "longer": text + "a",
		"upper": strings.ToUpper(text), "expired": expiredText, "a word": "password", "sql": "mr_live_'; drop table x--_y",
		"nul": "mr_live_a\x00b_c", "long": strings.Repeat("a", 1<<20), "its own hash": "dev" + key.ID,
	} {
		_, err := store.Authenticate(t.Context(), bearer)
		require.Equal(t, ErrUnauthenticated, err, name)
	}
}

// TestRevocationReachesEveryNode is the five-second promise, with the notice and without it.
func TestRevocationReachesEveryNode(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	here, there, deaf := node(t, db), toldNode(t, db), deafNode(t, db)
	key, text := mustKey(t, here, "admin")
	told := map[*Store]chan string{}
	for _, store := range []*Store{there, deaf} {
		mustIdentity(t, store, text) // in its cache now
		heard := make(chan string, 10)
		told[store] = heard
		store.OnRevoke(func(ended Revoked) { heard <- ended.Key })
	}
	require.NoError(t, here.Revoke(t.Context(), key.ID))
	for _, store := range []*Store{there, deaf} {
		select {
		case id := <-told[store]:
			require.Equal(t, key.ID, id)
		case <-time.After(patience):
			t.Fatal("open sockets are not told")
		}
		_, err := store.Authenticate(t.Context(), text) // whoever is told so may rely on it
		require.Equal(t, ErrUnauthenticated, err)
	}
}

func TestExpiryIsTold(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := deafNode(t, db)
	told := make(chan string, 10)
	store.OnRevoke(func(ended Revoked) { told <- ended.Key })
	key, text, err := store.CreateKey(t.Context(), KeyParams{Scopes: []string{"admin"}, ExpiresIn: 2 * time.Second})
	require.NoError(t, err)
	mustIdentity(t, store, text)
	refusedWithin(t, store, text, 2*time.Second+CacheTTL/4) // by the expiry: the cache would keep it for longer
	select {
	case id := <-told:
		require.Equal(t, key.ID, id)
	case <-time.After(patience):
		t.Fatal("nobody was told")
	}
}

func TestEnsureKey(t *testing.T) {
	t.Parallel()
	store := deafNode(t, testdb.New(t))
	const literal = "a-development-key"
	key, err := store.EnsureKey(t.Context(), literal)
	require.NoError(t, err)
	require.True(t, mustIdentity(t, store, literal).Allows(ScopeAdmin, ""))

	require.NoError(t, store.Revoke(t.Context(), key.ID))
	_, err = store.Authenticate(t.Context(), literal)
	require.ErrorIs(t, err, ErrUnauthenticated)
	again, err := store.EnsureKey(t.Context(), literal)
	require.NoError(t, err)
	require.Equal(t, key.ID, again.ID)
	mustIdentity(t, store, literal)

	made, text := mustKey(t, store, "stats:read")
	raised, err := store.EnsureKey(t.Context(), text)
	require.NoError(t, err)
	require.Equal(t, made.ID, raised.ID, "a key in our own format keeps its id")

	var invalid *InvalidError
	for _, bad := range []string{"short", "with a space in it", "with-ünicode-in-it", "mr_live_" + made.ID + "_other-secret-text"} {
		_, err = store.EnsureKey(t.Context(), bad)
		require.ErrorAs(t, err, &invalid, bad)
	}
}

func TestNobodyGrantsMoreThanTheyHold(t *testing.T) {
	t.Parallel()
	store := deafNode(t, testdb.New(t))
	_, text := mustKey(t, store, "keys:manage", "jobs:read:orders.*")
	by := mustIdentity(t, store, text)
	for _, beyond := range []string{"admin", "jobs:read:*", "jobs:submit:orders.*", "tokens:create"} {
		_, _, err := store.CreateKey(t.Context(), KeyParams{Scopes: []string{beyond}, By: &by})
		require.ErrorIs(t, err, ErrBeyond, beyond)
	}
	key, _, err := store.CreateKey(t.Context(), KeyParams{Scopes: []string{"jobs:read:orders.charge"}, By: &by})
	require.NoError(t, err)
	require.Equal(t, by.Key, key.CreatedBy)
}

func TestInvalidKeysNameEveryMistake(t *testing.T) {
	t.Parallel()
	store := deafNode(t, testdb.New(t))
	_, _, err := store.CreateKey(t.Context(), KeyParams{
		Name: strings.Repeat("a", 201), Scopes: []string{"nonsense", "jobs:read"}, ExpiresIn: -time.Second,
	})
	var invalid *InvalidError
	require.ErrorAs(t, err, &invalid)
	require.Len(t, invalid.Fields, 4)
	_, _, err = store.CreateKey(t.Context(), KeyParams{Name: "a\x00b", Scopes: []string{"admin"}})
	require.ErrorAs(t, err, &invalid)
	_, _, err = store.CreateKey(t.Context(), KeyParams{})
	require.ErrorAs(t, err, &invalid)
}

func TestLastUseIsWrittenByStop(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := NewStore(db.Pool, nil, nil)
	require.NoError(t, store.Start(t.Context()))
	_, text := mustKey(t, store, "admin")
	for range 100 {
		mustIdentity(t, store, text)
	}
	require.NoError(t, store.Stop(context.Background()))
	keys, err := store.ListKeys(t.Context(), "", 10)
	require.NoError(t, err)
	require.NotNil(t, keys[0].LastUsedAt)
}

// TestAnOutageIsNoRefusal: who cannot be looked up is not told that the key is wrong.
func TestAnOutageIsNoRefusal(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := NewStore(db.Pool, nil, nil)
	_, known := mustKey(t, store, "admin")
	_, unknown := newKeyText()
	mustIdentity(t, store, known)
	db.Pool.Close()
	mustIdentity(t, store, known) // still cached
	_, err := store.Authenticate(t.Context(), unknown)
	require.Error(t, err)
	require.NotErrorIs(t, err, ErrUnauthenticated)
}

// TestNothingSecretIsStored reads every column of every table of this package.
func TestNothingSecretIsStored(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := deafNode(t, db)
	key, text := mustKey(t, store, "admin")
	session, err := store.StartSession(t.Context(), text)
	require.NoError(t, err)
	link, err := store.CreateLoginLink(t.Context(), key.ID)
	require.NoError(t, err)
	token, _, err := store.MintToken(t.Context(), mustIdentity(t, store, text), TokenParams{User: "u"})
	require.NoError(t, err)
	secretPart := text[strings.LastIndex(text, "_")+1:]
	for _, table := range []string{"api_key", "web_session", "login_link", "auth_secret"} {
		var dump string
		err := db.Pool.QueryRow(t.Context(), `select coalesce(string_agg(t::text, ' '), '') from millrace.`+table+` t`).Scan(&dump)
		require.NoError(t, err)
		require.NotEmpty(t, dump)
		for _, secret := range []string{secretPart, session.Secret, link, token} {
			require.NotContains(t, dump, secret, table)
		}
	}
}
