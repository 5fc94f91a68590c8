package realtime_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	fdelta "github.com/shadowspore/fossil-delta"
	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/testdb"
	"github.com/millrace-dev/millrace/realtime"
)

// recoverable are the namespaces of the suite.
func recoverable() []realtime.Namespace {
	return []realtime.Namespace{
		{Name: "", HistorySize: 5, HistoryTTL: time.Hour},
		{Name: "brief", HistorySize: 100, HistoryTTL: time.Second},
		{Name: "cache", HistorySize: 5, HistoryTTL: time.Hour, CacheRecovery: true},
		{Name: "delta", HistorySize: 100, HistoryTTL: time.Hour, Delta: true},
	}
}

// TestRecoveryConformance drops and returns with a client of the official
// protocol, on centrifuge's broker in memory and on two instances of ours.
func TestRecoveryConformance(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(*testing.T) (here, there *realtime.Hub){
		"memory": func(t *testing.T) (here, there *realtime.Hub) {
			hub, err := realtime.NewInMemory(realtime.Config{Namespaces: recoverable(), Logger: quiet})
			require.NoError(t, err)
			require.NoError(t, hub.Start(t.Context()))
			t.Cleanup(func() { require.NoError(t, hub.Stop(context.Background())) })
			return hub, hub
		},
		"postgres": func(t *testing.T) (here, there *realtime.Hub) {
			db, config := testdb.New(t), realtime.Config{Namespaces: recoverable()}
			return startHubOn(t, db, "here", config), startHubOn(t, db, "there", config)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			here, there := start(t)
			t.Run("stream", func(t *testing.T) { conformRecovery(t, here, there) })
			t.Run("expired", func(t *testing.T) { conformExpired(t, here, there) })
			t.Run("cache", func(t *testing.T) { conformCache(t, here, there) })
			t.Run("delta", func(t *testing.T) { conformDeltaClient(t, here, there) })
		})
	}
}

// comeBack subscribes from a position and returns the reply and the data recovered.
func comeBack(t *testing.T, hub *realtime.Hub, channel string, at realtime.Position) (reply message, data []any) {
	t.Helper()
	p := connected(t, hub, grants("ann"))
	reply = p.ask("subscribe", fmt.Sprintf(`{"channel":%q,"recover":true,"offset":%d,"epoch":%q}`, channel, at.Offset, at.Epoch))
	list, _ := reply.at("subscribe", "publications").([]any)
	for _, one := range list {
		data = append(data, message(one.(map[string]any)).at("data"))
	}
	return reply, data
}

func conformRecovery(t *testing.T, here, there *realtime.Hub) {
	first := publish(t, here, "a", "1")
	for n := 2; n <= 8; n++ {
		publish(t, here, "a", fmt.Sprint(n))
	}
	at := func(offset uint64) realtime.Position { return realtime.Position{Offset: offset, Epoch: first.Epoch} }
	for name, c := range map[string]struct {
		from      realtime.Position
		recovered any
		data      []any
	}{
		"empty":          {at(8), true, nil},
		"partial":        {at(6), true, []any{7.0, 8.0}},
		"all that is":    {at(3), true, []any{4.0, 5.0, 6.0, 7.0, 8.0}},
		"trimmed":        {at(2), nil, nil},
		"wrong epoch":    {realtime.Position{Offset: 6, Epoch: "other"}, nil, nil},
		"ahead":          {at(9), nil, nil},
		"an empty start": {at(0), nil, nil},
	} {
		reply, data := comeBack(t, there, "a", c.from)
		require.Equal(t, c.recovered, reply.at("subscribe", "recovered"), "%s: %v", name, reply)
		require.Equal(t, true, reply.at("subscribe", "was_recovering"), name)
		require.Equal(t, c.data, data, name)
		require.Equal(t, first.Epoch, reply.at("subscribe", "epoch"), name)
		if c.recovered == nil {
			require.InEpsilon(t, 8, reply.at("subscribe", "offset"), 0, "it goes on from the top")
		}
	}
}

func conformExpired(t *testing.T, here, there *realtime.Hub) {
	first := publish(t, here, "brief:a", "1")
	publish(t, here, "brief:a", "2")
	require.Eventually(t, func() bool {
		page, err := there.History(t.Context(), "brief:a", realtime.HistoryQuery{Limit: 10})
		return err == nil && len(page.Publications) == 0
	}, patience, 20*time.Millisecond)
	reply, data := comeBack(t, there, "brief:a", first)
	require.Nil(t, reply.at("subscribe", "recovered"), reply)
	require.Empty(t, data)
	reply, _ = comeBack(t, there, "brief:a", realtime.Position{Offset: 2, Epoch: first.Epoch})
	require.Equal(t, true, reply.at("subscribe", "recovered"), "it has missed nothing")
}

// Who returns to a cache gets the last publication alone, whatever was missed.
func conformCache(t *testing.T, here, there *realtime.Hub) {
	var at realtime.Position
	for n := 1; n <= 9; n++ {
		at = publish(t, here, "cache:a", fmt.Sprint(n))
	}
	for _, from := range []realtime.Position{{}, {Offset: 1, Epoch: at.Epoch}, {Offset: 5, Epoch: "other"}} {
		reply, data := comeBack(t, there, "cache:a", from)
		require.Equal(t, true, reply.at("subscribe", "recovered"), reply)
		require.Equal(t, []any{9.0}, data)
	}
	reply, data := comeBack(t, there, "cache:a", at)
	require.Equal(t, true, reply.at("subscribe", "recovered"), reply)
	require.Empty(t, data, "it has the last one")
}

// document is a state of which each publication changes a little.
func document(n int) string {
	return fmt.Sprintf(`{"text":%q,"n":%d}`, strings.Repeat("the same in each ", 40), n)
}

// deltaClient decodes as the SDKs do: JSON clients that negotiated deltas get
// strings, which are the data or a difference from the last.
type deltaClient struct {
	*peer

	last   string
	deltas int
}

func (c *deltaClient) apply(t *testing.T, publication any) string {
	t.Helper()
	m := message(publication.(map[string]any))
	data, isString := m.at("data").(string)
	require.True(t, isString, m)
	if m.at("delta") == true {
		whole, err := fdelta.Apply([]byte(c.last), []byte(data))
		require.NoError(t, err)
		data = string(whole)
		c.deltas++
	}
	c.last = data
	return data
}

// expect reads the next pushes.
func (c *deltaClient) expect(t *testing.T, from, to int) {
	t.Helper()
	for n := from; n <= to; {
		if pub := c.next().at("push", "pub"); pub != nil {
			require.Equal(t, document(n), c.apply(t, pub))
			n++
		}
	}
}

func conformDeltaClient(t *testing.T, here, there *realtime.Hub) {
	const channel = "delta:a"
	send := func(n int) realtime.Position {
		r, err := here.Publish(t.Context(), channel, []byte(document(n)), realtime.PublishOptions{Delta: n%5 != 0})
		require.NoError(t, err)
		return r.Position
	}
	c := &deltaClient{peer: connected(t, there, grants("ann"))}
	require.Equal(t, true, c.ask("subscribe", `{"channel":"delta:a","delta":"fossil"}`).at("subscribe", "delta"))
	var at realtime.Position
	for n := 1; n <= 20; n++ {
		at = send(n)
	}
	c.expect(t, 1, 20)
	require.Equal(t, 15, c.deltas, "the first has none before it, and each fifth does not ask for it")

	// A witness: once it has heard of them, the instance knows that there is something to recover. Before, they would
	// come as pushes.
	witness := openStream(t, there, named(channel))
	read(t, witness, 1)
	c.session.Close()
	for n := 21; n <= 24; n++ {
		send(n)
	}
	read(t, witness, 4)
	c.peer = connected(t, there, grants("ann"))
	reply := c.ask("subscribe", fmt.Sprintf(`{"channel":"delta:a","delta":"fossil","recover":true,"offset":%d,"epoch":%q}`, at.Offset, at.Epoch))
	require.Equal(t, true, reply.at("subscribe", "recovered"), reply)
	missed, _ := reply.at("subscribe", "publications").([]any)
	require.Len(t, missed, 4)
	for i, publication := range missed {
		require.Equal(t, document(21+i), c.apply(t, publication))
	}
	require.Equal(t, document(24), c.last)
	for n := 25; n <= 30; n++ {
		send(n)
	}
	c.expect(t, 25, 30)

	// Who did not negotiate gets all of it.
	plain := connected(t, there, grants("bob"))
	plain.ask("subscribe", `{"channel":"delta:a"}`)
	send(31)
	_, data := plain.publication()
	require.InEpsilon(t, 31, data.(map[string]any)["n"], 0)
	c.expect(t, 31, 31)
}

// Deltas hold where notifications are lost and the tables are read instead.
func TestDeltasOverLostNotifications(t *testing.T) {
	t.Parallel()
	db, config := testdb.New(t), realtime.Config{Namespaces: recoverable()}
	here, there := startHubOn(t, db, "here", config), startHubOn(t, db, "there", config)
	c := &deltaClient{peer: connected(t, there, grants("ann"))}
	c.ask("subscribe", `{"channel":"delta:a","delta":"fossil"}`)
	const total = 120
	for n := 1; n <= total; n++ {
		_, err := here.Publish(t.Context(), "delta:a", []byte(document(n)), realtime.PublishOptions{Delta: true})
		require.NoError(t, err)
		if n%30 == 10 {
			_, err := db.Pool.Exec(t.Context(), `select pg_terminate_backend(pid) from pg_stat_activity
				where datname = current_database() and application_name like '%listen%'`)
			require.NoError(t, err)
		}
	}
	c.expect(t, 1, total)
	require.Equal(t, total-1, c.deltas)
}
