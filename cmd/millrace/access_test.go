package main

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestKeys(t *testing.T) {
	t.Parallel()
	a := newAPI(t, map[string]http.HandlerFunc{
		"POST /v1/keys": answerJSON(`{"id":"k1","name":"ci","scopes":["admin"],"key":"mr_live_k1_secret"}`),
		"GET /v1/keys": answerJSON(`{"keys":[{"id":"k1","name":"ci","scopes":["admin"],"created_at":"2026-01-01T00:00:00Z"},` +
			`{"id":"k2","scopes":["stats:read","jobs:read:*"],"revoked_at":"2026-01-01T00:00:00Z"}],"next":""}`),
		"DELETE /v1/keys/k1": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) },
	})
	got := a.run(t, "", "keys", "create", "ci", "--scope", "admin", "--expires-in", "24h")
	require.Zero(t, got.code, got.stderr)
	require.Equal(t, "mr_live_k1_secret\n", got.stdout, "the secret alone, for KEY=$(millrace keys create …)")
	require.Contains(t, got.stderr, "only now")
	require.Equal(t, `POST /v1/keys {"name":"ci","scopes":["admin"],"expires_in":"24h0m0s"}`, a.asked()[0])
	require.Contains(t, a.run(t, "", "keys", "create", "ci", "--scope", "admin", "--json").stdout, `"key":"mr_live_k1_secret"`)

	got = a.run(t, "", "keys", "list")
	require.Regexp(t, `(?m)^k1 +ci +admin +\d+ d ago +never +active$`, got.stdout)
	require.Regexp(t, `(?m)^k2 +- +stats:read jobs:read:\* +- +never +revoked \d+ d ago$`, got.stdout)

	got = a.run(t, "", "keys", "revoke", "k1")
	require.Zero(t, got.code)
	require.Contains(t, got.stderr, "Key k1 is revoked.")
}

func TestToken(t *testing.T) {
	t.Parallel()
	a := newAPI(t, map[string]http.HandlerFunc{"POST /v1/tokens": answerJSON(`{"token":"a.b.c","expires_at":"2030-01-01T00:00:00Z"}`)})
	got := a.run(t, "", "token", "--user", "ada", "--subscribe", "room:*", "--expires-in", "10m")
	require.Zero(t, got.code, got.stderr)
	require.Equal(t, "a.b.c\n", got.stdout)
	require.Equal(t, `POST /v1/tokens {"user":"ada","subscribe":["room:*"],"expires_in":"10m0s"}`, a.asked()[0])

	got = a.run(t, "", "token", "--user", "ada", "--channel", "room:1", "--info", `{"seat":3}`)
	require.Zero(t, got.code, got.stderr)
	require.Equal(t, `POST /v1/tokens {"user":"ada","channel":"room:1","info":{"seat":3},"expires_in":"1h0m0s"}`, a.asked()[1])
	require.Equal(t, exitUsage, a.run(t, "", "token", "--user", "ada", "--info", "{").code)
	require.Equal(t, exitUsage, a.run(t, "", "token", "--user", "ada", "--channel", "a", "--subscribe", "b").code)
	require.Len(t, a.asked(), 2)
}
