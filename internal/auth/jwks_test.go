package auth

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/testdb"
)

// publisher is an issuer's JWKS host.
type publisher struct {
	*httptest.Server
	mu     sync.Mutex
	answer func(w http.ResponseWriter)
	asked  atomic.Int32
}

func newPublisher(t *testing.T, answer func(w http.ResponseWriter)) *publisher {
	t.Helper()
	p := &publisher{answer: answer}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		p.asked.Add(1)
		p.mu.Lock()
		defer p.mu.Unlock()
		p.answer(w)
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *publisher) publish(answer func(w http.ResponseWriter)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answer = answer
}

func status(code int) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) { w.WriteHeader(code) }
}

// keySet answers with keys by their ids.
func keySet(t *testing.T, pairs map[string]keyPair) func(http.ResponseWriter) {
	t.Helper()
	var set jwkset.JWKSMarshal
	for kid, pair := range pairs {
		key, err := jwkset.NewJWKFromKey(pair.public, jwkset.JWKOptions{Metadata: jwkset.JWKMetadataOptions{KID: kid, USE: jwkset.UseSig}})
		require.NoError(t, err)
		set.Keys = append(set.Keys, key.Marshal())
	}
	return text(t, set)
}

func text(t *testing.T, value any) func(http.ResponseWriter) {
	t.Helper()
	body, err := json.Marshal(value)
	require.NoError(t, err)
	return func(w http.ResponseWriter) { _, _ = w.Write(body) }
}

// clocked is a store that trusts a publisher, and its clock.
func clocked(t *testing.T, url string) (store *Store, forward func(time.Duration)) {
	t.Helper()
	var ahead atomic.Int64
	store = NewStore(testdb.New(t).Pool, nil, nil)
	store.now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	require.NoError(t, store.TrustTokens(TokenConfig{JWKSURL: url, Issuer: testIssuer, Audience: testAudience}))
	return store, func(d time.Duration) { ahead.Add(int64(d)) }
}

func TestPublishedKeys(t *testing.T) {
	t.Parallel()
	pairs := map[string]keyPair{}
	for _, method := range methods {
		pairs[method.Alg()] = newPair(t, method)
	}
	host := newPublisher(t, keySet(t, pairs))
	store, _ := clocked(t, host.URL)
	for kid, pair := range pairs {
		for _, said := range []string{kid, ""} {
			_, err := store.Authenticate(t.Context(), pair.token(t, said, nil))
			require.NoError(t, err, "%s, kid %q", kid, said)
		}
	}
	for kid, pair := range pairs {
		for other := range pairs {
			if other != kid {
				_, err := store.Authenticate(t.Context(), pair.token(t, other, nil))
				require.Equal(t, ErrUnauthenticated, err, "%s with kid %s", kid, other)
			}
		}
	}
	require.EqualValues(t, 1, host.asked.Load())
}

// TestRotatedKeys: a new key works at once, a withdrawn one no more, and whoever makes up key ids causes one request
// each ten seconds.
func TestRotatedKeys(t *testing.T) {
	t.Parallel()
	before, after := newPair(t, jwt.SigningMethodES256), newPair(t, jwt.SigningMethodES256)
	host := newPublisher(t, keySet(t, map[string]keyPair{"1": before}))
	store, forward := clocked(t, host.URL)
	accepted := func(pair keyPair, kid string) error {
		_, err := store.Authenticate(t.Context(), pair.token(t, kid, nil))
		return err
	}
	require.NoError(t, accepted(before, "1"))
	host.publish(keySet(t, map[string]keyPair{"2": after}))
	forward(jwksPause)
	require.NoError(t, accepted(before, "1"), "nobody had reason to look again")
	require.NoError(t, accepted(after, "2"))
	require.Equal(t, ErrUnauthenticated, accepted(before, "1"))
	asked := host.asked.Load()
	var strangers sync.WaitGroup
	for n := range 20 {
		strangers.Go(func() {
			_, err := store.Authenticate(t.Context(), after.token(t, "made up "+strings.Repeat("x", n), nil))
			if err != ErrUnauthenticated { //nolint:errorlint // it is returned as it is
				t.Errorf("a key that nobody published: %v", err)
			}
		})
	}
	strangers.Wait()
	require.Equal(t, asked, host.asked.Load())
}

// TestPublisherIsAway: what cannot be found out is neither accepted nor refused, and the keys that were found are used
// for a day.
func TestPublisherIsAway(t *testing.T) {
	t.Parallel()
	pair := newPair(t, jwt.SigningMethodEdDSA)
	host := newPublisher(t, status(http.StatusServiceUnavailable))
	store, forward := clocked(t, host.URL)
	require.NoError(t, store.Start(t.Context()))
	t.Cleanup(func() { require.NoError(t, store.Stop(context.Background())) })
	outage := func(kid string) {
		t.Helper()
		_, err := store.Authenticate(t.Context(), pair.token(t, kid, nil))
		require.Error(t, err)
		require.NotErrorIs(t, err, ErrUnauthenticated)
	}
	outage("1")
	host.publish(keySet(t, map[string]keyPair{"1": pair}))
	forward(jwksPause)
	_, err := store.Authenticate(t.Context(), pair.token(t, "1", nil))
	require.NoError(t, err)

	host.publish(status(http.StatusInternalServerError))
	forward(time.Hour)
	known := pair.token(t, "1", func(c *claims) { c.ExpiresAt = &moment{time.Now().Add(72 * time.Hour)} })
	_, err = store.Authenticate(t.Context(), known)
	require.NoError(t, err, "a key that was found is used")
	outage("2") // it may be a new one
	forward(jwksKept)
	_, err = store.Authenticate(t.Context(), known)
	require.Error(t, err)
	require.NotErrorIs(t, err, ErrUnauthenticated)
}

func TestHostilePublishers(t *testing.T) {
	t.Parallel()
	pair := newPair(t, jwt.SigningMethodES256)
	elsewhere := newPublisher(t, keySet(t, map[string]keyPair{"1": pair}))
	secret := map[string]any{"keys": []map[string]string{{"kty": "oct", "kid": "1", "k": encoded(strings.Repeat("s", 32)), "alg": "HS256"}}}
	for name, answer := range map[string]func(http.ResponseWriter){
		"not JSON": func(w http.ResponseWriter) { _, _ = w.Write([]byte("<html>")) },
		"no keys":  text(t, map[string]any{"keys": []any{}}),
		"a secret": text(t, secret),
		"endless":  func(w http.ResponseWriter) { _, _ = w.Write([]byte(`{"keys":[` + strings.Repeat(" ", maxJWKS) + `]}`)) },
		"elsewhere": func(w http.ResponseWriter) {
			w.Header().Set("Location", elsewhere.URL)
			w.WriteHeader(http.StatusFound)
		},
		"by x5u alone": text(t, map[string]any{"keys": []map[string]string{{"kty": "EC", "kid": "1", "x5u": elsewhere.URL}}}),
		"too many":     text(t, map[string]any{"keys": make([]map[string]string, maxJWKSKeys+1)}),
	} {
		store, _ := clocked(t, newPublisher(t, answer).URL)
		_, err := store.Authenticate(t.Context(), pair.token(t, "1", nil))
		require.Error(t, err, name)
		require.NotErrorIs(t, err, ErrUnauthenticated, name)
	}
	require.Zero(t, elsewhere.asked.Load(), "no other address is asked")
}

// TestTokensNameNoAddress: headers with which a token would bring its own key.
func TestTokensNameNoAddress(t *testing.T) {
	t.Parallel()
	trusted, own := newPair(t, jwt.SigningMethodES256), newPair(t, jwt.SigningMethodES256)
	host := newPublisher(t, keySet(t, map[string]keyPair{"1": trusted}))
	theirs := newPublisher(t, keySet(t, map[string]keyPair{"1": own}))
	store, _ := clocked(t, host.URL)
	for _, header := range []string{"jku", "x5u", "jwk", "kid"} {
		token := jwt.NewWithClaims(own.method, &claims{
			Issuer: testIssuer, Subject: "ada", Audience: jwt.ClaimStrings{testAudience}, ExpiresAt: &moment{time.Now().Add(time.Hour)},
		})
		token.Header["kid"] = "1"
		token.Header[header] = theirs.URL
		signed, err := token.SignedString(own.private)
		require.NoError(t, err)
		_, err = store.Authenticate(t.Context(), signed)
		require.Equal(t, ErrUnauthenticated, err, header)
	}
	require.Zero(t, theirs.asked.Load())
}

// TestKeysAreFetchedFromTimeToTime runs the refresh on a clock of its own.
func TestKeysAreFetchedFromTimeToTime(t *testing.T) {
	t.Parallel()
	pair := newPair(t, jwt.SigningMethodES256)
	answer := keySet(t, map[string]keyPair{"1": pair})
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int64
		j := newJWKS("https://id.example/jwks", NewStore(nil, nil, nil).log, time.Now)
		j.client.Transport = roundTrip(func(*http.Request) (*http.Response, error) {
			recorder := httptest.NewRecorder()
			if asked.Add(1) > 1 { // after it: a failure, then well again
				answer(recorder)
			} else {
				recorder.WriteHeader(http.StatusBadGateway)
			}
			return recorder.Result(), nil
		})
		ctx := t.Context()
		go j.run(ctx)
		time.Sleep(time.Second)
		require.EqualValues(t, 1, asked.Load(), "at the start")
		require.True(t, j.stale())
		time.Sleep(jwksRetry + jwksRetry/10)
		require.EqualValues(t, 2, asked.Load(), "soon after a failure")
		require.False(t, j.stale())
		time.Sleep(jwksEvery - time.Minute)
		require.EqualValues(t, 2, asked.Load())
		time.Sleep(time.Minute + jwksEvery/10)
		require.EqualValues(t, 3, asked.Load())
	})
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(request *http.Request) (*http.Response, error) { return f(request) }
