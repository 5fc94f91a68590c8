package auth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const (
	// maxToken bounds what is decoded for somebody who was not recognised yet; other issuers' tokens are larger
	// than our keys.
	maxToken    = 8 << 10
	tokenLeeway = 5 * time.Second // clocks of nodes differ; expiry is never stretched by more
)

// looksLikeToken tells a JWT from a key by its shape; what follows verifies it either way.
func looksLikeToken(bearer string) bool {
	return strings.HasPrefix(bearer, "eyJ") && strings.Count(bearer, ".") == 2
}

// ParseToken verifies a connection's token: signed here by a key that is alive, or by an issuer that the
// configuration trusts. Errors: ErrUnauthenticated, which ErrExpired is too; anything else means that it could not be
// found out.
func (s *Store) ParseToken(ctx context.Context, text string) (Identity, error) {
	said, err := s.verify(ctx, text)
	if err != nil {
		return Identity{}, err
	}
	if said.Channel != "" { // it opens a channel to somebody who is connected already
		return Identity{}, ErrUnauthenticated
	}
	id := Identity{Kind: KindToken, User: said.Subject, ExpiresAt: said.ExpiresAt.Time, Info: said.Info}
	if id.scopes, err = said.scopes(); err != nil {
		return Identity{}, err
	}
	if said.Key == "" {
		return id, nil
	}
	// It has its own rights and none of its key's, and ends when either does.
	row, err := s.liveKey(ctx, said.Key)
	if err != nil {
		return Identity{}, err
	}
	s.touch(row.id)
	id.Key, id.Name = row.id, row.name
	if !row.expires.IsZero() && row.expires.Before(id.ExpiresAt) {
		id.ExpiresAt = row.expires
	}
	return id, nil
}

// SubscriptionToken is what a token for a subscribe frame says.
type SubscriptionToken struct {
	User, Channel string
	// Key is the one that made the token, empty where another issuer did.
	Key       string
	ExpiresAt time.Time
	Info      []byte // JSON
}

// ParseSubscriptionToken verifies a token for a subscribe frame, as ParseToken does. Errors: those of ParseToken.
func (s *Store) ParseSubscriptionToken(ctx context.Context, text string) (SubscriptionToken, error) {
	said, err := s.verify(ctx, text)
	if err != nil {
		return SubscriptionToken{}, err
	}
	if said.Channel == "" {
		return SubscriptionToken{}, ErrUnauthenticated
	}
	token := SubscriptionToken{
		User: said.Subject, Channel: said.Channel, Key: said.Key, ExpiresAt: said.ExpiresAt.Time, Info: said.Info,
	}
	if said.Key == "" {
		return token, nil
	}
	row, err := s.liveKey(ctx, said.Key)
	if err != nil {
		return SubscriptionToken{}, err
	}
	if !row.expires.IsZero() && row.expires.Before(token.ExpiresAt) {
		token.ExpiresAt = row.expires
	}
	return token, nil
}

// verify returns what a token says if it is to be believed. The algorithm decides whose it must be: HS256 is ours
// alone, the others are of the issuer that the configuration names, and with none configured they are nobody's. So
// no key is ever used with an algorithm that it is not for.
func (s *Store) verify(ctx context.Context, text string) (*claims, error) {
	if len(text) > maxToken {
		return nil, ErrUnauthenticated
	}
	var said claims
	var outage error // what kept a key from being found
	token, err := s.parser().ParseWithClaims(text, &said, func(token *jwt.Token) (any, error) {
		if token.Header["crit"] != nil { // extensions that must be understood (RFC 7515, 4.1.11): none is
			return nil, ErrUnauthenticated
		}
		var key any
		var err error
		if token.Method == jwt.SigningMethodHS256 {
			key, err = s.signing.get(ctx, s)
		} else {
			key, err = s.issuer.key(ctx, token)
		}
		if err != nil && !errors.Is(err, ErrUnauthenticated) {
			outage = err
		}
		return key, err
	})
	if outage != nil {
		return nil, fmt.Errorf("verify a token: %w", outage)
	}
	if err != nil {
		return nil, ErrUnauthenticated
	}
	if token.Method == jwt.SigningMethodHS256 {
		if said.Key == "" { // we sign none without
			return nil, ErrUnauthenticated
		}
		return &said, s.judge(&said, jwt.WithIssuer(tokenIssuer))
	}
	said.Key = "" // a word of ours, that others cannot say
	return &said, s.judge(&said, jwt.WithIssuer(s.issuer.name), jwt.WithAudience(s.issuer.audience))
}

// parser decodes and verifies signatures; judge looks at the claims.
func (s *Store) parser() *jwt.Parser {
	methods := []string{jwt.SigningMethodHS256.Alg()}
	if s.issuer != nil {
		methods = append(methods, s.issuer.algorithms...)
	}
	return jwt.NewParser(jwt.WithValidMethods(methods), jwt.WithoutClaimsValidation(), jwt.WithStrictDecoding())
}

// judge checks the claims of a token whose signature is right. Only a token with nothing else against it is told
// that it has expired.
func (s *Store) judge(said *claims, whose ...jwt.ParserOption) error {
	err := jwt.NewValidator(append(whose,
		jwt.WithExpirationRequired(), jwt.WithLeeway(tokenLeeway), jwt.WithTimeFunc(s.now))...).Validate(said)
	others := []error{
		jwt.ErrTokenInvalidIssuer, jwt.ErrTokenInvalidAudience, jwt.ErrTokenNotValidYet, jwt.ErrTokenRequiredClaimMissing,
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, jwt.ErrTokenExpired) && said.Validate() == nil &&
		!slices.ContainsFunc(others, func(other error) bool { return errors.Is(err, other) }):
		return ErrExpired
	default:
		return ErrUnauthenticated
	}
}
