package auth

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/testdb"
)

func TestSessionEndsEverywhere(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	here, there, deaf := node(t, db), node(t, db), deafNode(t, db)
	_, text := mustKey(t, here, "stats:read")
	session, err := here.StartSession(t.Context(), text)
	require.NoError(t, err)
	for _, store := range []*Store{here, there, deaf} {
		id, err := store.AuthenticateSession(t.Context(), session.Secret)
		require.NoError(t, err)
		require.Equal(t, KindSession, id.Kind)
		require.True(t, id.Allows(ScopeStatsRead, ""))
		require.False(t, id.Allows(ScopeKeysManage, ""))
		require.WithinDuration(t, time.Now().Add(SessionLife), id.ExpiresAt, time.Minute)
	}
	require.NoError(t, here.EndSession(t.Context(), session.Secret))
	require.NoError(t, here.EndSession(t.Context(), session.Secret), "again")
	for _, store := range []*Store{here, there, deaf} {
		require.Eventually(t, func() bool {
			_, err := store.AuthenticateSession(t.Context(), session.Secret)
			return err == ErrUnauthenticated //nolint:errorlint // it is returned as it is
		}, patience, 20*time.Millisecond)
	}
	mustIdentity(t, here, text) // the key itself goes on
}

func TestSessionEndsWithItsKey(t *testing.T) {
	t.Parallel()
	store := deafNode(t, testdb.New(t))
	key, text := mustKey(t, store, "admin")
	first, err := store.StartSession(t.Context(), text)
	require.NoError(t, err)
	second, err := store.StartSession(t.Context(), text)
	require.NoError(t, err)
	require.NotEqual(t, first.Secret, second.Secret, "a new secret at each login")
	require.NoError(t, store.Revoke(t.Context(), key.ID))
	for _, session := range []Session{first, second} {
		_, err = store.AuthenticateSession(t.Context(), session.Secret)
		require.ErrorIs(t, err, ErrUnauthenticated)
	}
	_, err = store.CreateLoginLink(t.Context(), key.ID)
	require.ErrorIs(t, err, ErrUnauthenticated)
}

func TestSessionIsNoKeyAndTokenNoSession(t *testing.T) {
	t.Parallel()
	store := deafNode(t, testdb.New(t))
	_, text := mustKey(t, store, "admin")
	session, err := store.StartSession(t.Context(), text)
	require.NoError(t, err)
	token, _, err := store.MintToken(t.Context(), session.Identity, TokenParams{User: "u"})
	require.NoError(t, err)
	for _, login := range []string{"", "nonsense", session.Secret, token} {
		_, err = store.StartSession(t.Context(), login)
		require.ErrorIs(t, err, ErrUnauthenticated, login)
	}
	for _, cookie := range []string{"", text, token} {
		_, err = store.AuthenticateSession(t.Context(), cookie)
		require.ErrorIs(t, err, ErrUnauthenticated, cookie)
	}
}

func TestLoginLinkLogsOneBrowserIn(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := deafNode(t, db)
	key, _ := mustKey(t, store, "admin")
	link, err := store.CreateLoginLink(t.Context(), key.ID)
	require.NoError(t, err)
	var in atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if _, err := store.RedeemLoginLink(t.Context(), link); err == nil {
				in.Add(1)
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, 1, in.Load())

	link, err = store.CreateLoginLink(t.Context(), key.ID)
	require.NoError(t, err)
	_, err = db.Pool.Exec(t.Context(), `update millrace.login_link set expires_at = now()`)
	require.NoError(t, err)
	_, err = store.RedeemLoginLink(t.Context(), link)
	require.ErrorIs(t, err, ErrUnauthenticated, "too late")
}

// TestSessionsEndIsTold: on every node, the one that gets no notices included, so that its sockets are closed.
func TestSessionsEndIsTold(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	here, there, deaf := node(t, db), node(t, db), deafNode(t, db)
	_, text := mustKey(t, here, "stats:read")
	told := make(map[*Store]chan Revoked)
	for _, store := range []*Store{here, there, deaf} {
		heard := make(chan Revoked, 10)
		told[store] = heard
		store.OnRevoke(func(ended Revoked) { heard <- ended })
	}
	session, err := here.StartSession(t.Context(), text)
	require.NoError(t, err)
	other, err := here.StartSession(t.Context(), text)
	require.NoError(t, err)
	require.NotEqual(t, session.Identity.Session, other.Identity.Session)
	again, err := there.AuthenticateSession(t.Context(), session.Secret)
	require.NoError(t, err)
	require.Equal(t, session.Identity.Session, again.Session)
	require.NotContains(t, session.Identity.Session, session.Secret)

	require.NoError(t, here.EndSession(t.Context(), session.Secret))
	for _, store := range []*Store{here, there, deaf} {
		select {
		case ended := <-told[store]:
			require.Equal(t, Revoked{Session: session.Identity.Session}, ended)
		case <-time.After(patience):
			require.Fail(t, "not told")
		}
	}
	_, err = deaf.AuthenticateSession(t.Context(), other.Secret)
	require.NoError(t, err, "the other login goes on")
}
