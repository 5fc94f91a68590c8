package auth

import (
	"context"
	"crypto/rand"
	_ "embed"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/singleflight"
)

const (
	// DefaultTokenLife and MaxTokenLife bound what a leaked token is worth.
	DefaultTokenLife = time.Hour
	MaxTokenLife     = 24 * time.Hour

	tokenIssuer  = "millrace"
	maxUser      = 200
	maxPatterns  = 50
	tokenSecret  = "token"
	tokenLeeway  = 5 * time.Second // clocks of nodes differ; expiry is never stretched by more
	signingTries = 3
)

//go:embed sql/secret_ensure.sql
var secretEnsureSQL string

// TokenParams are the wishes for a token.
type TokenParams struct {
	// User is the end user's id in the application: 1 to 200 printable ASCII characters without spaces. It
	// opens the personal channel "user:<User>".
	User      string
	Subscribe []string      // patterns of channels, at most 50
	Publish   []string      // patterns of channels, at most 50
	ExpiresIn time.Duration // zero: an hour; at most a day
	// Readable tells whether the maker may read the job with this id, for a pattern "job:<id>" of somebody whose
	// jobs:read is narrowed. Nil: no.
	Readable func(jobID string) bool
}

// claims is what a token says. The key is the one that made it.
type claims struct {
	jwt.RegisteredClaims
	Key       string   `json:"key"`
	Subscribe []string `json:"subscribe,omitempty"`
	Publish   []string `json:"publish,omitempty"`
}

// check returns *InvalidError or ErrBeyond.
func (p TokenParams) check(by Identity) error {
	var invalid InvalidError
	if p.User == "" || len(p.User) > maxUser || strings.ContainsFunc(p.User, notPrintable) {
		invalid.add("user", "is 1 to 200 printable ASCII characters without spaces")
	}
	if p.ExpiresIn < 0 || p.ExpiresIn > MaxTokenLife {
		invalid.add("expires_in", "is at most 24h")
	}
	readable := p.Readable
	if readable == nil {
		readable = func(string) bool { return false }
	}
	beyond := invalid.patterns("subscribe", p.Subscribe, func(pattern Pattern) bool { return by.mayPassOn(pattern, readable) })
	beyond += invalid.patterns("publish", p.Publish, func(pattern Pattern) bool {
		return by.Covers(Scope{Name: ScopeChannelsPublish, Pattern: pattern})
	})
	if err := invalid.err(); err != nil {
		return err
	}
	if beyond > 0 {
		return fmt.Errorf("mint a token: %w", ErrBeyond)
	}
	return nil
}

// patterns gathers what is wrong with a list, and counts what is right but not held by its maker.
func (e *InvalidError) patterns(field string, list []string, held func(Pattern) bool) (beyond int) {
	if len(list) > maxPatterns {
		e.add(field, "holds at most 50 patterns")
		return 0
	}
	for i, text := range list {
		pattern, err := ParsePattern(text)
		switch {
		case err != nil:
			e.add(fmt.Sprintf("%s[%d]", field, i), err.Error())
		case !held(pattern):
			beyond++
		}
	}
	return beyond
}

// MintToken makes a token with no more rights on channels than its maker has, and the personal channel of the
// user. A token makes no tokens. It ends with its maker's key, and at the returned time at the latest. Errors:
// *InvalidError, ErrBeyond.
func (s *Store) MintToken(ctx context.Context, by Identity, params TokenParams) (string, time.Time, error) {
	if by.Kind == KindToken {
		return "", time.Time{}, fmt.Errorf("a token makes no tokens: %w", ErrBeyond)
	}
	if err := params.check(by); err != nil {
		return "", time.Time{}, err
	}
	if params.ExpiresIn == 0 {
		params.ExpiresIn = DefaultTokenLife
	}
	secret, err := s.signing.get(ctx, s)
	if err != nil {
		return "", time.Time{}, err
	}
	now := s.now()
	expires := now.Add(params.ExpiresIn).Truncate(time.Second)
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer:    tokenIssuer,
			Subject:   params.User,
			IssuedAt:  jwt.NewNumericDate(now),
			ExpiresAt: jwt.NewNumericDate(expires),
		},
		Key: by.Key, Subscribe: params.Subscribe, Publish: params.Publish,
	}).SignedString(secret)
	if err != nil {
		return "", time.Time{}, fmt.Errorf("sign a token: %w", err)
	}
	return token, expires, nil
}

// looksLikeToken tells a JWT from a key by its shape; what follows verifies it either way.
func looksLikeToken(bearer string) bool {
	return strings.HasPrefix(bearer, "eyJ") && strings.Count(bearer, ".") == 2
}

// ParseToken verifies a token: HS256 only, signed here, not expired, its key alive. Errors: ErrUnauthenticated,
// which ErrExpired is too; anything else means that it could not be found out.
func (s *Store) ParseToken(ctx context.Context, text string) (Identity, error) {
	if len(text) > maxBearer {
		return Identity{}, ErrUnauthenticated
	}
	secret, err := s.signing.get(ctx, s)
	if err != nil {
		return Identity{}, err
	}
	var said claims
	_, err = jwt.ParseWithClaims(text, &said, func(*jwt.Token) (any, error) { return secret, nil },
		jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()}),
		jwt.WithExpirationRequired(),
		jwt.WithIssuer(tokenIssuer),
		jwt.WithLeeway(tokenLeeway),
		jwt.WithTimeFunc(s.now),
	)
	if errors.Is(err, jwt.ErrTokenExpired) {
		return Identity{}, ErrExpired // said after the signature was verified
	}
	if err != nil || said.Subject == "" {
		return Identity{}, ErrUnauthenticated
	}
	row, err := s.liveKey(ctx, said.Key)
	if err != nil {
		return Identity{}, err
	}
	s.touch(row.id)
	return said.identity(row)
}

// identity has the token's own rights and none of its key's, and ends when either does.
func (c claims) identity(row keyRow) (Identity, error) {
	id := row.identity(KindToken)
	id.User = c.Subject
	id.scopes = nil
	if id.ExpiresAt.IsZero() || c.ExpiresAt.Before(id.ExpiresAt) {
		id.ExpiresAt = c.ExpiresAt.Time
	}
	for name, patterns := range map[string][]string{
		ScopeChannelsSubscribe: c.Subscribe, ScopeChannelsPublish: c.Publish,
	} {
		for _, text := range patterns {
			pattern, err := ParsePattern(text)
			if err != nil {
				return Identity{}, ErrUnauthenticated
			}
			id.scopes = append(id.scopes, Scope{Name: name, Pattern: pattern})
		}
	}
	return id, nil
}

// signingSecret is made once per database, by whichever node needs it first.
type signingSecret struct {
	value  atomic.Pointer[[]byte]
	flight singleflight.Group
}

// get reads the secret once for all who ask at the same time, and then from memory.
func (s *signingSecret) get(ctx context.Context, store *Store) ([]byte, error) {
	if value := s.value.Load(); value != nil {
		return *value, nil
	}
	answer := s.flight.DoChan("", func() (any, error) {
		// The one who happened to ask first must not take the others down with its own deadline.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), loadTimeout)
		defer cancel()
		value, err := store.readTokenSecret(ctx)
		if err == nil {
			s.value.Store(&value)
		}
		return value, err
	})
	select {
	case result := <-answer:
		value, _ := result.Val.([]byte)
		return value, result.Err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func (s *Store) readTokenSecret(ctx context.Context) ([]byte, error) {
	fresh := make([]byte, secretBytes)
	_, _ = rand.Read(fresh) // never fails: it ends the program instead
	for range signingTries {
		var value []byte
		err := s.pool.QueryRow(ctx, secretEnsureSQL, tokenSecret, fresh).Scan(&value)
		if err == nil {
			return value, nil
		}
		// No row: another node's insert committed between our insert and our select.
		if !errors.Is(err, pgx.ErrNoRows) {
			return nil, fmt.Errorf("read the token secret: %w", err)
		}
	}
	return nil, errors.New("read the token secret: it is being replaced")
}
