package auth

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/testdb"
)

const (
	testIssuer   = "https://id.example"
	testAudience = "millrace-test"
)

func encoded(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

// keyPair signs as an issuer does.
type keyPair struct {
	method          jwt.SigningMethod
	private, public any
}

func newPair(t *testing.T, method jwt.SigningMethod) keyPair {
	t.Helper()
	switch method {
	case jwt.SigningMethodRS256:
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		require.NoError(t, err)
		return keyPair{method, key, &key.PublicKey}
	case jwt.SigningMethodES256:
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		require.NoError(t, err)
		return keyPair{method, key, &key.PublicKey}
	default:
		public, private, err := ed25519.GenerateKey(rand.Reader)
		require.NoError(t, err)
		return keyPair{method, private, public}
	}
}

func (p keyPair) pem(t *testing.T) []byte {
	t.Helper()
	return publicPEM(t, p.public)
}

func publicPEM(t *testing.T, key any) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	require.NoError(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

// token signs what is good but for the change.
func (p keyPair) token(t *testing.T, kid string, change func(*claims)) string {
	t.Helper()
	said := &claims{
		Issuer: testIssuer, Subject: "ada", Audience: jwt.ClaimStrings{testAudience},
		ExpiresAt: &moment{time.Now().Add(time.Hour)}, Subscribe: []string{"room:*"}, Info: []byte(`{"name":"Ada"}`),
	}
	if change != nil {
		change(said)
	}
	token := jwt.NewWithClaims(p.method, said)
	if kid != "" {
		token.Header["kid"] = kid
	}
	signed, err := token.SignedString(p.private)
	require.NoError(t, err)
	return signed
}

func trusting(t *testing.T, config TokenConfig) *Store {
	t.Helper()
	store := NewStore(testdb.New(t).Pool, nil, nil)
	config.Issuer, config.Audience = testIssuer, testAudience
	require.NoError(t, store.TrustTokens(config))
	return store
}

var methods = []jwt.SigningMethod{jwt.SigningMethodRS256, jwt.SigningMethodES256, jwt.SigningMethodEdDSA}

func TestIssuersTokens(t *testing.T) {
	t.Parallel()
	for _, method := range methods {
		t.Run(method.Alg(), func(t *testing.T) {
			t.Parallel()
			pair := newPair(t, method)
			store := trusting(t, TokenConfig{PublicKeys: [][]byte{newPair(t, method).pem(t), pair.pem(t)}})
			id, err := store.Authenticate(t.Context(), pair.token(t, "any", nil))
			require.NoError(t, err)
			require.Equal(t, KindToken, id.Kind)
			require.Equal(t, "ada", id.User)
			require.Empty(t, id.Key)
			require.JSONEq(t, `{"name":"Ada"}`, string(id.Info))
			require.True(t, id.Allows(ScopeChannelsSubscribe, "room:1"))
			require.True(t, id.Allows(ScopeChannelsSubscribe, "user:ada"))
			require.False(t, id.Allows(ScopeChannelsPublish, "room:1"))
			require.False(t, id.AllowsAny(ScopeAdmin))
			said, err := store.ParseSubscriptionToken(t.Context(), pair.token(t, "", func(c *claims) { c.Channel = "room:1" }))
			require.NoError(t, err)
			require.Equal(t, "room:1", said.Channel)

			for name, change := range map[string]func(*claims){
				"other issuer":   func(c *claims) { c.Issuer = "https://evil.example" },
				"our issuer":     func(c *claims) { c.Issuer = tokenIssuer },
				"other audience": func(c *claims) { c.Audience = jwt.ClaimStrings{"another"} },
				"no audience":    func(c *claims) { c.Audience = nil },
				"no exp":         func(c *claims) { c.ExpiresAt = nil },
				"not yet":        func(c *claims) { c.NotBefore = &moment{time.Now().Add(time.Minute)} },
				"no subject":     func(c *claims) { c.Subject = "" },
				"of a channel":   func(c *claims) { c.Channel = "room:1" },
				"bad pattern":    func(c *claims) { c.Publish = []string{"a*b"} },
			} {
				_, err := store.Authenticate(t.Context(), pair.token(t, "", change))
				require.ErrorIs(t, err, ErrUnauthenticated, name)
				require.NotErrorIs(t, err, ErrExpired, name)
			}
			_, err = store.Authenticate(t.Context(), pair.token(t, "", func(c *claims) { c.ExpiresAt = &moment{time.Now().Add(-time.Minute)} }))
			require.ErrorIs(t, err, ErrExpired)
			_, err = store.Authenticate(t.Context(), newPair(t, method).token(t, "", nil))
			require.Equal(t, ErrUnauthenticated, err, "another's key")
		})
	}
}

// TestIssuersKeysAreForTheirAlgorithm: what is public is no secret to sign with, and nobody says which key, or which
// address, to verify with.
func TestIssuersKeysAreForTheirAlgorithm(t *testing.T) {
	t.Parallel()
	pair := newPair(t, jwt.SigningMethodRS256)
	text := pair.pem(t)
	store := trusting(t, TokenConfig{PublicKeys: [][]byte{text}})
	key, _ := mustKey(t, store, "admin")
	der, _ := pem.Decode(text)
	for name, secret := range map[string][]byte{"PEM": text, "trimmed PEM": []byte(strings.TrimSpace(string(text))), "DER": der.Bytes} {
		for issuer, change := range map[string]func(*claims){
			"theirs": nil, "ours": func(c *claims) { c.Issuer, c.Key = tokenIssuer, key.ID },
		} {
			forged := keyPair{jwt.SigningMethodHS256, secret, nil}.token(t, "", change)
			_, err := store.Authenticate(t.Context(), forged)
			require.Equal(t, ErrUnauthenticated, err, "HS256 with the public key as %s, issuer %s", name, issuer)
		}
	}
	for _, method := range []jwt.SigningMethod{jwt.SigningMethodRS384, jwt.SigningMethodRS512, jwt.SigningMethodPS256} {
		forged := keyPair{method, pair.private, nil}.token(t, "", nil)
		_, err := store.Authenticate(t.Context(), forged)
		require.Equal(t, ErrUnauthenticated, err, method.Alg())
	}
	for _, method := range []jwt.SigningMethod{jwt.SigningMethodES256, jwt.SigningMethodEdDSA} {
		_, err := store.Authenticate(t.Context(), newPair(t, method).token(t, "", nil))
		require.Equal(t, ErrUnauthenticated, err, method.Alg())
	}
	none := jwt.NewWithClaims(jwt.SigningMethodNone, &claims{Issuer: testIssuer, Subject: "ada", ExpiresAt: &moment{time.Now().Add(time.Hour)}})
	signed, err := none.SignedString(jwt.UnsafeAllowNoneSignatureType)
	require.NoError(t, err)
	_, err = store.Authenticate(t.Context(), signed)
	require.Equal(t, ErrUnauthenticated, err)

	critical := jwt.NewWithClaims(pair.method, &claims{
		Issuer: testIssuer, Subject: "ada", Audience: jwt.ClaimStrings{testAudience}, ExpiresAt: &moment{time.Now().Add(time.Hour)},
	})
	critical.Header["crit"] = []string{"b64"}
	signed, err = critical.SignedString(pair.private)
	require.NoError(t, err)
	_, err = store.Authenticate(t.Context(), signed)
	require.Equal(t, ErrUnauthenticated, err, "an extension that is not understood")

	// What only tokens of ours may say.
	id, err := store.Authenticate(t.Context(), pair.token(t, "", func(c *claims) { c.Key = key.ID }))
	require.NoError(t, err)
	require.Empty(t, id.Key)

	_, err = NewStore(nil, nil, nil).Authenticate(t.Context(), pair.token(t, "", nil))
	require.Equal(t, ErrUnauthenticated, err, "nobody is trusted unless configured")
}

func TestTokenConfigMistakes(t *testing.T) {
	t.Parallel()
	good := newPair(t, jwt.SigningMethodES256).pem(t)
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	require.NoError(t, err)
	large, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	require.NoError(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(large)
	require.NoError(t, err)
	for says, config := range map[string]TokenConfig{
		"must be named":            {PublicKeys: [][]byte{good}, Issuer: testIssuer},
		"iss) and audience":        {PublicKeys: [][]byte{good}, Audience: testAudience},
		"needs a public key":       {Issuer: testIssuer, Audience: testAudience},
		"this server itself":       {PublicKeys: [][]byte{good}, Issuer: tokenIssuer, Audience: testAudience},
		"public key 2: not PEM":    {PublicKeys: [][]byte{good, []byte("hello")}, Issuer: testIssuer, Audience: testAudience},
		"more than one key":        {PublicKeys: [][]byte{append(good, good...)}, Issuer: testIssuer, Audience: testAudience},
		"neither RSA of 2048":      {PublicKeys: [][]byte{publicPEM(t, &weak.PublicKey)}, Issuer: testIssuer, Audience: testAudience},
		"nor ECDSA on P-256":       {PublicKeys: [][]byte{publicPEM(t, &large.PublicKey)}, Issuer: testIssuer, Audience: testAudience},
		"is not a public key":      {PublicKeys: [][]byte{pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})}, Issuer: testIssuer, Audience: testAudience},
		"must be https":            {JWKSURL: "http://id.example/jwks", Issuer: testIssuer, Audience: testAudience},
		"is not an address":        {JWKSURL: "id.example/jwks", Issuer: testIssuer, Audience: testAudience},
		"such as https://issuer":   {JWKSURL: "https://user:secret@id.example/jwks", Issuer: testIssuer, Audience: testAudience},
		"cannot be combined":       {PublicKeys: [][]byte{good}, JWKSURL: "https://id.example/jwks", Issuer: testIssuer, Audience: testAudience},
		"public key 1: read the p": {PublicKeys: [][]byte{pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: []byte("x")})}, Issuer: testIssuer, Audience: testAudience},
	} {
		require.ErrorContains(t, config.Validate(), says)
		require.ErrorContains(t, NewStore(nil, nil, nil).TrustTokens(config), says)
	}
	require.NoError(t, TokenConfig{}.Validate())
	require.NoError(t, TokenConfig{JWKSURL: "http://127.0.0.1:1/jwks", Issuer: testIssuer, Audience: testAudience}.Validate())
}
