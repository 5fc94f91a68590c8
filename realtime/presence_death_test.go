package realtime_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/testdb"
	"github.com/millrace-dev/millrace/realtime"
)

// The members of a node that is gone without a goodbye leave once, whoever finds it, and those of one that was only
// stalled come back.
func TestPresenceOfANodeThatStalls(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	dead := startSeverable(t, db, db, "dead", withPresence())
	one, two := startSeverable(t, db, db, "one", withPresence()), startSeverable(t, db, db, "two", withPresence())
	near, far := connected(t, one.Hub, grants("near")), connected(t, two.Hub, grants("far"))
	near.subscribe("a")
	far.subscribe("a")
	ann := connected(t, dead.Hub, grants("ann"))
	ann.subscribe("a")
	ann.subscribe("quiet:a")
	requirePresence(t, one.Hub, "quiet:a", "ann")

	dead.gate.shut()
	requirePresence(t, one.Hub, "a", "far", "near")
	requirePresence(t, one.Hub, "quiet:a")
	connected(t, dead.Hub, grants("bob")).subscribe("quiet:b") // served, if not seen
	requirePresence(t, two.Hub, "quiet:b")

	dead.gate.open()
	requirePresence(t, two.Hub, "a", "ann", "far", "near")
	requirePresence(t, two.Hub, "quiet:a", "ann")
	requirePresence(t, two.Hub, "quiet:b", "bob")
	ann.unsubscribe("a")
	for _, p := range []*peer{near, far} {
		for _, kind := range []string{"join", "leave", "join", "leave"} {
			require.Equal(t, kind, p.told("a", "ann"))
		}
		require.Empty(t, p.heard("a"))
	}
}

// A crash of Postgres empties unlogged tables: the nodes write their members again, and nobody is told of members
// who were there all the time.
func TestPresenceAfterACrashOfPostgres(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	one, two := startSeverable(t, db, db, "one", withPresence()), startSeverable(t, db, db, "two", withPresence())
	ann, bob := connected(t, one.Hub, grants("ann")), connected(t, two.Hub, grants("bob"))
	bob.subscribe("a")
	for range 3 {
		ann.subscribe("a")
		require.Equal(t, "join", bob.told("a", "ann"))
		_, err := db.Pool.Exec(t.Context(), "truncate millrace.presence, millrace.hub, millrace.control_answer")
		require.NoError(t, err)
		// Who leaves before the node has seen it is told of too.
		leaves := connected(t, one.Hub, grants("leaves"))
		ann.unsubscribe("a")
		require.Equal(t, "leave", bob.told("a", "ann"))
		leaves.session.Close()
		requirePresence(t, one.Hub, "a", "bob")
	}
	require.Empty(t, bob.heard("a"))
}

// A hub that is started anew under the same name is another one: what the old one left ends with its lease.
func TestPresenceOfARestartedNode(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	old, other := startSeverable(t, db, db, "same", withPresence()), startSeverable(t, db, db, "other", withPresence())
	connected(t, old.Hub, grants("ann")).subscribe("a")
	requirePresence(t, other.Hub, "a", "ann")
	old.gate.shut()
	anew := startSeverable(t, db, db, "same", withPresence())
	connected(t, anew.Hub, grants("bob")).subscribe("a")
	requirePresence(t, other.Hub, "a", "bob")
}

// Subscriptions do not fail while the database is away: who came meanwhile is seen when it is back.
func TestPresenceWithoutTheDatabase(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	hub, other := startSeverable(t, db, db, "one", withPresence()), startSeverable(t, db, db, "two", withPresence())
	stays, goes := connected(t, hub.Hub, grants("stays")), connected(t, hub.Hub, grants("goes"))
	hub.gate.shut()
	stays.subscribe("quiet:a")
	goes.subscribe("quiet:a")
	goes.unsubscribe("quiet:a")
	hub.gate.open()
	requirePresence(t, other.Hub, "quiet:a", "stays")
}

// A hub that stops says goodbye for its members: nobody waits for its lease.
func TestPresenceOfAStoppedNode(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	other := startHubOn(t, db, "other", withPresence())
	watcher := connected(t, other, grants("watcher"))
	watcher.subscribe("a")
	hub := startHubOn(t, db, "one", withPresence())
	for range 20 {
		connected(t, hub, grants("ann")).subscribe("a")
	}
	require.NoError(t, hub.Stop(t.Context()))
	stats, err := other.PresenceStats(t.Context(), "a")
	require.NoError(t, err)
	require.Equal(t, realtime.PresenceStats{Clients: 1, Users: 1}, stats)
	left := 0
	for left < 20 {
		if watcher.told("a", "ann") == "leave" {
			left++
		}
	}
	var hubs int
	require.NoError(t, db.Pool.QueryRow(t.Context(), "select count(*) from millrace.hub").Scan(&hubs))
	require.Equal(t, 1, hubs)
}

// The times that hubs have in earnest keep the promise, also where the only one that is left has just started.
func TestDeadMembersAreGoneInTime(t *testing.T) {
	t.Parallel()
	every, lasts := realtime.LeaseTimes()
	require.Less(t, 2*lasts+every, 15*time.Second)
	require.GreaterOrEqual(t, lasts, 3*every, "one lost heartbeat kills nobody")
}
