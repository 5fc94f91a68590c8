package auth

import (
	"errors"
	"strings"
)

// maxPattern is the longest pattern in bytes: the longest channel name.
const maxPattern = 255

// errPattern names the whole rule, since a pattern is short enough to be compared with it by eye.
var errPattern = errors.New(
	"a pattern is 1 to 255 printable ASCII characters without spaces, with '*' only as the last one")

// Pattern is a name, or with '*' at its end the beginning of names; "*" alone is every name. Names are
// compared byte by byte: no case folding, no decoding.
type Pattern string

// All is the pattern of every name.
const All Pattern = "*"

// ParsePattern checks the grammar.
func ParsePattern(text string) (Pattern, error) {
	if text == "" || len(text) > maxPattern {
		return "", errPattern
	}
	for i := range len(text) {
		if text[i] <= ' ' || text[i] > '~' || (text[i] == '*' && i != len(text)-1) {
			return "", errPattern
		}
	}
	return Pattern(text), nil
}

// Match reports whether the name is one of those that the pattern grants. The empty name never is.
func (p Pattern) Match(name string) bool {
	if name == "" {
		return false
	}
	if prefix, wild := strings.CutSuffix(string(p), "*"); wild {
		return strings.HasPrefix(name, prefix)
	}
	return string(p) == name
}

// Covers reports whether p matches every name that other matches.
func (p Pattern) Covers(other Pattern) bool {
	prefix, wild := strings.CutSuffix(string(p), "*")
	if !wild {
		return p == other
	}
	return other != "" && strings.HasPrefix(strings.TrimSuffix(string(other), "*"), prefix)
}
