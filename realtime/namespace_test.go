package realtime_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/testdb"
	"github.com/millrace-dev/millrace/realtime"
)

// settings are a namespace that keeps a history.
func settings(name string, change func(*realtime.Namespace)) realtime.Namespace {
	n := realtime.Namespace{Name: name, HistorySize: 10, HistoryTTL: time.Minute}
	if change != nil {
		change(&n)
	}
	return n
}

func namespaceOf(t *testing.T, hub *realtime.Hub, name string) *realtime.StoredNamespace {
	t.Helper()
	list, err := hub.Namespaces(t.Context())
	require.NoError(t, err)
	for i := range list {
		if list[i].Name == name {
			return &list[i]
		}
	}
	return nil
}

func TestNamespacesAreStored(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	hub := startHubOn(t, db, "one", realtime.Config{})
	full := realtime.Namespace{
		Name: "room", HistorySize: 7, HistoryTTL: 90 * time.Second, MaxSize: 100, Personal: true, Binary: true,
		Subscribe: realtime.RuleAnyone, Publish: realtime.RuleUser, PresenceRule: realtime.RuleUser, HistoryRule: realtime.RuleKey,
		Presence: true, JoinLeave: true, Delta: true, CacheRecovery: true, Relaxed: true, PublishRate: 5,
	}
	require.NoError(t, hub.PutNamespace(t.Context(), full))
	stored := namespaceOf(t, hub, "room")
	require.Equal(t, full, stored.Namespace)
	require.False(t, stored.BuiltIn)
	require.False(t, stored.UpdatedAt.IsZero())
	require.Equal(t, full, namespaceOf(t, startHubOn(t, db, "two", realtime.Config{}), "room").Namespace, "read at start")

	full.MaxSize = 200 // the last writer wins, with all settings
	require.NoError(t, hub.PutNamespace(t.Context(), full))
	require.Equal(t, 200, namespaceOf(t, hub, "room").MaxSize)
	require.NoError(t, hub.DeleteNamespace(t.Context(), "room"))
	require.Nil(t, namespaceOf(t, hub, "room"))
	require.ErrorIs(t, hub.DeleteNamespace(t.Context(), "room"), realtime.ErrUnknownNamespace)

	require.True(t, namespaceOf(t, hub, "user").BuiltIn)
	require.ErrorIs(t, hub.PutNamespace(t.Context(), settings("user", nil)), realtime.ErrBuiltIn)
	require.ErrorIs(t, hub.DeleteNamespace(t.Context(), "user"), realtime.ErrBuiltIn)

	require.True(t, namespaceOf(t, hub, "").BuiltIn)
	require.NoError(t, hub.PutNamespace(t.Context(), settings("", nil)), "the default one may be changed")
	require.False(t, namespaceOf(t, hub, "").BuiltIn)
	require.Equal(t, 10, namespaceOf(t, hub, "").HistorySize)
	require.NoError(t, hub.DeleteNamespace(t.Context(), ""))
	require.True(t, namespaceOf(t, hub, "").BuiltIn, "and falls back to the configuration's")
}

func TestBadNamespaces(t *testing.T) {
	t.Parallel()
	hub := startHub(t, realtime.Config{})
	for field, change := range map[string]func(*realtime.Namespace){
		"name":          func(n *realtime.Namespace) { n.Name = "a:b" },
		"history_size":  func(n *realtime.Namespace) { n.HistorySize = realtime.MaxStoredHistory + 1 },
		"history_ttl":   func(n *realtime.Namespace) { n.HistoryTTL = realtime.MaxStoredTTL + time.Second },
		"max_size":      func(n *realtime.Namespace) { n.MaxSize = realtime.MaxStoredSize + 1 },
		"publish_rate":  func(n *realtime.Namespace) { n.PublishRate = -1 },
		"subscribe":     func(n *realtime.Namespace) { n.Subscribe = "everybody" },
		"publish":       func(n *realtime.Namespace) { n.Publish = "KEY" },
		"presence_rule": func(n *realtime.Namespace) { n.PresenceRule = realtime.RuleUser },
		"personal":      func(n *realtime.Namespace) { n.Name, n.Personal = "", true },
		"history_rule": func(n *realtime.Namespace) {
			n.Ephemeral, n.HistorySize, n.HistoryTTL, n.HistoryRule = true, 0, 0, realtime.RuleUser
		},
		"source": func(n *realtime.Namespace) { n.Source, n.HistorySize, n.HistoryTTL = &source{}, 0, 0 },
		"delta":  func(n *realtime.Namespace) { n.Ephemeral, n.HistorySize, n.HistoryTTL, n.Delta = true, 0, 0, true },
		"cache_recovery": func(n *realtime.Namespace) {
			n.Ephemeral, n.HistorySize, n.HistoryTTL, n.CacheRecovery = true, 0, 0, true
		},
		"relaxed": func(n *realtime.Namespace) { n.Ephemeral, n.HistorySize, n.HistoryTTL, n.Relaxed = true, 0, 0, true },
	} {
		var invalid *realtime.NamespaceError
		require.ErrorAs(t, hub.PutNamespace(t.Context(), settings("room", change)), &invalid, field)
		require.Len(t, invalid.Problems, 1, "%s: %v", field, invalid)
		require.Equal(t, field, invalid.Problems[0].Field)
		require.NotEmpty(t, invalid.Problems[0].Message)
	}
	require.Nil(t, namespaceOf(t, hub, "room"))
}

// Nobody publishes to views, and who watches them is not kept.
func TestBadViews(t *testing.T) {
	t.Parallel()
	for field, change := range map[string]func(*realtime.Namespace){
		"publish":    func(n *realtime.Namespace) { n.Publish = realtime.RuleUser },
		"ephemeral":  func(n *realtime.Namespace) { n.Ephemeral = true },
		"presence":   func(n *realtime.Namespace) { n.Presence = true },
		"join_leave": func(n *realtime.Namespace) { n.JoinLeave = true },
	} {
		view := realtime.Namespace{Name: "view", Source: &source{}}
		change(&view)
		var invalid *realtime.NamespaceError
		_, err := realtime.NewInMemory(realtime.Config{Namespaces: append(realtime.DefaultNamespaces(), view)})
		require.ErrorAs(t, err, &invalid, field)
		require.Len(t, invalid.Problems, 1)
		require.Equal(t, field, invalid.Problems[0].Field)
	}
}

// A change on one instance is in force on the others, and for millrace.publish.
func TestNamespacesAreLive(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	here, there := startHubOn(t, db, "one", realtime.Config{}), startHubOn(t, db, "two", realtime.Config{})
	big := []byte(`"1234567890"`)
	in := func(hub *realtime.Hub) error {
		_, err := hub.Publish(t.Context(), "room:a", big, realtime.PublishOptions{})
		return err
	}
	inSQL := func() error {
		_, err := db.Pool.Exec(t.Context(), "select millrace.publish('room:a', $1::bytea)", big)
		return err
	}
	small := settings("room", func(n *realtime.Namespace) { n.MaxSize = 5 })
	require.NoError(t, here.PutNamespace(t.Context(), small))
	require.ErrorIs(t, in(here), realtime.ErrTooLarge, "at once where it was changed")
	require.ErrorContains(t, inSQL(), "54000")
	require.Eventually(t, func() bool { return in(there) != nil }, patience, time.Millisecond)
	require.ErrorIs(t, in(there), realtime.ErrTooLarge)

	require.NoError(t, there.DeleteNamespace(t.Context(), "room"))
	require.NoError(t, in(there))
	require.NoError(t, inSQL())
	require.Eventually(t, func() bool { return in(here) == nil }, patience, time.Millisecond)

	// Of the default namespace the stored one counts, in SQL too.
	require.NoError(t, here.PutNamespace(t.Context(), settings("", func(n *realtime.Namespace) { n.MaxSize = 5 })))
	require.ErrorIs(t, in(here), realtime.ErrTooLarge)
	require.ErrorContains(t, inSQL(), "54000")
	require.NoError(t, here.DeleteNamespace(t.Context(), ""))
	require.NoError(t, inSQL())
}

// A row that came without a notice is found, and one that breaks the rules is left out.
func TestNamespacesArePolled(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	hub := startHubOn(t, db, "one", realtime.Config{})
	for name, ephemeral := range map[string]bool{"wrong": false, "right": true} {
		_, err := db.Pool.Exec(t.Context(), `insert into millrace.namespace
			select $1, false, false, 0, interval '0', $2, false, false, 5, 'key', 'key', 'key', 'key', false, false, false, false, false, 0`, name, ephemeral)
		require.NoError(t, err)
	}
	publish := func(channel string) error {
		_, err := hub.Publish(t.Context(), channel, []byte(`"123456"`), realtime.PublishOptions{})
		return err
	}
	require.Eventually(t, func() bool { return publish("right:a") != nil }, patience, 10*time.Millisecond)
	require.ErrorIs(t, publish("right:a"), realtime.ErrTooLarge)
	require.NoError(t, publish("wrong:a"), "it is of the default namespace")
}

// Whoever may no longer subscribe is unsubscribed, on every instance; the others stay.
func TestTightenedRuleUnsubscribes(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	here, there := startHubOn(t, db, "one", realtime.Config{}), startHubOn(t, db, "two", realtime.Config{})
	open := settings("room", func(n *realtime.Namespace) { n.Subscribe = realtime.RuleAnyone })
	require.NoError(t, here.PutNamespace(t.Context(), open))
	require.Eventually(t, there.AdmitsAnonymous, patience, time.Millisecond)

	stranger, user, granted := connected(t, there, &realtime.Credentials{}), connected(t, there, &realtime.Credentials{User: "ann"}), connected(t, there, grants("bob"))
	for _, p := range []*peer{stranger, user, granted} {
		require.NotNil(t, p.ask("subscribe", `{"channel":"room:a"}`).at("subscribe"))
	}
	require.NoError(t, here.PutNamespace(t.Context(), settings("room", nil)))
	require.InEpsilon(t, 2000, user.next().at("push", "unsubscribe", "code"), 0)
	require.Equal(t, uint32(3500), stranger.ending().code, "nothing is open to anybody any more")
	require.InEpsilon(t, 103, user.ask("subscribe", `{"channel":"room:a"}`).at("error", "code"), 0)
	publish(t, here, "room:a", `1`)
	_, data := granted.publication()
	require.InEpsilon(t, 1, data, 0)
}

// Whoever may no longer see who is there is no longer told who comes, either.
func TestTightenedPresenceRuleTellsNoMore(t *testing.T) {
	t.Parallel()
	hub := startHub(t, realtime.Config{})
	with := func(rule realtime.Rule) realtime.Namespace {
		return settings("room", func(n *realtime.Namespace) {
			n.Subscribe, n.Presence, n.JoinLeave, n.PresenceRule = realtime.RuleUser, true, true, rule
		})
	}
	require.NoError(t, hub.PutNamespace(t.Context(), with(realtime.RuleUser)))
	ann := connected(t, hub, &realtime.Credentials{User: "ann"})
	ann.subscribe("room:a")
	require.Equal(t, "join", ann.told("room:a", "ann"))
	require.NoError(t, hub.PutNamespace(t.Context(), with(realtime.RuleKey)))
	require.InEpsilon(t, 2500, ann.next().at("push", "unsubscribe", "code"), 0)
	ann.subscribe("room:a")
	bob := connected(t, hub, grants("bob"))
	bob.subscribe("room:a")
	require.Equal(t, "join", bob.told("room:a", "bob"))
	publish(t, hub, "room:a", `1`)
	ann.publication()
	require.Empty(t, ann.heard("room:a"))
}

// While there was no history, positions count for nothing: nobody is told that everything was recovered.
func TestHistoryTurnedOffAndOn(t *testing.T) {
	t.Parallel()
	hub := startHub(t, realtime.Config{})
	require.NoError(t, hub.PutNamespace(t.Context(), settings("room", nil)))
	before := publish(t, hub, "room:a", `1`)
	elsewhere := publish(t, hub, "other", `1`)
	p := connected(t, hub, grants("ann"))
	require.Equal(t, true, p.ask("subscribe", `{"channel":"room:a"}`).at("subscribe", "recoverable"))

	off := settings("room", func(n *realtime.Namespace) { n.Ephemeral, n.HistorySize, n.HistoryTTL = true, 0, 0 })
	require.NoError(t, hub.PutNamespace(t.Context(), off))
	require.InEpsilon(t, 2500, p.next().at("push", "unsubscribe", "code"), 0, "the client subscribes again")
	again := fmt.Sprintf(`{"channel":"room:a","recover":true,"offset":%d,"epoch":%q}`, before.Offset, before.Epoch)
	reply := p.ask("subscribe", again)
	require.NotNil(t, reply.at("subscribe"), reply)
	require.Nil(t, reply.at("subscribe", "recovered"))
	require.Nil(t, reply.at("subscribe", "recoverable"))
	require.Zero(t, publish(t, hub, "room:a", `2`))
	_, data := p.publication()
	require.InEpsilon(t, 2, data, 0)

	require.NoError(t, hub.PutNamespace(t.Context(), settings("room", nil)))
	require.InEpsilon(t, 2500, p.next().at("push", "unsubscribe", "code"), 0)
	reply = p.ask("subscribe", again)
	require.Nil(t, reply.at("subscribe", "recovered"), "2 was missed: %v", reply)
	require.Equal(t, true, reply.at("subscribe", "was_recovering"), reply)
	after := publish(t, hub, "room:a", `3`)
	require.NotEqual(t, before.Epoch, after.Epoch)
	_, data = p.publication()
	require.InEpsilon(t, 3, data, 0)
	page, err := hub.History(t.Context(), "room:a", realtime.HistoryQuery{Limit: 10})
	require.NoError(t, err)
	require.Len(t, page.Publications, 1, "the old epoch's are shown no more")
	require.Equal(t, elsewhere.Epoch, publish(t, hub, "other", `2`).Epoch, "other namespaces' positions hold")
}

// Settings that a subscription is made with are those that it has.
func TestPresenceTurnedOnSubscribesAnew(t *testing.T) {
	t.Parallel()
	hub := startHub(t, realtime.Config{})
	require.NoError(t, hub.PutNamespace(t.Context(), settings("room", nil)))
	p := connected(t, hub, grants("ann"))
	p.ask("subscribe", `{"channel":"room:a"}`)
	require.NoError(t, hub.PutNamespace(t.Context(), settings("room", func(n *realtime.Namespace) { n.Presence, n.MaxSize = true, 50 })))
	require.InEpsilon(t, 2500, p.next().at("push", "unsubscribe", "code"), 0)
	p.ask("subscribe", `{"channel":"room:a"}`)
	require.NotEmpty(t, p.ask("presence", `{"channel":"room:a"}`).at("presence", "presence"))
	require.NoError(t, hub.PutNamespace(t.Context(), settings("room", func(n *realtime.Namespace) { n.Presence, n.MaxSize = true, 60 })))
	publish(t, hub, "room:a", `1`)
	require.NotNil(t, p.next().at("push", "pub"), "a size is nothing to subscribe anew for")
}
