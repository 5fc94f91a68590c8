package auth

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/testdb"
)

// TestTimesInTokens: a number that no clock shows makes no token that lives for ever.
func TestTimesInTokens(t *testing.T) {
	t.Parallel()
	store := deafNode(t, testdb.New(t))
	key, _ := mustKey(t, store, "admin")
	secret, err := store.signing.get(t.Context(), store)
	require.NoError(t, err)
	token := func(exp string) string {
		payload := `{"iss":"millrace","sub":"u","key":"` + key.ID + `","exp":` + exp + `}`
		signed := encoded(`{"alg":"HS256","typ":"JWT"}`) + "." + encoded(payload)
		signature, err := jwt.SigningMethodHS256.Sign(signed, secret)
		require.NoError(t, err)
		return signed + "." + encoded(string(signature))
	}
	for _, exp := range []string{
		"9223372036854775807", "9223372036854775808", "18446744073709551616", "4611686018427387904", "1e400", "1e30",
		"253402300800", "-1", "null", `"9999999999"`, "[]", "{}", "true", "NaN", strings.Repeat("9", 400),
	} {
		_, err := store.ParseToken(t.Context(), token(exp))
		require.Equal(t, ErrUnauthenticated, err, exp)
	}
	_, err = store.ParseToken(t.Context(), token("0"))
	require.ErrorIs(t, err, ErrExpired)
	soon := time.Now().Add(time.Hour)
	for _, exp := range []string{strconv.FormatInt(soon.Unix(), 10), strconv.FormatInt(soon.Unix(), 10) + ".5"} {
		id, err := store.ParseToken(t.Context(), token(exp))
		require.NoError(t, err, exp)
		require.WithinDuration(t, soon, id.ExpiresAt, 2*time.Second)
	}
}

func TestSubscriptionTokens(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	here, there := deafNode(t, db), deafNode(t, db)
	key, text := mustKey(t, here, "tokens:create", "channels:subscribe:room:*")
	by := mustIdentity(t, here, text)
	token, expires, err := here.MintSubscriptionToken(t.Context(), by, SubscriptionTokenParams{
		User: "ada", Channel: "room:1", Info: []byte(`{ "role": "host" }`), ExpiresIn: time.Minute,
	})
	require.NoError(t, err)
	require.WithinDuration(t, time.Now().Add(time.Minute), expires, patience)
	said, err := there.ParseSubscriptionToken(t.Context(), token)
	require.NoError(t, err)
	require.True(t, expires.Equal(said.ExpiresAt))
	said.ExpiresAt = time.Time{}
	require.Equal(t, SubscriptionToken{User: "ada", Channel: "room:1", Key: key.ID, Info: []byte(`{"role":"host"}`)}, said)

	_, err = there.Authenticate(t.Context(), token)
	require.Equal(t, ErrUnauthenticated, err, "it connects nobody")
	connects, _, err := here.MintToken(t.Context(), by, TokenParams{User: "ada", Subscribe: []string{"room:1"}})
	require.NoError(t, err)
	_, err = there.ParseSubscriptionToken(t.Context(), connects)
	require.Equal(t, ErrUnauthenticated, err, "a connection's token opens no channel of its own")

	for _, beyond := range []string{"other", "jobs", "job:1"} {
		_, _, err := here.MintSubscriptionToken(t.Context(), by, SubscriptionTokenParams{User: "ada", Channel: beyond})
		require.ErrorIs(t, err, ErrBeyond, beyond)
	}
	var invalid *InvalidError
	for _, bad := range []SubscriptionTokenParams{
		{User: "ada"}, {Channel: "room:1"}, {User: "ada", Channel: "\xff"}, {User: "ada", Channel: "room:1\x00"}, {User: "ada", Channel: strings.Repeat("a", 256)},
		{User: "ada", Channel: "room:1", ExpiresIn: 25 * time.Hour}, {User: "ada", Channel: "room:1", Info: []byte("{")},
	} {
		_, _, err := here.MintSubscriptionToken(t.Context(), by, bad)
		require.ErrorAs(t, err, &invalid)
	}
	_, _, err = here.MintSubscriptionToken(t.Context(), mustIdentity(t, here, connects), SubscriptionTokenParams{User: "ada", Channel: "room:1"})
	require.ErrorIs(t, err, ErrBeyond, "a token makes no tokens")

	require.NoError(t, here.Revoke(t.Context(), key.ID))
	require.Eventually(t, func() bool {
		_, err := there.ParseSubscriptionToken(t.Context(), token)
		return err == ErrUnauthenticated //nolint:errorlint // it is returned as it is
	}, patience, 20*time.Millisecond)
}
