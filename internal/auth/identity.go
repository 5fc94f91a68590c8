package auth

import (
	"encoding/json"
	"slices"
	"time"
)

// Kind is by what somebody was recognised.
type Kind uint8

// The kinds of credential.
const (
	KindKey Kind = iota + 1
	KindSession
	KindToken
)

// Identity is somebody who was recognised, and what they may do. It does not change.
type Identity struct {
	Kind Kind
	// Key is the id of the API key behind the credential: of a token the one that made it, of a session the
	// one that logged in. When it ends, they end. It is empty for tokens of another issuer.
	Key  string
	Name string // of the key
	// User is a token's subject, else empty.
	User string
	// Session names a session without being its secret, as OnRevoke does; else empty.
	Session string
	// Info is what a token says about its user for others to see, as JSON; nil: nothing.
	Info json.RawMessage
	// ExpiresAt is when the credential ends by itself; zero when it does not.
	ExpiresAt time.Time

	scopes []Scope
}

// Allows reports whether the scope is granted for a resource: a function's name for jobs:*, a channel's name
// for channels:*. Scopes without a pattern ignore the resource.
func (id Identity) Allows(scope, resource string) bool {
	if id.User != "" && scope == ScopeChannelsSubscribe && resource == "user:"+id.User {
		return true // one's own personal channel
	}
	return slices.ContainsFunc(id.scopes, func(s Scope) bool {
		if s.Name == ScopeAdmin {
			return true
		}
		return s.Name == scope && (!Patterned(scope) || s.Pattern.Match(resource))
	})
}

// AllowsAny reports whether the scope is granted for at least one resource.
func (id Identity) AllowsAny(scope string) bool { return len(id.Patterns(scope)) > 0 }

// AllowsAll reports whether the scope is granted for every resource.
func (id Identity) AllowsAll(scope string) bool { return slices.Contains(id.Patterns(scope), All) }

// Patterns lists for which resources the scope is granted, so that a list shows only those. A scope without
// patterns has All when it is granted.
func (id Identity) Patterns(scope string) []Pattern {
	var out []Pattern
	for _, s := range id.scopes {
		switch {
		case s.Name == ScopeAdmin, s.Name == scope && !Patterned(scope):
			return []Pattern{All}
		case s.Name == scope:
			out = append(out, s.Pattern)
		}
	}
	if id.User != "" && scope == ScopeChannelsSubscribe {
		out = append(out, Pattern("user:"+id.User))
	}
	return out
}

// Covers reports whether the identity holds everything that the scope grants, which is what it takes to pass
// it on.
func (id Identity) Covers(scope Scope) bool {
	return slices.ContainsFunc(id.scopes, func(held Scope) bool { return held.Covers(scope) })
}

// Scopes lists what is granted, in the text of ParseScope.
func (id Identity) Scopes() []string {
	out := make([]string, len(id.scopes))
	for i, s := range id.scopes {
		out[i] = s.String()
	}
	return out
}
