package auth

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
)

//go:embed sql/key_find.sql
var keyFindSQL string

// keyRow is what the cache keeps of a key. It is not changed once it is there.
type keyRow struct {
	id      string
	name    string
	hash    []byte
	scopes  []Scope
	revoked bool
	expires time.Time // by our monotonic clock; zero when never
}

// Authenticate recognises the bearer of a key or a token. Errors: ErrUnauthenticated; anything else means that
// it could not be found out.
func (s *Store) Authenticate(ctx context.Context, bearer string) (Identity, error) {
	if looksLikeToken(bearer) {
		return s.ParseToken(ctx, bearer)
	}
	if bearer == "" || len(bearer) > maxBearer {
		return Identity{}, ErrUnauthenticated
	}
	given := readCredential(bearer)
	row, err := s.key(ctx, given.id)
	if errors.Is(err, ErrUnauthenticated) {
		given.matches(make([]byte, len(given.hash))) // the same work as for a known id
		return Identity{}, ErrUnauthenticated
	}
	if err != nil {
		return Identity{}, err
	}
	if !given.matches(row.hash) || !s.alive(row) {
		return Identity{}, ErrUnauthenticated
	}
	s.touch(row.id)
	return row.identity(KindKey), nil
}

func (r keyRow) identity(kind Kind) Identity {
	return Identity{Kind: kind, Key: r.id, Name: r.name, ExpiresAt: r.expires, scopes: r.scopes}
}

// alive reports whether the key is neither revoked nor expired.
func (s *Store) alive(row keyRow) bool {
	return !row.revoked && (row.expires.IsZero() || s.now().Before(row.expires))
}

// liveKey is the key behind a token or a session.
func (s *Store) liveKey(ctx context.Context, id string) (keyRow, error) {
	row, err := s.key(ctx, id)
	if err != nil {
		return keyRow{}, err
	}
	if !s.alive(row) {
		return keyRow{}, ErrUnauthenticated
	}
	return row, nil
}

// key reads a row through the cache. Errors: ErrUnauthenticated when there is none.
func (s *Store) key(ctx context.Context, id string) (keyRow, error) {
	return s.keys.get(ctx, id, func(ctx context.Context) (keyRow, error) {
		row := keyRow{id: id}
		var scopes []string
		var left *float64
		err := s.pool.QueryRow(ctx, keyFindSQL, id).Scan(&row.name, &row.hash, &scopes, &row.revoked, &left)
		if errors.Is(err, pgx.ErrNoRows) {
			return keyRow{}, ErrUnauthenticated
		}
		if err != nil {
			return keyRow{}, fmt.Errorf("look up key %s: %w", id, err)
		}
		if left != nil {
			row.expires = s.now().Add(seconds(*left))
		}
		row.scopes = s.readScopes(ctx, id, scopes)
		return row, nil
	})
}

// readScopes skips what this version does not know: a scope of a newer one grants nothing here.
func (s *Store) readScopes(ctx context.Context, id string, texts []string) []Scope {
	scopes := make([]Scope, 0, len(texts))
	for _, text := range texts {
		scope, err := ParseScope(text)
		if err != nil {
			s.log.WarnContext(ctx, "auth: key has a scope that is not known here",
				slog.String("key", id), slog.Any("err", err))
			continue
		}
		scopes = append(scopes, scope)
	}
	return scopes
}

// seconds of the database as a duration, bounded by what a duration can hold.
func seconds(s float64) time.Duration {
	return time.Duration(min(max(s, -maxKeyLife.Seconds()), 2*maxKeyLife.Seconds()) * float64(time.Second))
}
