package main

import (
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/testdb"
)

// newIssuer makes a key and the file of its public half.
func newIssuer(t *testing.T) (key ed25519.PrivateKey, file string) {
	t.Helper()
	public, key, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	der, err := x509.MarshalPKIXPublicKey(public)
	require.NoError(t, err)
	file = filepath.Join(t.TempDir(), "public.pem")
	require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), 0o600))
	return key, file
}

// A server that was told of an issuer takes its tokens, by each of the keys that are named, and nobody else's.
func TestServeTakesTokensOfAnIssuer(t *testing.T) {
	t.Parallel()
	before, fileBefore := newIssuer(t)
	after, fileAfter := newIssuer(t)
	stranger, _ := newIssuer(t)
	const issuer, audience = "https://app.example.com", "millrace"

	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	var stdout, stderr syncedText
	done := make(chan int, 1)
	args := []string{
		"serve", "--addr", "127.0.0.1:0", "--database-url", testdb.New(t).URL,
		"--token-public-key", fileBefore, "--token-public-key", fileAfter, "--token-issuer", issuer, "--token-audience", audience,
	}
	go func() { done <- run(ctx, args, strings.NewReader(""), &stdout, &stderr) }()
	var url string
	require.Eventually(t, func() bool {
		url = regexp.MustCompile(`http://127\.0\.0\.1:\d+`).FindString(stderr.String())
		return url != ""
	}, time.Minute, 20*time.Millisecond, "%s", &stderr)

	for _, c := range []struct {
		key      ed25519.PrivateKey
		issuer   string
		audience string
		status   int
	}{
		{before, issuer, audience, http.StatusOK},
		{after, issuer, audience, http.StatusOK},
		{stranger, issuer, audience, http.StatusUnauthorized},
		{after, "https://other.example.com", audience, http.StatusUnauthorized},
		{after, issuer, "another", http.StatusUnauthorized},
	} {
		token, err := jwt.NewWithClaims(jwt.SigningMethodEdDSA, jwt.MapClaims{
			"iss": c.issuer, "aud": c.audience, "sub": "ada", "exp": time.Now().Add(time.Hour).Unix(),
		}).SignedString(c.key)
		require.NoError(t, err)
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/v1/channels/user:ada/history", nil)
		require.NoError(t, err)
		request.Header.Set("Authorization", "Bearer "+token)
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, c.status, response.StatusCode, "%+v", c)
	}
	http.DefaultClient.CloseIdleConnections()
	interrupt()
	require.Zero(t, <-done, &stderr)
}

// What is missing or contradicts itself is said before anything starts.
func TestTokenFlagsThatDoNotDo(t *testing.T) {
	t.Parallel()
	_, public := newIssuer(t)
	none := filepath.Join(t.TempDir(), "none.pem")
	text := filepath.Join(t.TempDir(), "text.pem")
	require.NoError(t, os.WriteFile(text, []byte("a key"), 0o600))
	named := []string{"--token-issuer", "https://app.example.com", "--token-audience", "millrace"}
	for says, flags := range map[string][]string{
		"none.pem":                     append([]string{"--token-public-key", none}, named...),
		"not PEM":                      append([]string{"--token-public-key", text}, named...),
		"must be https":                append([]string{"--token-jwks-url", "http://id.example.com/jwks"}, named...),
		"cannot be combined":           append([]string{"--token-public-key", public, "--token-jwks-url", "https://id.example.com/jwks"}, named...),
		"(iss) and audience":           {"--token-public-key", public},
		"needs a public key or a JWKS": named,
	} {
		got := execute(t, "", append([]string{"serve", "--addr", "127.0.0.1:0", "--database-url", "postgres://127.0.0.1:1/none"}, flags...)...)
		require.Equal(t, exitUsage, got.code, "%v: %s", flags, got.stderr)
		require.Contains(t, got.stderr, says)
	}
}
