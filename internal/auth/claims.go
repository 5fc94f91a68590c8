package auth

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// claims is what a token says. It is jwt.Claims with times that cannot overflow.
type claims struct {
	Issuer    string           `json:"iss"`
	Subject   string           `json:"sub"` // the user
	Audience  jwt.ClaimStrings `json:"aud,omitempty"`
	ExpiresAt *moment          `json:"exp"`
	NotBefore *moment          `json:"nbf,omitempty"`
	IssuedAt  *moment          `json:"iat,omitempty"`

	Subscribe []string        `json:"subscribe,omitempty"` // patterns
	Publish   []string        `json:"publish,omitempty"`   // patterns
	Info      json.RawMessage `json:"info,omitempty"`      // shown in presence
	// Channel makes it a token for the subscription to that channel, and not one for connections.
	Channel string `json:"channel,omitempty"`
	// Key is the one that made the token. It counts in tokens of ours only.
	Key string `json:"key,omitempty"`
}

// claimNames are the names of the fields of claims.
var claimNames = []string{"iss", "sub", "aud", "exp", "nbf", "iat", "subscribe", "publish", "info", "channel", "key"}

// UnmarshalJSON implements json.Unmarshaler. Package json takes "Sub" for "sub" as well, and the last one wins; but
// that is another claim, which somebody else than the issuer may have chosen.
func (c *claims) UnmarshalJSON(data []byte) error {
	var said map[string]json.RawMessage
	if err := json.Unmarshal(data, &said); err != nil {
		return fmt.Errorf("the claims of a token: %w", err)
	}
	maps.DeleteFunc(said, func(name string, _ json.RawMessage) bool { return !slices.Contains(claimNames, name) })
	exact, err := json.Marshal(said)
	if err != nil {
		return fmt.Errorf("the claims of a token: %w", err)
	}
	type fields claims // without this method
	if err := json.Unmarshal(exact, (*fields)(c)); err != nil {
		return fmt.Errorf("the claims of a token: %w", err)
	}
	return nil
}

func (c *claims) GetExpirationTime() (*jwt.NumericDate, error) { return c.ExpiresAt.date(), nil }
func (c *claims) GetNotBefore() (*jwt.NumericDate, error)      { return c.NotBefore.date(), nil }
func (c *claims) GetIssuedAt() (*jwt.NumericDate, error)       { return c.IssuedAt.date(), nil }
func (c *claims) GetIssuer() (string, error)                   { return c.Issuer, nil }
func (c *claims) GetSubject() (string, error)                  { return c.Subject, nil }
func (c *claims) GetAudience() (jwt.ClaimStrings, error)       { return c.Audience, nil }

// Validate is called by package jwt after its own checks.
func (c *claims) Validate() error {
	if !validUser(c.Subject) {
		return errors.New("sub is not a user's id")
	}
	if !validInfo(c.Info) {
		return errors.New("info is too large")
	}
	if len(c.Subscribe) > maxPatterns || len(c.Publish) > maxPatterns {
		return errors.New("too many patterns")
	}
	return nil
}

// scopes are what the patterns grant. Errors: ErrUnauthenticated.
func (c *claims) scopes() ([]Scope, error) {
	var scopes []Scope
	for name, patterns := range map[string][]string{
		ScopeChannelsSubscribe: c.Subscribe, ScopeChannelsPublish: c.Publish,
	} {
		for _, text := range patterns {
			pattern, err := ParsePattern(text)
			if err != nil {
				return nil, ErrUnauthenticated
			}
			scopes = append(scopes, Scope{Name: name, Pattern: pattern})
		}
	}
	return scopes, nil
}

// moment is a time in a token: seconds since 1970, with fractions or without, up to the year 9999. Whatever else
// stands there makes the token unreadable.
type moment struct{ time.Time }

const lastMoment = 253402300799 // 9999-12-31T23:59:59Z

// UnmarshalJSON implements json.Unmarshaler.
func (m *moment) UnmarshalJSON(data []byte) error {
	var seconds float64
	if err := json.Unmarshal(data, &seconds); err != nil {
		return fmt.Errorf("a time in a token: %w", err)
	}
	if seconds < 0 || seconds > lastMoment {
		return errors.New("a time in a token is out of range")
	}
	whole, fraction := math.Modf(seconds)
	m.Time = time.Unix(int64(whole), int64(fraction*float64(time.Second)))
	return nil
}

// MarshalJSON implements json.Marshaler.
func (m *moment) MarshalJSON() ([]byte, error) { return json.Marshal(m.Unix()) }

func (m *moment) date() *jwt.NumericDate {
	if m == nil {
		return nil
	}
	return &jwt.NumericDate{Time: m.Time}
}
