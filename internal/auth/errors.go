package auth

import (
	"errors"
	"fmt"
	"strings"
)

var (
	// ErrUnauthenticated is the one refusal of every credential: unknown, malformed, wrong, expired, revoked.
	ErrUnauthenticated = errors.New("unauthenticated")
	// ErrExpired is ErrUnauthenticated for a token of ours that was good once: its holder can get a new one.
	ErrExpired = fmt.Errorf("expired: %w", ErrUnauthenticated)
	// ErrNotFound is returned by Revoke for an id that is no key's.
	ErrNotFound = errors.New("no such key")
	// ErrBeyond is returned when somebody grants what they do not hold themselves.
	ErrBeyond = errors.New("grants more than its maker holds")
)

// FieldError is one mistake in what was asked for.
type FieldError struct {
	Field   string
	Message string
}

// InvalidError lists every mistake in the parameters of a key or a token.
type InvalidError struct {
	Fields []FieldError
}

// Error joins the mistakes.
func (e *InvalidError) Error() string {
	parts := make([]string, len(e.Fields))
	for i, f := range e.Fields {
		parts[i] = f.Field + ": " + f.Message
	}
	return strings.Join(parts, "; ")
}

func (e *InvalidError) add(field, message string) {
	e.Fields = append(e.Fields, FieldError{Field: field, Message: message})
}

// err is nil without mistakes.
func (e *InvalidError) err() error {
	if len(e.Fields) == 0 {
		return nil
	}
	return e
}
