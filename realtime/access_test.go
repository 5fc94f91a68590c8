package realtime_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/realtime"
)

func TestRules(t *testing.T) {
	t.Parallel()
	every := func(rule realtime.Rule) func(*realtime.Namespace) {
		return func(n *realtime.Namespace) {
			n.Presence = true
			n.Subscribe, n.Publish, n.PresenceRule, n.HistoryRule = rule, rule, rule, rule
		}
	}
	hub := startHub(t, realtime.Config{Namespaces: append(realtime.DefaultNamespaces(),
		settings("keys", every(realtime.RuleKey)), settings("users", every(realtime.RuleUser)), settings("all", every(realtime.RuleAnyone)),
		settings("shown", func(n *realtime.Namespace) {
			n.Presence, n.PresenceRule, n.HistoryRule = true, realtime.RuleAnyone, realtime.RuleUser
		}),
	)})
	require.True(t, hub.AdmitsAnonymous())
	commands := map[string]string{"subscribe": `{"channel":%q}`, "publish": `{"channel":%q,"data":1}`, "presence": `{"channel":%q}`, "history": `{"channel":%q,"limit":1}`}
	key := &realtime.Credentials{Key: "k", May: func(_ realtime.Action, channel string) bool { return channel == "keys:a" || channel == "shown:a" }}
	for _, c := range []struct {
		who     string
		as      *realtime.Credentials
		channel string
		may     bool
	}{
		{"anonymous", &realtime.Credentials{}, "keys:a", false},
		{"anonymous", &realtime.Credentials{}, "users:a", false},
		{"anonymous", &realtime.Credentials{}, "all:a", true},
		{"anonymous", &realtime.Credentials{}, "shown:a", false}, // may not subscribe, so is shown nothing
		{"a user", &realtime.Credentials{User: "ann"}, "keys:a", false},
		{"a user", &realtime.Credentials{User: "ann"}, "users:a", true},
		{"a user", &realtime.Credentials{User: "ann"}, "all:a", true},
		{"a user", &realtime.Credentials{User: "ann"}, "shown:a", false},
		{"a user", &realtime.Credentials{User: "ann"}, "user:bob", false},
		{"a key", key, "keys:a", true},
		{"a key", key, "keys:b", false},
		{"a key", key, "users:a", false}, // it is no user
		{"a key", key, "all:a", true},
		{"a key", key, "shown:a", true},
	} {
		p := connected(t, hub, c.as)
		for command, parameters := range commands {
			reply := p.ask(command, fmt.Sprintf(parameters, c.channel))
			if c.may {
				require.Nil(t, reply.at("error"), "%s, %s %s: %v", c.who, command, c.channel, reply)
			} else {
				require.InEpsilon(t, 103, reply.at("error", "code"), 0, "%s, %s %s: %v", c.who, command, c.channel, reply)
			}
		}
		p.session.Close()
	}
	own := connected(t, hub, &realtime.Credentials{User: "ann"})
	require.NotNil(t, own.ask("history", `{"channel":"user:ann","limit":1}`).at("history"))
}

// Without a token nobody comes in, unless some namespace is open to anyone.
func TestAnonymousConnections(t *testing.T) {
	t.Parallel()
	hub := startHub(t, realtime.Config{})
	require.False(t, hub.AdmitsAnonymous())
	refused := open(t, hub, nil)
	refused.send("connect", 1, `{}`)
	require.Equal(t, uint32(3500), refused.ending().code)

	require.NoError(t, hub.PutNamespace(t.Context(), settings("all", func(n *realtime.Namespace) { n.Subscribe = realtime.RuleAnyone })))
	require.True(t, hub.AdmitsAnonymous())
	p := connected(t, hub, nil)
	require.NotNil(t, p.ask("subscribe", `{"channel":"all:a"}`).at("subscribe"))
	require.InEpsilon(t, 107, p.ask("subscribe", `{"channel":"user:"}`).at("error", "code"), 0)
	require.InEpsilon(t, 103, p.ask("publish", `{"channel":"all:a","data":1}`).at("error", "code"), 0)
	bad := open(t, hub, nil)
	bad.send("connect", 1, `{"token":"bad"}`)
	require.Equal(t, uint32(3500), bad.ending().code, "a bad token is not taken for none")
}

// Who was let in just before the last rule for anyone went is sent away, and not only those who were there.
func TestAnonymousConnectionThatComesLate(t *testing.T) {
	t.Parallel()
	hub := startHub(t, realtime.Config{})
	late := open(t, hub, &realtime.Credentials{}) // as its door admitted it
	late.send("connect", 1, `{}`)
	require.Equal(t, uint32(3500), late.ending().code)
}

// tokens is an AuthorizeSubscription: "user/channel/seconds[/key]".
func tokens(_ context.Context, token, channel string, c realtime.Credentials) (realtime.SubscriptionGrant, error) {
	var user, of string
	var life float64
	if token == "outage" {
		return realtime.SubscriptionGrant{}, errors.New("database is gone: postgres://secret")
	}
	if _, err := fmt.Sscanf(token, "%s %s %g", &user, &of, &life); err != nil || user != c.User || of != channel {
		return realtime.SubscriptionGrant{}, fmt.Errorf("token: %w", realtime.ErrUnauthenticated)
	}
	return realtime.SubscriptionGrant{
		Key: "sub-key", Info: []byte(`{"role":"host"}`), ExpiresAt: time.Now().Add(time.Duration(life * float64(time.Second))),
	}, nil
}

func TestSubscriptionTokens(t *testing.T) {
	t.Parallel()
	hub := startHub(t, realtime.Config{
		AuthorizeSubscription: tokens,
		Namespaces: append(realtime.DefaultNamespaces(), settings("room", func(n *realtime.Namespace) {
			n.Presence, n.PresenceRule = true, realtime.RuleUser
		})),
	})
	ann := connected(t, hub, &realtime.Credentials{User: "ann", Info: []byte(`{"name":"Ann"}`)})
	for token, code := range map[string]float64{
		"":               103,
		"nonsense":       103,
		"bob room:a 60":  103,
		"ann room:b 60":  103,
		"ann room:a -60": 109, // the client asks for another one and tries again
		"outage":         100,
	} {
		reply := ann.ask("subscribe", fmt.Sprintf(`{"channel":"room:a","token":%q}`, token))
		require.InEpsilon(t, code, reply.at("error", "code"), 0, "%q: %v", token, reply)
		require.NotContains(t, fmt.Sprint(reply), "secret")
	}
	reply := ann.ask("subscribe", `{"channel":"room:a","token":"ann room:a 60"}`)
	require.Equal(t, true, reply.at("subscribe", "expires"), reply)
	require.NotNil(t, ann.ask("history", `{"channel":"room:a","limit":1}`).at("history"), "it opens the history too")
	members, _ := ann.ask("presence", `{"channel":"room:a"}`).at("presence", "presence").(map[string]any)
	require.Len(t, members, 1, "and what is open to those who may subscribe")
	for _, member := range members {
		info := message(member.(map[string]any))
		require.Equal(t, map[string]any{"name": "Ann"}, info.at("conn_info"))
		require.Equal(t, map[string]any{"role": "host"}, info.at("chan_info"))
	}
	require.InEpsilon(t, 103, ann.ask("publish", `{"channel":"room:a","data":1}`).at("error", "code"), 0)

	require.Equal(t, true, ann.ask("sub_refresh", `{"channel":"room:a","token":"ann room:a 60"}`).at("sub_refresh", "expires"))
	require.InEpsilon(t, 103, ann.ask("sub_refresh", `{"channel":"room:a","token":"bob room:a 60"}`).at("error", "code"), 0)
	publish(t, hub, "room:a", `1`)
	_, data := ann.publication()
	require.InEpsilon(t, 1, data, 0)

	ann.ask("unsubscribe", `{"channel":"room:a"}`)
	require.InEpsilon(t, 103, ann.ask("subscribe", `{"channel":"room:a"}`).at("error", "code"), 0, "a token is for one subscription")
	require.InEpsilon(t, 103, ann.ask("history", `{"channel":"room:a","limit":1}`).at("error", "code"), 0)
}

// A subscription whose token runs out ends, unless another one comes in time; the connection goes on.
func TestSubscriptionTokenRunsOut(t *testing.T) {
	t.Parallel()
	hub := startHub(t, realtime.Config{AuthorizeSubscription: tokens})
	p := connected(t, hub, &realtime.Credentials{User: "ann"})
	require.NotNil(t, p.ask("subscribe", `{"channel":"room:a","token":"ann room:a 1.5"}`).at("subscribe"))
	require.NotNil(t, p.ask("subscribe", `{"channel":"room:b","token":"ann room:b 60"}`).at("subscribe"))
	m := p.next()
	require.Equal(t, "room:a", m.at("push", "channel"), m)
	require.InEpsilon(t, 2501, m.at("push", "unsubscribe", "code"), 0)
	publish(t, hub, "room:b", `1`)
	_, data := p.publication()
	require.InEpsilon(t, 1, data, 0)
}

// What opened a channel to somebody is revoked like the key that connected them.
func TestSubscriptionTokensKeyIsRevoked(t *testing.T) {
	t.Parallel()
	hub := startHub(t, realtime.Config{AuthorizeSubscription: tokens})
	holder, other := connected(t, hub, &realtime.Credentials{User: "ann"}), connected(t, hub, &realtime.Credentials{User: "ann"})
	require.NotNil(t, holder.ask("subscribe", `{"channel":"room:a","token":"ann room:a 60"}`).at("subscribe"))
	hub.DisconnectWhere(func(c realtime.Credentials) bool { return c.Key == "sub-key" })
	require.Equal(t, uint32(3503), holder.ending().code)
	require.NotNil(t, other.ask("subscribe", `{"channel":"user:ann"}`).at("subscribe"))
}

// A refreshed token does not take away what a subscription's own token opened.
func TestRefreshKeepsSubscriptionTokens(t *testing.T) {
	t.Parallel()
	hub := startHub(t, realtime.Config{
		AuthorizeSubscription: tokens,
		Authenticate: func(context.Context, string) (realtime.Credentials, error) {
			return realtime.Credentials{User: "ann", ExpiresAt: time.Now().Add(time.Minute)}, nil
		},
	})
	p := open(t, hub, nil)
	p.ask("connect", `{"token":"x"}`)
	require.NotNil(t, p.ask("subscribe", `{"channel":"room:a","token":"ann room:a 60"}`).at("subscribe"))
	require.NotNil(t, p.ask("refresh", `{"token":"x"}`).at("refresh"))
	publish(t, hub, "room:a", `1`)
	_, data := p.publication()
	require.InEpsilon(t, 1, data, 0)
}

func TestClientLimits(t *testing.T) {
	t.Parallel()
	hub := startHub(t, realtime.Config{
		PublishRate: 1, CommandRate: 10, ChannelLimit: 5, ConnectionsPerUser: 2,
		Namespaces: []realtime.Namespace{settings("", nil), settings("fast", func(n *realtime.Namespace) { n.PublishRate = 50 })},
	})
	t.Run("publishes", func(t *testing.T) {
		t.Parallel()
		p := connected(t, hub, grants("ann"))
		refused := 0
		for range 20 {
			reply := p.ask("publish", `{"channel":"a","data":1}`)
			if reply.at("error") != nil {
				require.InEpsilon(t, 111, reply.at("error", "code"), 0, reply)
				refused++
				break
			}
		}
		require.Positive(t, refused)
		for range 20 {
			require.NotNil(t, p.ask("publish", `{"channel":"fast:a","data":1}`).at("publish"), "each namespace has its own rate")
		}
	})
	t.Run("publishes without end", func(t *testing.T) {
		t.Parallel()
		p := connected(t, hub, grants("eve"))
		for n := range 1000 {
			if !p.send("publish", 100+n, `{"channel":"a","data":1}`) {
				break
			}
		}
		require.Equal(t, uint32(3013), p.ending().code)
	})
	t.Run("publishes that have to wait", func(t *testing.T) {
		t.Parallel()
		slow := slowTokens{make(chan struct{}), make(chan struct{})}
		busy := startHub(t, realtime.Config{AuthorizeSubscription: slow.authorize, CommandRate: 10, ChannelLimit: 5})
		p := connected(t, busy, grants("fay"))
		p.send("subscribe", 50, `{"channel":"a","token":"x"}`)
		<-slow.entered
		slow.release <- struct{}{}
		for p.next().at("subscribe") == nil {
		}
		p.send("sub_refresh", 51, `{"channel":"a","token":"x"}`)
		<-slow.entered
		defer close(slow.release)
		for n := range 1000 {
			if !p.send("publish", 100+n, `{"channel":"a","data":1}`) {
				break
			}
		}
		require.Equal(t, uint32(3013), p.ending().code)
	})
	t.Run("commands", func(t *testing.T) {
		t.Parallel()
		p := connected(t, hub, grants("bob"))
		for n := range 1000 {
			if !p.send("unsubscribe", 100+n, `{"channel":"a"}`) {
				break
			}
		}
		require.Equal(t, uint32(3013), p.ending().code)
	})
	t.Run("channels", func(t *testing.T) {
		t.Parallel()
		p := connected(t, hub, grants("cat"))
		for n := range 5 {
			require.NotNil(t, p.ask("subscribe", fmt.Sprintf(`{"channel":"c%d"}`, n)).at("subscribe"))
		}
		require.InEpsilon(t, 106, p.ask("subscribe", `{"channel":"c5"}`).at("error", "code"), 0)
	})
	t.Run("connections of a user", func(t *testing.T) {
		t.Parallel()
		first := connected(t, hub, grants("dan"))
		connected(t, hub, grants("dan"))
		third := open(t, hub, grants("dan"))
		third.send("connect", 1, `{}`)
		require.Equal(t, uint32(3504), third.ending().code)
		for range 3 {
			connected(t, hub, &realtime.Credentials{Key: "k"})
		}
		first.session.Close()
		require.Eventually(t, func() bool {
			p := open(t, hub, grants("dan"))
			defer p.session.Close()
			p.send("connect", 1, `{}`)
			select {
			case <-p.closed:
				return false
			case m := <-p.frames:
				return m.at("connect") != nil
			}
		}, patience, 10*time.Millisecond)
	})
}
