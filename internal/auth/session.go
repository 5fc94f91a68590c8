package auth

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// SessionLife is how long a login of the page lasts at most.
	SessionLife = 7 * 24 * time.Hour
	// LinkLife is how long a login link can be used.
	LinkLife = 10 * time.Minute
)

var (
	//go:embed sql/session_insert.sql
	sessionInsertSQL string
	//go:embed sql/session_find.sql
	sessionFindSQL string
	//go:embed sql/session_end.sql
	sessionEndSQL string
	//go:embed sql/link_insert.sql
	linkInsertSQL string
	//go:embed sql/link_redeem.sql
	linkRedeemSQL string
)

// sessionRow is what the cache keeps of a session.
type sessionRow struct {
	key     string
	expires time.Time
}

// Session is a fresh login of the page.
type Session struct {
	Secret    string // the cookie's value, stored nowhere
	ExpiresAt time.Time
	Identity  Identity
}

// StartSession logs the holder of a key in: each login has a secret of its own, whatever the browser sent
// before. Tokens cannot log in. Errors: ErrUnauthenticated.
func (s *Store) StartSession(ctx context.Context, bearer string) (Session, error) {
	id, err := s.Authenticate(ctx, bearer)
	if err != nil {
		return Session{}, err
	}
	if id.Kind != KindKey {
		return Session{}, ErrUnauthenticated
	}
	return s.newSession(ctx, id.Key)
}

func (s *Store) newSession(ctx context.Context, keyID string) (Session, error) {
	row, err := s.liveKey(ctx, keyID)
	if err != nil {
		return Session{}, err
	}
	secret := randomText(secretBytes)
	hash := sha256.Sum256([]byte(secret))
	if _, err := s.pool.Exec(ctx, sessionInsertSQL, hash[:], keyID, SessionLife.Seconds()); err != nil {
		return Session{}, fmt.Errorf("start a session: %w", err)
	}
	session := sessionRow{key: keyID, expires: s.now().Add(SessionLife)}
	id := session.identity(row, hash)
	return Session{Secret: secret, ExpiresAt: id.ExpiresAt, Identity: id}, nil
}

// identity ends with the session or with the key, whichever is first.
func (r sessionRow) identity(key keyRow, hash [sha256.Size]byte) Identity {
	id := key.identity(KindSession)
	id.Session = hex.EncodeToString(hash[:])
	if id.ExpiresAt.IsZero() || r.expires.Before(id.ExpiresAt) {
		id.ExpiresAt = r.expires
	}
	return id
}

// AuthenticateSession recognises the page's cookie. Errors: ErrUnauthenticated; anything else means that it
// could not be found out.
func (s *Store) AuthenticateSession(ctx context.Context, secret string) (Identity, error) {
	if secret == "" || len(secret) > maxBearer {
		return Identity{}, ErrUnauthenticated
	}
	hash := sha256.Sum256([]byte(secret))
	session, err := s.sessions.get(ctx, string(hash[:]), func(ctx context.Context) (sessionRow, error) {
		var row sessionRow
		var left float64
		err := s.pool.QueryRow(ctx, sessionFindSQL, hash[:]).Scan(&row.key, &left)
		if errors.Is(err, pgx.ErrNoRows) {
			return sessionRow{}, ErrUnauthenticated
		}
		if err != nil {
			return sessionRow{}, fmt.Errorf("look up a session: %w", err)
		}
		row.expires = s.now().Add(seconds(left))
		return row, nil
	})
	if err != nil {
		return Identity{}, err
	}
	if !s.now().Before(session.expires) {
		return Identity{}, ErrUnauthenticated
	}
	key, err := s.liveKey(ctx, session.key)
	if err != nil {
		return Identity{}, err
	}
	s.touch(key.id)
	return session.identity(key, hash), nil
}

// EndSession logs out: here at once, elsewhere within five seconds. What OnRevoke registered is told. A session that
// is over already is fine.
func (s *Store) EndSession(ctx context.Context, secret string) error {
	hash := sha256.Sum256([]byte(secret))
	tag, err := s.pool.Exec(ctx, sessionEndSQL, hash[:])
	if err != nil {
		return fmt.Errorf("end a session: %w", err)
	}
	if tag.RowsAffected() > 0 {
		s.endSession(hex.EncodeToString(hash[:]))
	}
	return nil
}

// CreateLoginLink makes a secret that logs one browser in, once, within LinkLife, with the rights of the key.
// Whoever prints it puts it behind the '#' of the page's address (/#login=SECRET), where neither logs nor
// Referer headers see it. Errors: ErrUnauthenticated if the key is not alive.
func (s *Store) CreateLoginLink(ctx context.Context, keyID string) (secret string, err error) {
	if _, err := s.liveKey(ctx, keyID); err != nil {
		return "", err
	}
	secret = randomText(secretBytes)
	hash := sha256.Sum256([]byte(secret))
	if _, err := s.pool.Exec(ctx, linkInsertSQL, hash[:], keyID, LinkLife.Seconds()); err != nil {
		return "", fmt.Errorf("make a login link: %w", err)
	}
	return secret, nil
}

// RedeemLoginLink turns a link into a session. Of two who try, one gets it. Errors: ErrUnauthenticated.
func (s *Store) RedeemLoginLink(ctx context.Context, secret string) (Session, error) {
	if secret == "" || len(secret) > maxBearer {
		return Session{}, ErrUnauthenticated
	}
	hash := sha256.Sum256([]byte(secret))
	var keyID string
	err := s.pool.QueryRow(ctx, linkRedeemSQL, hash[:]).Scan(&keyID)
	if errors.Is(err, pgx.ErrNoRows) {
		return Session{}, ErrUnauthenticated
	}
	if err != nil {
		return Session{}, fmt.Errorf("use a login link: %w", err)
	}
	return s.newSession(ctx, keyID)
}
