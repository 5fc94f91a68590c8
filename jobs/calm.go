package jobs

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// calmEvery is how often the same message of River's may appear.
const calmEvery = 10 * time.Second

// calmHandler keeps River's log useful: its progress reports are for debugging, and while Postgres is away it
// would repeat each of its errors several times a second. A repeated message is held back for a while and then
// appears with the number of those that were.
type calmHandler struct {
	next   slog.Handler
	shared *calmState
}

type calmState struct {
	mu   sync.Mutex
	seen map[string]*calmMessage // one for each message text in River's source
}

type calmMessage struct {
	at   time.Time
	held int
}

func newCalmHandler(next slog.Handler) calmHandler {
	return calmHandler{next: next, shared: &calmState{seen: make(map[string]*calmMessage)}}
}

// Enabled passes warnings and errors, and everything else when the program is being debugged.
func (h calmHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn && h.next.Enabled(ctx, level) || h.next.Enabled(ctx, slog.LevelDebug)
}

// Handle writes the record unless the same message appeared a moment ago.
func (h calmHandler) Handle(ctx context.Context, record slog.Record) error {
	if record.Level < slog.LevelWarn {
		record.Level = slog.LevelDebug
	}

	held, pass := h.shared.pass(record.Message, record.Time)
	if !pass {
		return nil
	}

	if held > 0 {
		record.AddAttrs(slog.Int("repeated", held))
	}

	return h.next.Handle(ctx, record) //nolint:wrapcheck // slog's own contract
}

func (s *calmState) pass(message string, at time.Time) (held int, pass bool) {
	s.mu.Lock()
	defer s.mu.Unlock()

	last := s.seen[message]
	if last == nil {
		s.seen[message] = &calmMessage{at: at}

		return 0, true
	}

	if at.Sub(last.at) < calmEvery {
		last.held++

		return 0, false
	}

	held, last.at, last.held = last.held, at, 0

	return held, true
}

// WithAttrs is slog's.
func (h calmHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return calmHandler{next: h.next.WithAttrs(attrs), shared: h.shared}
}

// WithGroup is slog's.
func (h calmHandler) WithGroup(name string) slog.Handler {
	return calmHandler{next: h.next.WithGroup(name), shared: h.shared}
}
