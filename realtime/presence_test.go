package realtime_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/testdb"
	"github.com/millrace-dev/millrace/realtime"
)

func TestPresence(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	here, there := startHubOn(t, db, "here", withPresence()), startHubOn(t, db, "there", withPresence())
	ann, again, bob := connected(t, here, grants("ann")), connected(t, there, grants("ann")), connected(t, there, grants("bob"))
	for _, channel := range []string{"a", "quiet:a", "kept:a"} {
		for _, p := range []*peer{ann, again, bob} {
			p.subscribe(channel)
		}
		for _, hub := range []*realtime.Hub{here, there} { // at once: each subscription was answered
			members, err := hub.Presence(t.Context(), channel)
			require.NoError(t, err)
			require.Len(t, members, 3)
			stats, err := hub.PresenceStats(t.Context(), channel)
			require.NoError(t, err)
			require.Equal(t, realtime.PresenceStats{Clients: 3, Users: 2}, stats)
		}
		reply := ann.ask("presence", `{"channel":"`+channel+`"}`)
		require.Len(t, reply.at("presence", "presence"), 3, reply)
		reply = bob.ask("presence_stats", `{"channel":"`+channel+`"}`)
		require.InEpsilon(t, 3, reply.at("presence_stats", "num_clients"), 0, reply)
		require.InEpsilon(t, 2, reply.at("presence_stats", "num_users"), 0, reply)

		again.unsubscribe(channel)
		requirePresence(t, here, channel, "ann", "bob")
	}
	bob.session.Close()
	requirePresence(t, here, "a", "ann")
	ann.subscribe("quiet:b")
	require.NoError(t, here.Disconnect(t.Context(), realtime.Target{User: "ann"}, realtime.DisconnectOptions{}))
	for _, channel := range []string{"a", "quiet:a", "kept:a", "quiet:b"} {
		requirePresence(t, there, channel)
	}
}

func TestPresenceRefusals(t *testing.T) {
	t.Parallel()
	hub := startHub(t, withPresence())
	for channel, want := range map[string]error{"none:a": realtime.ErrNoPresence, "told:a": realtime.ErrNoPresence, "a\n": realtime.ErrChannelName} {
		_, err := hub.Presence(t.Context(), channel)
		require.ErrorIs(t, err, want)
		_, err = hub.PresenceStats(t.Context(), channel)
		require.ErrorIs(t, err, want)
	}
	stopped, err := realtime.NewInMemory(withPresence())
	require.NoError(t, err)
	_, err = stopped.Presence(t.Context(), "a")
	require.ErrorIs(t, err, realtime.ErrNotRunning)

	subscriber := &realtime.Credentials{User: "ann", May: func(action realtime.Action, _ string) bool { return action == realtime.ActionSubscribe }}
	blind, sighted := connected(t, hub, subscriber), connected(t, hub, grants("bob"))
	for _, command := range []string{"presence", "presence_stats"} {
		require.InEpsilon(t, 103, blind.ask(command, `{"channel":"a"}`).at("error", "code"), 0)
		require.InEpsilon(t, 108, sighted.ask(command, `{"channel":"none:a"}`).at("error", "code"), 0)
		require.InEpsilon(t, 107, sighted.ask(command, `{"channel":"a\n"}`).at("error", "code"), 0)
	}
	// Who may not see who is there is not told who comes.
	blind.subscribe("a")
	sighted.subscribe("a")
	require.Equal(t, "join", sighted.told("a", "bob"))
	publish(t, hub, "a", `1`)
	blind.publication()
	require.Empty(t, blind.heard("a"))
}

// Joins and leaves are told once, at every node, in channels that tell of them.
func TestJoinAndLeave(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	here, there := startHubOn(t, db, "here", withPresence()), startHubOn(t, db, "there", withPresence())
	for _, channel := range []string{"a", "told:a"} {
		near, far, deaf := connected(t, here, grants("near")), connected(t, there, grants("far")), connected(t, there, grants("deaf"))
		near.subscribe(channel)
		require.Equal(t, "join", near.told(channel, "near"))
		require.NotNil(t, deaf.ask("subscribe", `{"channel":"`+channel+`"}`).at("subscribe"))
		require.Equal(t, "join", near.told(channel, "deaf"))
		far.subscribe(channel)
		require.Equal(t, "join", near.told(channel, "far"))
		require.Equal(t, "join", far.told(channel, "far"))
		for n := range 5 {
			user := fmt.Sprint("user", n)
			p := connected(t, here, grants(user))
			p.subscribe(channel)
			for _, listener := range []*peer{near, far} {
				require.Equal(t, "join", listener.told(channel, user))
			}
			if n%2 == 0 {
				p.unsubscribe(channel)
			} else {
				p.session.Close()
			}
			for _, listener := range []*peer{near, far} {
				require.Equal(t, "leave", listener.told(channel, user))
			}
		}
		require.Empty(t, deaf.heard(channel))
	}
	quiet := connected(t, here, grants("quiet"))
	quiet.subscribe("quiet:a")
	connected(t, here, grants("other")).subscribe("quiet:a")
	requirePresence(t, here, "quiet:a", "other", "quiet")
	publish(t, here, "quiet:a", `1`)
	quiet.publication()
	require.Empty(t, quiet.heard("quiet:a"))
}

func TestPresenceInMemory(t *testing.T) {
	t.Parallel()
	hub := startInMemory(t, withPresence())
	ann, bob := connected(t, hub, grants("ann")), connected(t, hub, grants("bob"))
	ann.subscribe("a")
	bob.subscribe("a")
	requirePresence(t, hub, "a", "ann", "bob")
	require.Equal(t, "join", bob.told("a", "bob"))
	ann.unsubscribe("a")
	require.Equal(t, "leave", bob.told("a", "ann"))
	stats, err := hub.PresenceStats(t.Context(), "a")
	require.NoError(t, err)
	require.Equal(t, realtime.PresenceStats{Clients: 1, Users: 1}, stats)
	page, err := hub.Channels(t.Context(), realtime.ChannelQuery{})
	require.NoError(t, err)
	require.Equal(t, realtime.ChannelPage{Channels: []realtime.ChannelInfo{{Channel: "a", Clients: 1}}}, page)
	require.NoError(t, hub.Unsubscribe(t.Context(), realtime.Target{User: "bob"}, "a"))
	requirePresence(t, hub, "a")
	require.NoError(t, hub.Disconnect(t.Context(), realtime.Target{User: "bob"}, realtime.DisconnectOptions{}))
	require.Equal(t, uint32(3503), bob.ending().code)
}
