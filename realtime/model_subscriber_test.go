package realtime_test

import (
	"context"
	"errors"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/millrace-dev/millrace/internal/postgres"
	"github.com/millrace-dev/millrace/internal/service"
	"github.com/millrace-dev/millrace/internal/testdb"
	"github.com/millrace-dev/millrace/realtime"
)

const modelSubscribers = 12

func (m *model) subscribe(*rapid.T) {
	if len(m.subscribers) >= modelSubscribers {
		return
	}
	s := &modelSubscriber{channel: m.channel()}
	m.subscribers = append(m.subscribers, s)
	m.join(s, m.hub())
}

// pick draws a subscriber that is there, or one that is away.
func (m *model) pick(there bool) *modelSubscriber {
	var list []*modelSubscriber
	for _, s := range m.subscribers {
		if (s.stream != nil) == there {
			list = append(list, s)
		}
	}
	if len(list) == 0 {
		return nil
	}
	return rapid.SampledFrom(list).Draw(m.T, "subscriber")
}

func (m *model) drop(*rapid.T) {
	if s := m.pick(true); s != nil {
		s.stream.Close()
		s.stream = nil
	}
}

func (m *model) reconnect(*rapid.T) {
	if s := m.pick(false); s != nil {
		m.join(s, m.hub())
	}
}

// join subscribes from where the subscriber was; before its first time, from now on.
func (m *model) join(s *modelSubscriber, hub *realtime.Hub) {
	channel := realtime.StreamChannel{Name: s.channel.name}
	if s.begun {
		since := s.at
		channel.Since = &since
	}
	require.Eventually(m, func() bool {
		stream, err := hub.OpenStream(*grants("ann"), []realtime.StreamChannel{channel})
		if err != nil { // the database is just being left by every connection
			return false
		}
		s.stream = stream
		return true
	}, patience, time.Millisecond, "a subscription")
}

// settle is done after each step: everybody who is connected sees everything, once and in order.
func (m *model) settle(*rapid.T) {
	m.world.steps++
	for _, s := range m.subscribers {
		for deadline := time.Now().Add(patience); s.stream != nil && (!s.begun || s.at.Offset != s.channel.top()); {
			if time.Now().After(deadline) {
				m.stuck(s)
			}
			m.read(s)
		}
	}
}

// stuck fails with what there is to know. A run is never the same twice, so it is said where it is not lost in
// attempts to repeat it.
func (m *model) stuck(s *modelSubscriber) {
	var kept, top uint64
	err := m.world.db.Pool.QueryRow(m.world.t.Context(), `select
		(select coalesce(min(pos), 0) from millrace.message where channel = $1),
		(select top from millrace.channel where channel = $1)`, s.channel.name).Scan(&kept, &top)
	m.world.t.Errorf("a subscriber of %s waits at %+v; the top is %d; in the database the messages from %d on are kept, the top is %d, %v",
		s.channel.name, s.at, s.channel.top(), kept, top, err)
	require.FailNow(m, "a subscriber waits")
}

// read takes what has come. The end of an instance ends its streams: the subscriber is away then.
func (m *model) read(s *modelSubscriber) {
	events, err := s.stream.Next(time.Second)
	if ended, is := errors.AsType[*realtime.DisconnectError](err); is {
		require.True(m, ended.Reconnect(), "%v", ended)
		s.stream.Close()
		s.stream = nil
		return
	}
	require.NoError(m, err)
	for _, event := range events {
		m.see(s, event)
	}
}

func (m *model) see(s *modelSubscriber, event realtime.Event) {
	c := s.channel
	switch event.Kind {
	case realtime.EventSubscribed:
		if s.begun {
			require.True(m, event.Recovered)
			require.Equal(m, s.at.Offset, event.Position.Offset, "recovery begins where the subscriber was")
			m.world.recovered++
		}
		s.begun, s.at = true, event.Position
	case realtime.EventUnrecoverable:
		require.Less(m, s.at.Offset+1, c.first, "told that %+v cannot be recovered, but all from %d on is kept", s.at, c.first)
		m.world.unrecovered++
		s.at = event.Position
	case realtime.EventMessage:
		require.Equal(m, s.at.Offset+1, event.Position.Offset, "a gap, a repeat or another order")
		require.LessOrEqual(m, event.Position.Offset, c.top())
		require.Equal(m, c.data[s.at.Offset], string(event.Data))
		m.world.seen++
		s.at = event.Position
	case realtime.EventSnapshot:
		require.Fail(m, "a snapshot of a channel that is no view")
	}
	if c.top() > 0 {
		m.sameEpoch(c, s.at.Epoch)
	}
}

// end looks at the whole history once more, and lets the subscribers go.
func (m *model) end() {
	for _, s := range m.subscribers {
		if s.stream != nil {
			s.stream.Close()
		}
	}
}

// world is what outlives the runs: the database and its instances.
type world struct {
	t    tester
	db   *testdb.DB
	hubs [2]instance

	steps, seen, recovered, unrecovered int
}

type tester interface {
	require.TestingT
	Context() context.Context
}

type instance struct {
	hub   *realtime.Hub
	parts *service.Group
}

func (w *world) start(n int) instance {
	listener := postgres.NewListener(postgres.ListenerConfig{URL: w.db.URL, Logger: quiet})
	hub, err := realtime.New(realtime.Config{
		Pool: w.db.Pool, URL: w.db.URL, Listener: listener, NodeID: string(rune('a' + n)), Logger: quiet,
		Namespaces: []realtime.Namespace{{HistorySize: modelKept, HistoryTTL: time.Hour}},
	})
	require.NoError(w.t, err)
	i := instance{hub: hub, parts: &service.Group{}}
	i.parts.Add("listener", listener)
	i.parts.Add("hub", hub)
	require.NoError(w.t, i.parts.Start(w.t.Context()))
	return i
}

func (i instance) stop(t require.TestingT) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	require.NoError(t, i.parts.Stop(ctx))
}

// exec tries again while connections are being killed.
func (w *world) exec(t require.TestingT, sql string, args ...any) {
	_, err := w.db.Pool.Exec(w.t.Context(), sql, args...)
	require.NoError(t, err)
}

// kill ends the listening and the writing sessions of all instances; the pool, which the test shares, stays.
func (w *world) kill(t require.TestingT) {
	w.exec(t, `select pg_terminate_backend(pid) from pg_stat_activity
		where datname = current_database() and (application_name like '%listen%' or application_name like '%sequencer%')`)
}
