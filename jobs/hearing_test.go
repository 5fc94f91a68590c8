package jobs

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/postgres"
	"github.com/millrace-dev/millrace/internal/testdb"
)

// startHearing is startNode with a listener that runs, and with ears that keep what is delivered.
func startHearing(t testing.TB, db *testdb.DB, functions *functionsOf, to *ears, change ...func(*Config)) *Service {
	t.Helper()

	listener := postgres.NewListener(postgres.ListenerConfig{URL: db.URL})

	if to != nil {
		change = append(change, func(cfg *Config) { cfg.Deliver = to.deliver })
	}

	s := newNode(t, db, functions, append(change, func(cfg *Config) { cfg.Listener = listener })...)
	require.NoError(t, listener.Start(t.Context()))
	t.Cleanup(func() { _ = listener.Stop(context.Background()) })
	require.NoError(t, s.Start(t.Context()))
	t.Cleanup(func() { stopNode(t, s, patience) })

	return s
}

// ears is a subscriber of every channel.
type ears struct {
	mu   sync.Mutex
	got  map[string][]message
	more chan struct{}
}

// message is any message of a channel.
type message struct {
	Type     string
	Job      *Job
	Progress *Progress
	Line     *LogLine
	Jobs     []summary
	More     int
	Counts   map[State]int
	Stats    *Stats
}

func newEars() *ears { return &ears{got: make(map[string][]message), more: make(chan struct{}, 1)} }

func (e *ears) deliver(channel string, data []byte) {
	var m message
	if err := json.Unmarshal(data, &m); err != nil {
		m.Type = err.Error()
	}

	e.mu.Lock()
	defer e.mu.Unlock()

	e.got[channel] = append(e.got[channel], m)

	select {
	case e.more <- struct{}{}:
	default:
	}
}

func (e *ears) heard(channel string) []message {
	e.mu.Lock()
	defer e.mu.Unlock()

	return append([]message(nil), e.got[channel]...)
}

// until waits for a message that ok accepts, and returns all up to it.
func (e *ears) until(t *testing.T, channel string, ok func(message) bool) []message {
	t.Helper()

	timeout := time.After(patience)

	for {
		all := e.heard(channel)
		for i := range all {
			if ok(all[i]) {
				return all[:i+1]
			}
		}

		select {
		case <-e.more:
		case <-timeout:
			require.FailNow(t, "not heard", "on %s, but %+v", channel, all)
		}
	}
}

func stateIs(state State) func(message) bool {
	return func(m message) bool { return m.Job != nil && m.Job.State == state }
}

// subscribe does what the realtime hub does: Watch, then the snapshot.
func subscribe(t *testing.T, s *Service, channel string) message {
	t.Helper()

	s.Watch(channel)

	data, err := s.Snapshot(t.Context(), channel)
	require.NoError(t, err)

	var m message
	require.NoError(t, json.Unmarshal(data, &m))
	require.Equal(t, "snapshot", m.Type)

	return m
}

func blocksUntilCancelled(started chan<- struct{}) func(context.Context, *Run) (json.RawMessage, error) {
	return func(ctx context.Context, _ *Run) (json.RawMessage, error) {
		close(started)
		<-ctx.Done()

		return nil, ctx.Err()
	}
}

func statesOf(messages []message) string {
	var states []string
	for _, m := range messages {
		if m.Job != nil {
			states = append(states, string(m.Job.State))
		}
	}

	return strings.Join(states, " ")
}
