package auth

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/testdb"
)

func TestTokenHasItsOwnRightsOnly(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	here, there := deafNode(t, db), deafNode(t, db)
	key, text := mustKey(t, here, "admin")
	token, expires, err := here.MintToken(t.Context(), mustIdentity(t, here, text), TokenParams{
		User: "ada", Subscribe: []string{"room:*"}, Publish: []string{"room:lobby"}, ExpiresIn: time.Minute,
	})
	require.NoError(t, err)
	require.WithinDuration(t, time.Now().Add(time.Minute), expires, patience)

	id := mustIdentity(t, there, token) // another node: the secret is the database's
	require.Equal(t, KindToken, id.Kind)
	require.Equal(t, "ada", id.User)
	require.Equal(t, key.ID, id.Key)
	require.True(t, id.Allows(ScopeChannelsSubscribe, "room:1"))
	require.True(t, id.Allows(ScopeChannelsSubscribe, "user:ada"))
	require.True(t, id.Allows(ScopeChannelsPublish, "room:lobby"))
	require.False(t, id.Allows(ScopeChannelsPublish, "room:1"))
	require.False(t, id.Allows(ScopeChannelsSubscribe, "user:bob"))
	for _, scope := range []string{ScopeAdmin, ScopeStatsRead, ScopeKeysManage, ScopeTokensCreate, ScopeJobsRead} {
		require.False(t, id.Allows(scope, "x"), scope)
	}
	_, _, err = here.MintToken(t.Context(), id, TokenParams{User: "bob"})
	require.ErrorIs(t, err, ErrBeyond, "a token makes no tokens")

	require.NoError(t, here.Revoke(t.Context(), key.ID))
	refusedWithin(t, there, token, promise)
}

func TestTokenIsCoveredByItsMaker(t *testing.T) {
	t.Parallel()
	store := deafNode(t, testdb.New(t))
	_, text := mustKey(t, store, "tokens:create", "channels:subscribe:room:*")
	by := mustIdentity(t, store, text)
	for _, beyond := range []TokenParams{
		{User: "u", Subscribe: []string{"*"}}, {User: "u", Publish: []string{"room:1"}},
	} {
		_, _, err := store.MintToken(t.Context(), by, beyond)
		require.ErrorIs(t, err, ErrBeyond)
	}
	var invalid *InvalidError
	for _, bad := range []TokenParams{
		{}, {User: "a b"}, {User: strings.Repeat("u", 201)}, {User: "u", ExpiresIn: 25 * time.Hour}, {User: "u", ExpiresIn: -1},
		{User: "u", Subscribe: []string{"room:*x"}}, {User: "u", Subscribe: make([]string, 51)},
	} {
		_, _, err := store.MintToken(t.Context(), by, bad)
		require.ErrorAs(t, err, &invalid)
	}
}

// TestJobChannelsFollowJobsRead: the channels of jobs show what GET /v1/jobs shows, to the same people.
func TestJobChannelsFollowJobsRead(t *testing.T) {
	t.Parallel()
	store := deafNode(t, testdb.New(t))
	as := func(scopes ...string) Identity {
		_, text := mustKey(t, store, scopes...)
		return mustIdentity(t, store, text)
	}
	orders := func(id string) bool { return id == "1" } // job 1 is one of orders.*
	for _, c := range []struct {
		who     Identity
		channel string
		want    bool
	}{
		{as("admin"), "jobs", true},
		{as("admin"), "job:2", true},
		{as("jobs:read:*"), "jobs", true},
		{as("jobs:read:*"), "job:2", true},
		{as("jobs:read:*"), "room:1", false},
		{as("jobs:read:orders.*"), "jobs", false},
		{as("jobs:read:orders.*"), "job:1", true},
		{as("jobs:read:orders.*"), "job:2", false},
		{as("channels:subscribe:*"), "jobs", false},
		{as("channels:subscribe:*"), "job:1", false},
		{as("channels:subscribe:job:*"), "job:1", false},
		{as("channels:subscribe:*"), "room:1", true},
	} {
		require.Equal(t, c.want, c.who.MaySubscribe(c.channel, orders), "%v %s", c.who.Scopes(), c.channel)
	}

	mint := func(by Identity, patterns ...string) (Identity, error) {
		text, _, err := store.MintToken(t.Context(), by, TokenParams{User: "u", Subscribe: patterns, Readable: orders})
		if err != nil {
			return Identity{}, err
		}
		return mustIdentity(t, store, text), nil
	}
	for _, refused := range [][]string{{"job:2"}, {"job:*"}, {"job:1*"}, {"jobs"}} {
		_, err := mint(as("tokens:create", "jobs:read:orders.*", "channels:subscribe:*"), refused...)
		require.ErrorIs(t, err, ErrBeyond, "%v", refused)
	}
	one, err := mint(as("tokens:create", "jobs:read:orders.*"), "job:1")
	require.NoError(t, err)
	require.True(t, one.MaySubscribe("job:1", nil))
	require.False(t, one.MaySubscribe("job:2", nil))
	require.False(t, one.MaySubscribe("jobs", nil))
	wide, err := mint(as("admin"), "*")
	require.NoError(t, err)
	require.True(t, wide.MaySubscribe("room:1", nil))
	require.False(t, wide.MaySubscribe("job:1", nil), "a token is shown the jobs that it names")
}

// TestForgedTokens tries what JWT libraries have fallen for.
func TestForgedTokens(t *testing.T) {
	t.Parallel()
	store := deafNode(t, testdb.New(t))
	key, text := mustKey(t, store, "admin")
	by := mustIdentity(t, store, text)
	good, _, err := store.MintToken(t.Context(), by, TokenParams{User: "u", Subscribe: []string{"a"}})
	require.NoError(t, err)
	mustIdentity(t, store, good)
	secret, err := store.signing.get(t.Context(), store)
	require.NoError(t, err)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)

	claim := func(change func(*claims)) *claims {
		c := &claims{
			Key: key.ID, Subscribe: []string{"*"}, Issuer: tokenIssuer, Subject: "u",
			ExpiresAt: &moment{time.Now().Add(time.Hour)},
		}
		change(c)
		return c
	}
	sign := func(method jwt.SigningMethod, with any, change func(*claims)) string {
		signed, err := jwt.NewWithClaims(method, claim(change)).SignedString(with)
		require.NoError(t, err)
		return signed
	}
	same := func(*claims) {}
	parts := strings.Split(good, ".")
	forged := map[string]string{
		"alg none":          sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, same),
		"alg HS384":         sign(jwt.SigningMethodHS384, secret, same),
		"alg RS256":         sign(jwt.SigningMethodRS256, rsaKey, same),
		"other secret":      sign(jwt.SigningMethodHS256, []byte(strings.Repeat("x", 32)), same),
		"empty secret":      sign(jwt.SigningMethodHS256, []byte{}, same),
		"no exp":            sign(jwt.SigningMethodHS256, secret, func(c *claims) { c.ExpiresAt = nil }),
		"not yet":           sign(jwt.SigningMethodHS256, secret, func(c *claims) { c.NotBefore = &moment{time.Now().Add(time.Minute)} }),
		"no key":            sign(jwt.SigningMethodHS256, secret, func(c *claims) { c.Key = "" }),
		"of a channel":      sign(jwt.SigningMethodHS256, secret, func(c *claims) { c.Channel = "room:1" }),
		"too much info":     sign(jwt.SigningMethodHS256, secret, func(c *claims) { c.Info = []byte(`"` + strings.Repeat("x", MaxTokenInfo) + `"`) }),
		"user with a space": sign(jwt.SigningMethodHS256, secret, func(c *claims) { c.Subject = "a b" }),
		"other issuer":      sign(jwt.SigningMethodHS256, secret, func(c *claims) { c.Issuer = "https://evil.example" }),
		"no subject":        sign(jwt.SigningMethodHS256, secret, func(c *claims) { c.Subject = "" }),
		"unknown key":       sign(jwt.SigningMethodHS256, secret, func(c *claims) { c.Key = "nosuchkey" }),
		"bad pattern":       sign(jwt.SigningMethodHS256, secret, func(c *claims) { c.Subscribe = []string{"a*b"} }),
		"no signature":      parts[0] + "." + parts[1] + ".",
		"other payload":     parts[0] + "." + strings.ToUpper(parts[1]) + "." + parts[2],
		"huge":              "eyJ" + strings.Repeat("A", 1<<20) + ".a.b",
		"ten thousand dots": "eyJ" + strings.Repeat(".", 10_000),
	}
	for name, token := range forged {
		_, err := store.Authenticate(t.Context(), token)
		require.Equal(t, ErrUnauthenticated, err, name)
		_, err = store.ParseToken(t.Context(), token)
		require.Equal(t, ErrUnauthenticated, err, name)
	}
	old := sign(jwt.SigningMethodHS256, secret, func(c *claims) { c.ExpiresAt = &moment{time.Now().Add(-time.Minute)} })
	_, err = store.Authenticate(t.Context(), old)
	require.ErrorIs(t, err, ErrExpired)
	require.ErrorIs(t, err, ErrUnauthenticated)
	oldParts := strings.Split(old, ".")
	_, err = store.Authenticate(t.Context(), oldParts[0]+"."+oldParts[1]+"."+parts[2])
	require.NotErrorIs(t, err, ErrExpired, "what was never good is not told that it is too late")
	for name, change := range map[string]func(*claims){
		"expired, and of another issuer": func(c *claims) { c.Issuer = "https://evil.example" },
		"expired, and not yet valid":     func(c *claims) { c.NotBefore = &moment{time.Now().Add(time.Hour)} },
		"expired, and of nobody":         func(c *claims) { c.Subject = "" },
	} {
		_, err = store.Authenticate(t.Context(), sign(jwt.SigningMethodHS256, secret, func(c *claims) {
			c.ExpiresAt = &moment{time.Now().Add(-time.Minute)}
			change(c)
		}))
		require.Equal(t, ErrUnauthenticated, err, name)
	}
	// The control: with nothing changed the same code makes a token that works.
	mustIdentity(t, store, sign(jwt.SigningMethodHS256, secret, same))
}

func TestOneSecretForNodesThatStartTogether(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	const nodes = 8
	secrets := make(chan string, nodes)
	for range nodes {
		go func() {
			store := NewStore(db.Pool, nil, nil)
			secret, err := store.signing.get(t.Context(), store)
			if err != nil {
				secret = []byte(err.Error())
			}
			secrets <- string(secret)
		}()
	}
	first := <-secrets
	require.Len(t, first, secretBytes)
	for range nodes - 1 {
		require.Equal(t, first, <-secrets)
	}
}

func FuzzToken(f *testing.F) {
	f.Add("eyJhbGciOiJub25lIn0.eyJzdWIiOiJ1In0.")
	f.Add("eyJ..")
	store := NewStore(nil, nil, nil) // nothing forged comes as far as the database
	secret := []byte(strings.Repeat("s", secretBytes))
	store.signing.value.Store(&secret)
	f.Fuzz(func(t *testing.T, token string) {
		_, err := store.ParseToken(t.Context(), token)
		require.Equal(t, ErrUnauthenticated, err)
	})
}

// TestNobodyQueuesForTheTokenSecret: while the database does not answer, each request waits its own time, not that
// of all who came before it.
func TestNobodyQueuesForTheTokenSecret(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := NewStore(db.Pool, nil, nil)
	var busy []*pgxpool.Conn
	for range db.Pool.Config().MaxConns {
		conn, err := db.Pool.Acquire(t.Context())
		require.NoError(t, err)
		busy = append(busy, conn)
	}
	asks, first := make(chan struct{}), make(chan error, 1)
	go func() {
		close(asks)
		_, err := store.signing.get(t.Context(), store)
		first <- err
	}()
	<-asks
	for range 100 { // some of them while the first one waits
		ended, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		_, err := store.signing.get(ended, store)
		cancel()
		require.ErrorIs(t, err, context.DeadlineExceeded)
	}
	require.Empty(t, first, "nobody's end is the first one's")
	for _, conn := range busy {
		conn.Release()
	}
	require.NoError(t, <-first)
}
