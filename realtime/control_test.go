package realtime_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/testdb"
	"github.com/millrace-dev/millrace/realtime"
)

// clientOf is the id of a peer's connection.
func clientOf(t *testing.T, hub *realtime.Hub, credentials *realtime.Credentials) (*peer, string) {
	t.Helper()
	p := open(t, hub, credentials)
	id, _ := p.ask("connect", `{}`).at("connect", "client").(string)
	require.NotEmpty(t, id)
	return p, id
}

func TestDisconnectOverNodes(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	here, there := startHubOn(t, db, "here", realtime.Config{}), startHubOn(t, db, "there", realtime.Config{})
	ann, far := connected(t, here, grants("ann")), connected(t, there, grants("ann"))
	bob, one := clientOf(t, there, grants("bob"))
	second := connected(t, there, grants("bob"))
	stays := connected(t, there, grants("eve"))

	for target, want := range map[realtime.Target]int{
		{User: "ann"}: 2, {User: "bob"}: 2, {User: "bob", Client: one}: 1, {Key: "key-bob"}: 2, {User: "nobody"}: 0,
	} {
		count, err := here.CountConnections(t.Context(), target)
		require.NoError(t, err)
		require.Equal(t, realtime.ConnectionCount{Connections: want}, count, "%v", target)
	}
	_, err := here.CountConnections(t.Context(), realtime.Target{})
	require.ErrorIs(t, err, realtime.ErrCommand)

	require.NoError(t, here.Disconnect(t.Context(), realtime.Target{User: "ann"}, realtime.DisconnectOptions{}))
	for _, p := range []*peer{ann, far} {
		require.Equal(t, closing{3503, "force disconnect"}, p.ending())
	}
	// All that is set must match.
	require.NoError(t, here.Disconnect(t.Context(), realtime.Target{User: "eve", Client: one}, realtime.DisconnectOptions{}))
	require.NoError(t, here.Disconnect(t.Context(), realtime.Target{Client: one}, realtime.DisconnectOptions{Reconnect: true, Reason: "moved"}))
	require.Equal(t, closing{3011, "moved"}, bob.ending())
	require.NoError(t, here.Disconnect(t.Context(), realtime.Target{Key: "key-bob"}, realtime.DisconnectOptions{Code: 4500, Reason: "bye"}))
	require.Equal(t, closing{4500, "bye"}, second.ending())
	require.NotNil(t, stays.ask("subscribe", `{"channel":"a"}`).at("subscribe"))
	require.Eventually(t, func() bool { return here.Connections() == 0 && there.Connections() == 1 }, patience, time.Millisecond)
}

// Those who are told to come back may do so at once.
func TestWhoIsToldToReconnectMay(t *testing.T) {
	t.Parallel()
	hub := startHub(t, realtime.Config{})
	for _, options := range []realtime.DisconnectOptions{{Reconnect: true}, {Code: 4100, Reconnect: true}} {
		connectedBefore := connected(t, hub, grants("ann"))
		require.NoError(t, hub.Disconnect(t.Context(), realtime.Target{User: "ann"}, options))
		connectedBefore.ending()
		back := connected(t, hub, grants("ann"))
		require.NotNil(t, back.ask("subscribe", `{"channel":"a"}`).at("subscribe"))
		require.Empty(t, back.closed)
		back.session.Close()
	}
}

func TestUnsubscribeOverNodes(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	here, there := startHubOn(t, db, "here", withPresence()), startHubOn(t, db, "there", withPresence())
	near, far, other := connected(t, here, grants("ann")), connected(t, there, grants("ann")), connected(t, there, grants("bob"))
	for _, p := range []*peer{near, far, other} {
		p.subscribe("quiet:a")
		p.subscribe("kept:a")
	}
	require.NoError(t, here.Unsubscribe(t.Context(), realtime.Target{User: "ann"}, "quiet:a"))
	for _, p := range []*peer{near, far} {
		for {
			if m := p.next(); m.at("push", "unsubscribe") != nil {
				require.Equal(t, "quiet:a", m.at("push", "channel"))
				require.InEpsilon(t, 2000, m.at("push", "unsubscribe", "code"), 0)
				break
			}
		}
	}
	requirePresence(t, here, "quiet:a", "bob")
	requirePresence(t, here, "kept:a", "ann", "ann", "bob")
}

// slowSource keeps subscriptions waiting for their snapshot.
type slowSource struct {
	source

	entered, release chan struct{}
}

func (s *slowSource) Snapshot(ctx context.Context, channel string) ([]byte, error) {
	s.entered <- struct{}{}
	<-s.release
	return s.source.Snapshot(ctx, channel)
}

// A subscription that is being set up when the command comes does not slip through.
func TestUnsubscribeMeetsASubscriptionOnTheWay(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	slow := &slowSource{entered: make(chan struct{}, 1), release: make(chan struct{})}
	config := realtime.Config{Namespaces: []realtime.Namespace{{Name: "", Ephemeral: true}, {Name: "job", Source: slow}}}
	here, there := startHubOn(t, db, "here", realtime.Config{}), startHubOn(t, db, "there", config)
	p := connected(t, there, grants("ann"))
	require.True(t, p.send("subscribe", 100, `{"channel":"job:1"}`))
	<-slow.entered
	require.NoError(t, here.Unsubscribe(t.Context(), realtime.Target{User: "ann"}, "job:1"))
	// The command after it says that this one was taken.
	bob := connected(t, there, grants("bob"))
	require.NoError(t, here.Disconnect(t.Context(), realtime.Target{User: "bob"}, realtime.DisconnectOptions{}))
	bob.ending()
	close(slow.release)
	for p.next().at("push", "unsubscribe") == nil {
	}
}

func TestRefreshOverNodes(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	here, there := startHubOn(t, db, "here", realtime.Config{}), startHubOn(t, db, "there", realtime.Config{})
	expiring := grants("ann")
	expiring.ExpiresAt = time.Now().Add(time.Hour)
	ann, bob := connected(t, there, expiring), connected(t, there, grants("bob"))
	require.NoError(t, here.Refresh(t.Context(), realtime.Target{User: "ann"}, realtime.RefreshOptions{ExpiresAt: time.Now().Add(24 * time.Hour)}))
	for {
		if m := ann.next(); m.at("push", "refresh") != nil {
			require.Equal(t, true, m.at("push", "refresh", "expires"))
			require.InDelta(t, 24*time.Hour/time.Second, m.at("push", "refresh", "ttl"), 60)
			break
		}
	}
	require.NoError(t, here.Refresh(t.Context(), realtime.Target{User: "bob"}, realtime.RefreshOptions{Expired: true}))
	require.Equal(t, uint32(3005), bob.ending().code)
}

func TestCommandRefusals(t *testing.T) {
	t.Parallel()
	hub := startHub(t, realtime.Config{})
	ann := realtime.Target{User: "ann"}
	later := time.Now().Add(time.Hour)
	for name, err := range map[string]error{
		"nobody":           hub.Disconnect(t.Context(), realtime.Target{}, realtime.DisconnectOptions{}),
		"nobody's channel": hub.Unsubscribe(t.Context(), realtime.Target{}, "a"),
		"nobody's time":    hub.Refresh(t.Context(), realtime.Target{}, realtime.RefreshOptions{Expired: true}),
		"NUL":              hub.Disconnect(t.Context(), realtime.Target{User: "a\x00"}, realtime.DisconnectOptions{}),
		"no text":          hub.Disconnect(t.Context(), realtime.Target{Client: "\xff"}, realtime.DisconnectOptions{}),
		"endless":          hub.Disconnect(t.Context(), realtime.Target{Key: strings.Repeat("x", 1025)}, realtime.DisconnectOptions{}),
		"the protocol's":   hub.Disconnect(t.Context(), ann, realtime.DisconnectOptions{Code: 3000}),
		"no code":          hub.Disconnect(t.Context(), ann, realtime.DisconnectOptions{Code: 5000}),
		"stays away":       hub.Disconnect(t.Context(), ann, realtime.DisconnectOptions{Code: 4499}),
		"comes back":       hub.Disconnect(t.Context(), ann, realtime.DisconnectOptions{Code: 4500, Reconnect: true}),
		"long reason":      hub.Disconnect(t.Context(), ann, realtime.DisconnectOptions{Reason: strings.Repeat("x", 124)}),
		"neither":          hub.Refresh(t.Context(), ann, realtime.RefreshOptions{}),
		"both":             hub.Refresh(t.Context(), ann, realtime.RefreshOptions{ExpiresAt: later, Expired: true}),
		"over":             hub.Refresh(t.Context(), ann, realtime.RefreshOptions{ExpiresAt: time.Now().Add(-time.Second)}),
	} {
		require.ErrorIs(t, err, realtime.ErrCommand, name)
	}
	require.ErrorIs(t, hub.Unsubscribe(t.Context(), ann, "a\n"), realtime.ErrChannelName)
	require.NoError(t, hub.Stop(t.Context()))
	require.ErrorIs(t, hub.Unsubscribe(t.Context(), ann, "a"), realtime.ErrNotRunning)
}

// A hub that hears no notification at all carries commands out at its next heartbeat, one that is cut off from the
// database when it is back, and one whose listening connection is killed all the time as if nothing were.
func TestCommandsReachTheDeaf(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	sender := startHubOn(t, db, "sender", realtime.Config{})
	deaf := startSeverable(t, db, testdb.New(t), "deaf", realtime.Config{})
	cut := startSeverable(t, db, testdb.New(t), "cut", realtime.Config{})
	killed := startHubOn(t, db, "killed", realtime.Config{})
	user := grants("ann")
	for range 5 {
		peers := []*peer{connected(t, deaf.Hub, user), connected(t, cut.Hub, user), connected(t, killed, user)}
		cut.gate.shut()
		_, err := db.Pool.Exec(t.Context(), `select pg_terminate_backend(pid) from pg_stat_activity
			where datname = current_database() and application_name like '%listen%'`)
		require.NoError(t, err)
		require.NoError(t, sender.Disconnect(t.Context(), realtime.Target{User: "ann"}, realtime.DisconnectOptions{}))
		peers[0].ending()
		peers[2].ending()
		cut.gate.open()
		peers[1].ending()
	}
}

// Whoever publishes commands in bursts leaves no heap of them behind.
func TestCommandsAreForgotten(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	hub := startHubOn(t, db, "one", realtime.Config{})
	_, err := db.Pool.Exec(t.Context(), `insert into millrace.control (kind, payload, expires_at)
		select 'disconnect', '{}', now() - interval '1 second' from generate_series(1, 250)`)
	require.NoError(t, err)
	for range 3 {
		require.NoError(t, hub.Disconnect(t.Context(), realtime.Target{User: "ann"}, realtime.DisconnectOptions{}))
	}
	var left int
	require.NoError(t, db.Pool.QueryRow(t.Context(), "select count(*) from millrace.control").Scan(&left))
	require.Equal(t, 3, left)
}
