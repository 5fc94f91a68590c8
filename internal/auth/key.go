package auth

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
)

var (
	//go:embed sql/key_insert.sql
	keyInsertSQL string
	//go:embed sql/key_ensure.sql
	keyEnsureSQL string
	//go:embed sql/key_list.sql
	keyListSQL string
	//go:embed sql/key_revoke.sql
	keyRevokeSQL string
)

// Limits of a key.
const (
	MaxScopes    = 100
	maxKeyName   = 200
	maxKeyLife   = 10 * 365 * 24 * time.Hour
	maxListLimit = 500
)

// Key is an API key as everybody with keys:manage may see it: without its secret.
type Key struct {
	ID         string     `json:"id"`
	Name       string     `json:"name"`
	Scopes     []string   `json:"scopes"`
	CreatedAt  time.Time  `json:"created_at"`
	CreatedBy  string     `json:"created_by"` // id of the key that made it; empty for the command line
	ExpiresAt  *time.Time `json:"expires_at"`
	LastUsedAt *time.Time `json:"last_used_at"` // to the minute
	RevokedAt  *time.Time `json:"revoked_at"`
}

// KeyParams are the wishes for a new key.
type KeyParams struct {
	Name      string        // for people, up to 200 characters
	Scopes    []string      // 1 to 100
	ExpiresIn time.Duration // zero: never; at most ten years
	// By is who makes it: the new key must not grant more than it holds. Nil is the command line, which may
	// grant everything.
	By *Identity
}

// check returns the scopes in their canonical text, or *InvalidError, or ErrBeyond.
func (p KeyParams) check() ([]string, error) {
	var invalid InvalidError
	if utf8.RuneCountInString(p.Name) > maxKeyName || !utf8.ValidString(p.Name) || strings.ContainsRune(p.Name, 0) {
		invalid.add("name", "is text of up to 200 characters")
	}
	if len(p.Scopes) == 0 || len(p.Scopes) > MaxScopes {
		invalid.add("scopes", "holds 1 to 100 scopes")
		return nil, invalid.err()
	}
	if p.ExpiresIn < 0 || p.ExpiresIn > maxKeyLife {
		invalid.add("expires_in", "is at most ten years")
	}
	beyond := ""
	out := make([]string, 0, len(p.Scopes))
	for i, text := range p.Scopes {
		scope, err := ParseScope(text)
		if err != nil {
			invalid.add(fmt.Sprintf("scopes[%d]", i), err.Error())
			continue
		}
		if p.By != nil && !p.By.Covers(scope) {
			beyond = text
		}
		out = append(out, scope.String())
	}
	if err := invalid.err(); err != nil {
		return nil, err
	}
	if beyond != "" {
		return nil, fmt.Errorf("scope %s: %w", beyond, ErrBeyond)
	}
	return out, nil
}

// CreateKey makes a key and returns it with its text, which is stored nowhere and so never shown again.
// Errors: *InvalidError, ErrBeyond.
func (s *Store) CreateKey(ctx context.Context, params KeyParams) (Key, string, error) {
	scopes, err := params.check()
	if err != nil {
		return Key{}, "", err
	}
	id, text := newKeyText()
	key := Key{ID: id, Name: params.Name, Scopes: scopes}
	if params.By != nil {
		key.CreatedBy = params.By.Key
	}
	var life *float64
	if params.ExpiresIn > 0 {
		seconds := params.ExpiresIn.Seconds()
		life = &seconds
	}
	hash := readCredential(text).hash
	err = s.pool.QueryRow(ctx, keyInsertSQL, id, key.Name, hash[:], scopes, key.CreatedBy, life).
		Scan(&key.CreatedAt, &key.ExpiresAt)
	if err != nil {
		return Key{}, "", fmt.Errorf("create key: %w", err)
	}
	return key, text, nil
}

// EnsureKey makes the given text a key that may do everything, as a development server's --key asks for. Any
// text of 16 to 4096 printable ASCII characters without spaces will do. A key of that text that was revoked
// works again. Errors: *InvalidError.
func (s *Store) EnsureKey(ctx context.Context, text string) (Key, error) {
	if len(text) < minLiteral || len(text) > maxBearer || strings.ContainsFunc(text, notPrintable) {
		return Key{}, &InvalidError{Fields: []FieldError{{
			Field: "key", Message: "is 16 to 4096 printable ASCII characters without spaces",
		}}}
	}
	given := readCredential(text)
	key := Key{ID: given.id, Scopes: []string{ScopeAdmin}}
	err := s.pool.QueryRow(ctx, keyEnsureSQL, given.id, "command line", given.hash[:], key.Scopes).
		Scan(&key.Name, &key.CreatedAt, &key.LastUsedAt)
	if errors.Is(err, pgx.ErrNoRows) {
		return Key{}, &InvalidError{Fields: []FieldError{{
			Field: "key", Message: "has the id of another key; choose another text",
		}}}
	}
	if err != nil {
		return Key{}, fmt.Errorf("ensure key: %w", err)
	}
	s.keys.forget(given.id)
	return key, nil
}

func notPrintable(r rune) bool { return r <= ' ' || r > '~' }

// ListKeys returns up to limit keys (1 to 500) ordered by id, those after the given id; revoked and expired
// ones are among them.
func (s *Store) ListKeys(ctx context.Context, after string, limit int) ([]Key, error) {
	rows, err := s.pool.Query(ctx, keyListSQL, after, min(max(limit, 1), maxListLimit))
	if err != nil {
		return nil, fmt.Errorf("list keys: %w", err)
	}
	keys, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (Key, error) {
		var k Key
		err := row.Scan(&k.ID, &k.Name, &k.Scopes, &k.CreatedAt, &k.CreatedBy, &k.ExpiresAt, &k.LastUsedAt, &k.RevokedAt)
		return k, err
	})
	if err != nil {
		return nil, fmt.Errorf("list keys: %w", err)
	}
	return keys, nil
}

// Revoke ends a key, its sessions and its tokens: here at once, elsewhere within five seconds. Revoking it
// again is fine. Errors: ErrNotFound.
func (s *Store) Revoke(ctx context.Context, id string) error {
	tag, err := s.pool.Exec(ctx, keyRevokeSQL, id)
	if err != nil {
		return fmt.Errorf("revoke key %s: %w", id, err)
	}
	if tag.RowsAffected() == 0 {
		return ErrNotFound
	}
	s.endKey(id)
	return nil
}
