package realtime_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/testdb"
	"github.com/millrace-dev/millrace/realtime"
)

// withPresence is a default namespace whose channels keep presence and tell of it.
func withPresence() realtime.Config {
	return realtime.Config{Namespaces: []realtime.Namespace{
		{Name: "", Ephemeral: true, Presence: true, JoinLeave: true},
		{Name: "quiet", Ephemeral: true, Presence: true},
		{Name: "told", Ephemeral: true, JoinLeave: true},
		{Name: "none", Ephemeral: true},
		{Name: "kept", HistorySize: 10, HistoryTTL: time.Minute, Presence: true},
	}}
}

func TestPresence(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	here, there := startHubOn(t, db, "here", withPresence()), startHubOn(t, db, "there", withPresence())
	ann, bob := connected(t, here, grants("ann")), connected(t, there, grants("bob"))
	require.NotNil(t, ann.ask("subscribe", `{"channel":"a","join_leave":true}`).at("subscribe"))
	require.NotNil(t, bob.ask("subscribe", `{"channel":"a"}`).at("subscribe"))
	for _, hub := range []*realtime.Hub{here, there} {
		members, err := hub.Presence(t.Context(), "a")
		require.NoError(t, err)
		require.Len(t, members, 2)
	}
	reply := ann.ask("presence", `{"channel":"a"}`)
	require.Len(t, reply.at("presence", "presence"), 2, reply)
	reply = ann.ask("presence_stats", `{"channel":"a"}`)
	require.InEpsilon(t, 2, reply.at("presence_stats", "num_clients"), 0, reply)
}
