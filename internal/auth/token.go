package auth

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/golang-jwt/jwt/v5"
)

const (
	// DefaultTokenLife and MaxTokenLife bound what a leaked token is worth.
	DefaultTokenLife = time.Hour
	MaxTokenLife     = 24 * time.Hour
	// MaxTokenInfo is the most bytes of a token's info.
	MaxTokenInfo = 1 << 10

	tokenIssuer = "millrace"
	maxUser     = 200
	maxPatterns = 50
	maxChannel  = 255
)

// TokenParams are the wishes for a token.
type TokenParams struct {
	// User is the end user's id in the application: 1 to 200 printable ASCII characters without spaces. It
	// opens the personal channel "user:<User>".
	User      string
	Subscribe []string        // patterns of channels, at most 50
	Publish   []string        // patterns of channels, at most 50
	Info      json.RawMessage // what presence shows of the user, at most MaxTokenInfo bytes; nil: nothing
	ExpiresIn time.Duration   // zero: an hour; at most a day
	// Readable tells whether the maker may read the job with this id, for a pattern "job:<id>" of somebody whose
	// jobs:read is narrowed. Nil: no.
	Readable func(jobID string) bool
}

// check returns *InvalidError or ErrBeyond.
func (p TokenParams) check(by Identity) error {
	var invalid InvalidError
	invalid.common(p.User, p.Info, p.ExpiresIn)
	beyond := invalid.patterns("subscribe", p.Subscribe, func(pattern Pattern) bool { return by.mayPassOn(pattern, orNone(p.Readable)) })
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

// orNone is the answer of somebody who may read no job.
func orNone(readable func(jobID string) bool) func(jobID string) bool {
	if readable == nil {
		return func(string) bool { return false }
	}
	return readable
}

// common gathers what is wrong with what all tokens have.
func (e *InvalidError) common(user string, info json.RawMessage, life time.Duration) {
	if !validUser(user) {
		e.add("user", "is 1 to 200 printable ASCII characters without spaces")
	}
	if !validInfo(info) {
		e.add("info", "is JSON of at most 1 KiB")
	}
	if life < 0 || life > MaxTokenLife {
		e.add("expires_in", "is at most 24h")
	}
}

func validUser(user string) bool {
	return user != "" && len(user) <= maxUser && !strings.ContainsFunc(user, notPrintable)
}

func validInfo(info json.RawMessage) bool {
	return len(info) <= MaxTokenInfo && (len(info) == 0 || (json.Valid(info) && utf8.Valid(info)))
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
	return s.sign(ctx, params.User, params.ExpiresIn, claims{
		Key: by.Key, Subscribe: params.Subscribe, Publish: params.Publish, Info: compacted(params.Info),
	})
}

// SubscriptionTokenParams are the wishes for a token that opens one channel to one user's connection, which grants
// need not cover.
type SubscriptionTokenParams struct {
	User      string          // as in TokenParams: the user of the connection
	Channel   string          // its name, 1 to 255 bytes
	Info      json.RawMessage // what presence shows of the user in this channel; nil: nothing
	ExpiresIn time.Duration   // zero: an hour; at most a day
	// Readable is as in TokenParams.
	Readable func(jobID string) bool
}

// MintSubscriptionToken makes a token for a subscribe frame. Its maker may subscribe to the channel; a token makes no
// tokens. It ends with its maker's key, and at the returned time at the latest. Errors: *InvalidError, ErrBeyond.
func (s *Store) MintSubscriptionToken(ctx context.Context, by Identity, params SubscriptionTokenParams) (string, time.Time, error) {
	if by.Kind == KindToken {
		return "", time.Time{}, fmt.Errorf("a token makes no tokens: %w", ErrBeyond)
	}
	var invalid InvalidError
	invalid.common(params.User, params.Info, params.ExpiresIn)
	if params.Channel == "" || len(params.Channel) > maxChannel || !utf8.ValidString(params.Channel) ||
		strings.ContainsFunc(params.Channel, unicode.IsControl) {
		invalid.add("channel", "is a channel's name of 1 to 255 bytes without control characters")
	}
	if err := invalid.err(); err != nil {
		return "", time.Time{}, err
	}
	if !by.MaySubscribe(params.Channel, orNone(params.Readable)) {
		return "", time.Time{}, fmt.Errorf("mint a subscription token: %w", ErrBeyond)
	}
	return s.sign(ctx, params.User, params.ExpiresIn, claims{
		Key: by.Key, Channel: params.Channel, Info: compacted(params.Info),
	})
}

// sign completes claims and signs them.
func (s *Store) sign(ctx context.Context, user string, life time.Duration, said claims) (string, time.Time, error) {
	if life == 0 {
		life = DefaultTokenLife
	}
	secret, err := s.signing.get(ctx, s)
	if err != nil {
		return "", time.Time{}, err
	}
	now := s.now()
	expires := now.Add(life).Truncate(time.Second)
	said.Issuer, said.Subject = tokenIssuer, user
	said.IssuedAt, said.ExpiresAt = &moment{now.Truncate(time.Second)}, &moment{expires}
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, &said).SignedString(secret)
	if err != nil {
		return "", time.Time{}, fmt.Errorf("sign a token: %w", err)
	}
	return token, expires, nil
}

// compacted takes JSON that is valid.
func compacted(info json.RawMessage) json.RawMessage {
	if len(info) == 0 {
		return nil
	}
	var out bytes.Buffer
	_ = json.Compact(&out, info)
	return out.Bytes()
}
