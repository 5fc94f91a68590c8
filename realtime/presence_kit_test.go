package realtime_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/postgres"
	"github.com/millrace-dev/millrace/internal/service"
	"github.com/millrace-dev/millrace/internal/testdb"
	"github.com/millrace-dev/millrace/realtime"
)

// The lease of the tests that let it run out: long enough for a machine that does ten other things.
const (
	testHeartbeat = 100 * time.Millisecond
	testLease     = 3 * time.Second
)

// severable is a hub that can be cut off from the database, as one that was killed or stopped is. It is dead to the
// others then, and has said no goodbye.
type severable struct {
	*realtime.Hub

	gate gate
}

// gate lets connections be taken from a pool while it is open.
type gate struct {
	mu     sync.Mutex
	closed chan struct{} // nil while open
}

func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed == nil {
		g.closed = make(chan struct{})
	}
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed != nil {
		close(g.closed)
		g.closed = nil
	}
}

func (g *gate) pass(ctx context.Context, _ *pgx.Conn) (bool, error) {
	g.mu.Lock()
	closed := g.closed
	g.mu.Unlock()
	if closed == nil {
		return true, nil
	}
	select {
	case <-closed:
		return true, nil
	case <-ctx.Done():
		return true, ctx.Err()
	}
}

// startSeverable runs a hub with the tests' short lease. hears is the database whose notifications it hears: another
// one than db makes it deaf.
func startSeverable(t *testing.T, db, hears *testdb.DB, node string, config realtime.Config) *severable {
	t.Helper()
	i := &severable{}
	poolConfig := db.Pool.Config()
	poolConfig.PrepareConn = i.gate.pass
	pool, err := pgxpool.NewWithConfig(t.Context(), poolConfig)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	config.Pool, config.URL, config.NodeID, config.Logger, config.PingInterval = pool, db.URL, node, quiet, time.Hour
	config.Listener = postgres.NewListener(postgres.ListenerConfig{URL: hears.URL, Logger: quiet})
	i.Hub, err = realtime.New(config)
	require.NoError(t, err)
	i.SetLease(testHeartbeat, testLease)
	var parts service.Group
	parts.Add("listener", config.Listener)
	parts.Add("hub", i.Hub)
	require.NoError(t, parts.Start(t.Context()))
	t.Cleanup(func() {
		i.gate.open()
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		require.NoError(t, parts.Stop(ctx))
	})
	return i
}

// withPresence are namespaces of all kinds.
func withPresence() realtime.Config {
	return realtime.Config{Namespaces: []realtime.Namespace{
		{Name: "", Ephemeral: true, Presence: true, JoinLeave: true},
		{Name: "quiet", Ephemeral: true, Presence: true},
		{Name: "told", Ephemeral: true, JoinLeave: true},
		{Name: "none", Ephemeral: true},
		{Name: "kept", HistorySize: 10, HistoryTTL: time.Minute, Presence: true},
	}}
}

// requirePresence waits until a hub shows exactly these users in a channel, once for each connection.
func requirePresence(t *testing.T, hub *realtime.Hub, channel string, users ...string) {
	t.Helper()
	slices.Sort(users)
	var got []string
	require.Eventually(t, func() bool {
		members, err := hub.Presence(t.Context(), channel)
		if err != nil {
			return false
		}
		got = []string{}
		for _, m := range members {
			got = append(got, m.User)
		}
		slices.Sort(got)
		return slices.Equal(got, users)
	}, patience, 10*time.Millisecond, "%s: want %v", channel, users)
}

func (p *peer) subscribe(channel string) {
	p.t.Helper()
	reply := p.ask("subscribe", `{"channel":"`+channel+`","join_leave":true}`)
	require.NotNil(p.t, reply.at("subscribe"), reply)
}

func (p *peer) unsubscribe(channel string) {
	p.t.Helper()
	reply := p.ask("unsubscribe", `{"channel":"`+channel+`"}`)
	require.NotNil(p.t, reply.at("unsubscribe"), reply)
}

// told is the next "join" or "leave" of a user that is pushed. Those of others that came shortly before the peer
// subscribed may arrive after it has.
func (p *peer) told(channel, user string) string {
	p.t.Helper()
	for {
		m := p.next()
		for _, kind := range []string{"join", "leave"} {
			if m.at("push", kind, "info", "user") == user && m.at("push", "channel") == channel {
				return kind
			}
		}
	}
}

// heard are the joins and leaves that were pushed until now.
func (p *peer) heard(channel string) []string {
	p.t.Helper()
	var all []string
	for {
		select {
		case m := <-p.frames:
			for _, kind := range []string{"join", "leave"} {
				if user, is := m.at("push", kind, "info", "user").(string); is && m.at("push", "channel") == channel {
					all = append(all, kind+" "+user)
				}
			}
		default:
			return all
		}
	}
}

func startInMemory(t *testing.T, config realtime.Config) *realtime.Hub {
	t.Helper()
	config.Logger, config.PingInterval = quiet, time.Hour
	hub, err := realtime.NewInMemory(config)
	require.NoError(t, err)
	require.NoError(t, hub.Start(t.Context()))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		require.NoError(t, hub.Stop(ctx))
	})
	return hub
}
