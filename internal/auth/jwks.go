package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"
	"golang.org/x/sync/singleflight"
)

const (
	// jwksEvery is how old the published keys become before they are fetched again, jwksRetry how long after a
	// failure.
	jwksEvery = 15 * time.Minute
	jwksRetry = 30 * time.Second
	// jwksPause is the least time between two fetches, whatever tokens come: nobody makes us a hammer.
	jwksPause = 10 * time.Second
	// jwksKept is how long keys are used that cannot be fetched again. After it nothing is known of them.
	jwksKept    = 24 * time.Hour
	jwksTimeout = 5 * time.Second
	maxJWKS     = 512 << 10
	maxJWKSKeys = 100
)

// jwks are the keys that an issuer publishes.
type jwks struct {
	url    string
	client *http.Client
	log    *slog.Logger
	now    func() time.Time
	keys   *jwkset.MemoryJWKSet
	find   keyfunc.Keyfunc
	flight singleflight.Group

	mu      sync.Mutex
	tried   time.Time // zero: never
	failure error     // of that try
	fetched time.Time // the last that succeeded
}

func newJWKS(url string, log *slog.Logger, now func() time.Time) *jwks {
	j := &jwks{url: url, log: log, now: now, keys: jwkset.NewMemoryStorage()}
	j.client = &http.Client{
		Timeout: jwksTimeout,
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true, MaxResponseHeaderBytes: 64 << 10,
		},
		// The address is the one that was configured, and no other.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	j.find, _ = keyfunc.New(keyfunc.Options{Storage: j.keys}) // fails without a storage only
	return j
}

// candidates are the published key that a token names, or all of them if it names none. A key that is not there is
// fetched, unless that was done just now. Errors: ErrUnauthenticated for a key that the issuer does not publish;
// anything else means that it could not be found out.
func (j *jwks) candidates(ctx context.Context, token *jwt.Token) ([]any, error) {
	if j.stale() {
		if err := j.refresh(ctx); err != nil {
			return nil, err
		}
	}
	key, err := j.find.KeyfuncCtx(ctx)(token)
	if errors.Is(err, jwkset.ErrKeyNotFound) {
		if err := j.refresh(ctx); err != nil {
			return nil, err
		}
		key, err = j.find.KeyfuncCtx(ctx)(token)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnauthenticated, err)
	}
	set, many := key.(jwt.VerificationKeySet)
	if !many {
		return []any{key}, nil
	}
	candidates := make([]any, len(set.Keys))
	for n, key := range set.Keys {
		candidates[n] = key
	}
	return candidates, nil
}

// stale reports whether the keys are not there or too old.
func (j *jwks) stale() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.fetched.IsZero() || j.now().Sub(j.fetched) > jwksKept
}

// refresh fetches the keys, once for all who ask at the same time, unless that was tried just now: then the outcome
// of that stands.
func (j *jwks) refresh(ctx context.Context) error {
	j.mu.Lock()
	tried, failure := j.tried, j.failure
	j.mu.Unlock()
	if !tried.IsZero() && j.now().Sub(tried) < jwksPause {
		return failure
	}
	answer := j.flight.DoChan("", func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), jwksTimeout)
		defer cancel()
		err := j.fetch(ctx)
		j.mu.Lock()
		defer j.mu.Unlock()
		j.tried, j.failure = j.now(), err
		if err == nil {
			j.fetched = j.tried
		}
		return nil, err
	})
	select {
	case result := <-answer:
		return result.Err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (j *jwks) fetch(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, j.url, nil)
	if err != nil {
		return fmt.Errorf("fetch the issuer's keys: %w", err)
	}
	request.Header.Set("Accept", "application/jwk-set+json, application/json")
	response, err := j.client.Do(request)
	if err != nil {
		return fmt.Errorf("fetch the issuer's keys: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("fetch the issuer's keys: the answer is %s", response.Status)
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxJWKS+1))
	if err != nil {
		return fmt.Errorf("fetch the issuer's keys: %w", err)
	}
	keys, err := parseJWKS(body)
	if err != nil {
		return fmt.Errorf("fetch the issuer's keys: %w", err)
	}
	return j.keys.KeyReplaceAll(ctx, keys)
}

// parseJWKS takes the public keys that are for signatures and leaves out what is not.
func parseJWKS(body []byte) ([]jwkset.JWK, error) {
	if len(body) > maxJWKS {
		return nil, fmt.Errorf("the answer is larger than %d bytes", maxJWKS)
	}
	var set jwkset.JWKSMarshal
	if err := json.Unmarshal(body, &set); err != nil {
		return nil, fmt.Errorf("read the key set: %w", err)
	}
	if len(set.Keys) > maxJWKSKeys {
		return nil, fmt.Errorf("the set has %d keys, more than %d", len(set.Keys), maxJWKSKeys)
	}
	var keys []jwkset.JWK
	for _, said := range set.Keys {
		if said.USE != "" && said.USE != jwkset.UseSig {
			continue
		}
		said.X5U, said.X5C, said.X5T, said.X5TS256 = "", nil, "", "" // the key itself counts; nothing is fetched
		key, err := jwkset.NewJWKFromMarshal(said, jwkset.JWKMarshalOptions{}, jwkset.JWKValidateOptions{})
		if err == nil && algorithmOf(key.Key()) != "" {
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("the set has no key for RS256, ES256 or EdDSA")
	}
	return keys, nil
}

// run keeps the keys fresh.
func (j *jwks) run(ctx context.Context) {
	for failing := false; ; {
		wait := jwksEvery
		if err := j.refresh(ctx); err != nil {
			wait = jwksRetry
			if !failing && ctx.Err() == nil {
				j.log.WarnContext(ctx, "auth: the issuer's keys are as they were", "err", err)
			}
			failing = true
		} else {
			failing = false
		}
		timer := time.NewTimer(wait + rand.N(wait/10)) //nolint:gosec // spreads load, guards nothing
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}
