package realtime_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/testdb"
	"github.com/millrace-dev/millrace/realtime"
)

// churn is a crowd that comes and goes, and what is true of it.
type churn struct {
	t        *testing.T
	db       *testdb.DB
	hubs     []*severable
	channels []string
	crowd    []*visitor
	serial   int
	random   *rand.Rand
}

type visitor struct {
	*peer

	user string // of this connection alone
	at   *severable
	in   []string
}

// truth are the users that are in a channel.
func (c *churn) truth(channel string) []string {
	users := []string{}
	for _, v := range c.crowd {
		if slices.Contains(v.in, channel) {
			users = append(users, v.user)
		}
	}
	slices.Sort(users)
	return users
}

func (c *churn) arrive() *visitor {
	c.serial++
	v := &visitor{user: fmt.Sprint("visitor", c.serial), at: c.hubs[c.random.IntN(len(c.hubs))]}
	v.peer = connected(c.t, v.at.Hub, grants(v.user))
	c.crowd = append(c.crowd, v)
	return v
}

func (c *churn) step() {
	const full = 12
	if len(c.crowd) < full && c.random.IntN(3) == 0 {
		c.arrive()
	}
	if len(c.crowd) == 0 {
		return
	}
	n := c.random.IntN(len(c.crowd))
	v, channel := c.crowd[n], c.channels[c.random.IntN(len(c.channels))]
	switch c.random.IntN(10) {
	case 0: // the socket is gone
		v.session.Close()
		c.crowd = slices.Delete(c.crowd, n, n+1)
	case 1: // sent away while a subscription is on its way
		v.send("subscribe", 10_000+c.serial, `{"channel":"`+channel+`"}`)
		require.NoError(c.t, c.hubs[0].Disconnect(c.t.Context(), realtime.Target{User: v.user}, realtime.DisconnectOptions{}))
		c.crowd = slices.Delete(c.crowd, n, n+1)
	case 2: // there and away again before anything can be written
		if !slices.Contains(v.in, channel) {
			v.send("subscribe", 20_000+c.serial, `{"channel":"`+channel+`"}`)
			v.send("unsubscribe", 30_000+c.serial, `{"channel":"`+channel+`"}`)
			v.ask("publish", `{"channel":"rest","data":1}`)
		}
	default:
		if at := slices.Index(v.in, channel); at >= 0 {
			v.unsubscribe(channel)
			v.in = slices.Delete(v.in, at, at+1)
		} else {
			v.subscribe(channel)
			v.in = append(v.in, channel)
		}
	}
}

// observer follows who is there by what it is told.
type observer struct {
	*peer

	there map[string]bool
}

// follow takes in what was pushed, and reports whether the observer believes the truth.
func (o *observer) follow(c *churn) bool {
	for _, channel := range c.channels {
		if strings.HasPrefix(channel, "quiet:") {
			continue
		}
		var got []string
		for key := range o.there {
			if user, found := strings.CutPrefix(key, channel+" "); found && strings.HasPrefix(user, "visitor") {
				got = append(got, user)
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, c.truth(channel)) {
			return false
		}
	}
	return true
}

func (o *observer) take() {
	for {
		select {
		case m := <-o.frames:
			for _, kind := range []string{"join", "leave"} {
				user, is := m.at("push", kind, "info", "user").(string)
				if !is {
					continue
				}
				key := fmt.Sprint(m.at("push", "channel"), " ", user)
				require.NotEqual(o.t, kind == "join", o.there[key], "told twice: %s %s", kind, key)
				if kind == "join" {
					o.there[key] = true
				} else {
					delete(o.there, key)
				}
			}
		default:
			return
		}
	}
}

// Whatever comes and goes, and whatever happens to a node and to the tables meanwhile: at rest all nodes show who is
// there, and whoever believed what it was told knows it too.
func TestPresenceIsTheTruthAtRest(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	seed := uint64(time.Now().UnixNano())
	t.Log("seed", seed)
	c := &churn{t: t, db: db, channels: []string{"a", "b", "quiet:a", "told:a"}, random: rand.New(rand.NewPCG(seed, 1))}
	for n := range 3 {
		c.hubs = append(c.hubs, startSeverable(t, db, db, fmt.Sprint("node", n), withPresence()))
	}
	var observers []*observer
	for n, hub := range c.hubs[:2] {
		o := &observer{connected(t, hub.Hub, grants(fmt.Sprint("observer", n))), map[string]bool{}}
		for _, channel := range []string{"a", "b", "told:a"} {
			o.subscribe(channel)
		}
		observers = append(observers, o)
	}
	const rounds, steps = 4, 80
	for round := range rounds {
		for range steps {
			c.step()
		}
		switch round % 4 {
		case 0: // the tables are lost
			_, err := db.Pool.Exec(t.Context(), "truncate millrace.presence, millrace.hub")
			require.NoError(t, err)
		case 1: // a node is stalled for so long that it is taken for gone
			c.hubs[2].gate.shut()
			requireExpired(t, c)
		case 2: // it is stalled for a moment
			c.hubs[2].gate.shut()
		}
		for range steps / 4 {
			c.step()
		}
		c.hubs[2].gate.open()
		c.settle(observers)
	}
}

// requireExpired waits until the third hub's members are gone from the table.
func requireExpired(t *testing.T, c *churn) {
	t.Helper()
	require.Eventually(t, func() bool {
		var left int
		require.NoError(t, c.db.Pool.QueryRow(t.Context(), `select count(*) from millrace.presence p
			join millrace.hub h on h.id = p.hub where h.node = 'node2'`).Scan(&left))
		return left == 0
	}, patience, 10*time.Millisecond)
}

func (c *churn) settle(observers []*observer) {
	c.t.Helper()
	for _, hub := range c.hubs {
		for _, channel := range c.channels {
			if channel == "told:a" { // told of, not shown
				continue
			}
			users := c.truth(channel)
			if channel != "quiet:a" {
				users = append(users, "observer0", "observer1")
			}
			requirePresence(c.t, hub.Hub, channel, users...)
		}
	}
	for _, o := range observers {
		require.Eventually(c.t, func() bool {
			o.take()
			return o.follow(c)
		}, patience, 10*time.Millisecond)
	}
}
