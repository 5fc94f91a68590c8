package auth

import (
	"context"
	"encoding/hex"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/millrace-dev/millrace/internal/postgres"
	"github.com/millrace-dev/millrace/internal/service"
)

// notifyChannel carries "key <id>" and "session <hash in hexadecimal>" when one has ended.
const notifyChannel = "millrace_auth"

// Store recognises credentials and keeps them. Make one with NewStore; it is safe for concurrent use.
type Store struct {
	service.Base
	pool     *pgxpool.Pool
	log      *slog.Logger
	now      func() time.Time
	keys     *cache[keyRow]
	sessions *cache[sessionRow]
	signing  signingSecret
	issuer   *issuer // nil: none

	mu       sync.Mutex
	onRevoke []func(Revoked)
	used     map[string]struct{} // ids of keys used since the last flush
}

// NewStore answers from now on. The listener makes revocations travel at once; it must not be started yet, and
// may be nil, which leaves the sweep. A nil logger discards.
func NewStore(pool *pgxpool.Pool, listener *postgres.Listener, logger *slog.Logger) *Store {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	s := &Store{
		pool: pool,
		log:  logger,
		now:  time.Now,
		used: map[string]struct{}{},
	}
	s.keys = newCache[keyRow](s.now)
	s.sessions = newCache[sessionRow](s.now)
	if listener != nil {
		listener.Handle(notifyChannel, s.notified, s.missed)
	}
	return s
}

// Revoked is what has ended: one of the two.
type Revoked struct {
	Key     string // id of a key that was revoked or has expired
	Session string // Identity.Session of a session that was logged out or has expired
}

// OnRevoke registers a function that is told when a key or a session has ended, on whichever node that happened,
// within five seconds: so that open sockets are closed. It may be told twice, and must not block.
func (s *Store) OnRevoke(f func(Revoked)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onRevoke = append(s.onRevoke, f)
}

// Start begins the sweep and the writing of last_used_at.
func (s *Store) Start(ctx context.Context) error {
	if _, err := s.Begin(ctx); err != nil {
		return fmt.Errorf("start auth: %w", err)
	}
	s.Go(s.sweep)
	s.Go(s.recordUse)
	if s.issuer != nil && s.issuer.jwks != nil {
		s.Go(s.issuer.jwks.run)
	}
	return nil
}

// notified runs on the listener's goroutine.
func (s *Store) notified(payload string) {
	what, id, _ := strings.Cut(payload, " ")
	switch what {
	case "key":
		s.endKey(id)
	case "session":
		s.endSession(id)
	}
}

// missed runs after the listener was away: nothing cached is trusted, and the sweep, which has its own
// watermark, tells of the keys and sessions that ended meanwhile.
func (s *Store) missed(context.Context) {
	s.keys.forgetAll()
	s.sessions.forgetAll()
}

func (s *Store) endKey(id string) {
	s.keys.forget(id)
	s.tell(Revoked{Key: id})
}

// endSession takes the session's name.
func (s *Store) endSession(name string) {
	if hash, err := hex.DecodeString(name); err == nil {
		s.sessions.forget(string(hash))
		s.tell(Revoked{Session: name})
	}
}

func (s *Store) tell(what Revoked) {
	s.mu.Lock()
	told := s.onRevoke
	s.mu.Unlock()
	for _, f := range told {
		f(what)
	}
}
