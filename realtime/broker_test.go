package realtime

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/centrifugal/centrifuge"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/testdb"
)

func TestBrokerOrderFromBothNodes(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	a, b := startBrokers(t, db)
	channels := []string{"room:1", "room:2", "lobby"}
	for _, c := range channels {
		require.NoError(t, a.Subscribe(c))
		require.NoError(t, b.Subscribe(c))
	}
	const publishers, each = 8, 40
	var wg sync.WaitGroup
	for p := range publishers {
		n := a
		if p%2 == 1 {
			n = b
		}
		wg.Go(func() {
			for i := range each {
				sp, _, err := n.Publish(channels[i%len(channels)], fmt.Appendf(nil, "%d %d", p, i), centrifuge.PublishOptions{})
				if err != nil || sp.Offset == 0 || sp.Epoch == "" {
					t.Errorf("publish: %v %v", sp, err)
				}
			}
		})
	}
	wg.Wait()
	requireGapless(t, db)
	total := 0
	for _, c := range channels {
		count := query[int](t, db, "select top from millrace.channel where channel = $1", c)
		total += count
		first := a.requireSequence(t, c, 1, count)
		second := b.requireSequence(t, c, 1, count)
		next := make([]int, publishers)
		for i := range first {
			require.Equal(t, first[i].publication.Data, second[i].publication.Data, "both nodes see one order")
			var p, n int
			_, err := fmt.Sscan(string(first[i].publication.Data), &p, &n)
			require.NoError(t, err)
			require.GreaterOrEqual(t, n, next[p], "each publisher's own order holds")
			next[p] = n + 1
		}
	}
	require.Equal(t, publishers*each, total)
}

func TestBrokerDataComesBackAsSent(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	a, b := startBrokers(t, db)
	contents := map[string][]byte{
		"tabs and newlines": []byte("a\tb\nc\r\n\td\n"),
		"pretty json":       []byte("{\n\t\"a\": [\n\t\t1,\n\t\t\"ü€😀\"\n\t]\n}\n"),
		"nul":               []byte("a\x00b\x00"),
		"invalid utf-8":     {0xff, 0xfe, 0x80, '\n', 0},
		"looks like frames": []byte("s1,1,1,1,1,1t:\n7.1\nf1/2:"),
	}
	for _, size := range []int{0, 1, 5900, 7900, 8000, 64 << 10} {
		contents[fmt.Sprint(size, " text")] = []byte(strings.Repeat("x", size))
		contents[fmt.Sprint(size, " binary")] = bytes.Repeat([]byte{0xff}, size)
	}
	for _, channel := range []string{"room:bytes", "eph:bytes"} {
		require.NoError(t, a.Subscribe(channel))
		require.NoError(t, b.Subscribe(channel))
		count := 0
		for name, data := range contents {
			for _, n := range []*brokerNode{a, b} {
				_, _, err := n.Publish(channel, data, centrifuge.PublishOptions{})
				require.NoError(t, err, name)
				count++
			}
			for _, n := range []*brokerNode{a, b} {
				require.Eventually(t, func() bool { return len(n.received(channel)) == count }, brokerPatience, time.Millisecond, name)
				for _, d := range n.received(channel)[count-2:] {
					require.True(t, bytes.Equal(data, d.publication.Data), "%s on %s: %d bytes came", name, channel, len(d.publication.Data))
				}
			}
		}
		if channel == "room:bytes" {
			a.requireSequence(t, channel, 1, count)
			list, _, err := b.History(channel, centrifuge.HistoryOptions{Filter: centrifuge.HistoryFilter{Limit: -1}})
			require.NoError(t, err)
			for i, d := range a.received(channel) {
				require.True(t, bytes.Equal(d.publication.Data, list[i].Data))
			}
		}
	}
	for _, d := range a.received("eph:bytes") {
		require.Zero(t, d.StreamPosition)
	}
	require.Zero(t, query[int](t, db, "select count(*) from millrace.message where channel = 'eph:bytes'"))
}

func TestBrokerSQLPublishFollowsItsTransaction(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	a, b := startBrokers(t, db)
	for _, c := range []string{"room:sql", "eph:sql"} {
		require.NoError(t, a.Subscribe(c))
		require.NoError(t, b.Subscribe(c))
	}
	boom := errors.New("boom")
	committed := 0
	for i := range 60 {
		err := pgx.BeginFunc(t.Context(), db.Pool, func(tx pgx.Tx) error {
			_, err := tx.Exec(t.Context(), "select millrace.publish('room:sql', jsonb_build_object('n', $1::int)), millrace.publish('eph:sql', '{ \"n\":  1 }')", i)
			require.NoError(t, err)
			if i%3 == 0 {
				return boom
			}
			return nil
		})
		if i%3 == 0 {
			require.ErrorIs(t, err, boom)
			continue
		}
		require.NoError(t, err)
		committed++
	}
	got := a.requireSequence(t, "room:sql", 1, committed)
	b.requireSequence(t, "room:sql", 1, committed)
	k := 0
	for i := range 60 {
		if i%3 != 0 {
			require.JSONEq(t, fmt.Sprintf(`{"n":%d}`, i), string(got[k].publication.Data))
			k++
		}
	}
	require.Eventually(t, func() bool { return len(b.received("eph:sql")) == committed }, brokerPatience, time.Millisecond)
	require.Equal(t, `{ "n":  1 }`, string(b.received("eph:sql")[0].publication.Data), "text is published as it is written")
	requireGapless(t, db)
}

// A publish over any path that begins after a transaction's commit has returned
// comes after it (I4).
func TestBrokerCausalOrderOverAllPaths(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	a, b := startBrokers(t, db)
	require.NoError(t, b.Subscribe("room:causal"))
	count := 0
	for range 40 {
		for _, path := range []func(string){
			func(s string) { execute(t, db, "select millrace.publish('room:causal', $1::text)", s) },
			func(s string) { a.mustPublish(t, "room:causal", s) },
			func(s string) { execute(t, db, "select millrace.publish('room:causal', $1::bytea)", []byte(s)) },
			func(s string) { b.mustPublish(t, "room:causal", s) },
		} {
			path(fmt.Sprint(count))
			count++
		}
	}
	for i, d := range b.requireSequence(t, "room:causal", 1, count) {
		require.Equal(t, fmt.Sprint(i), string(d.publication.Data))
	}
}

func TestBrokerSQLPublishRefuses(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	for sql, code := range map[string]string{
		`select millrace.publish('', '1'::jsonb)`:                                                    "22023",
		`select millrace.publish(repeat('x', 256), '1'::jsonb)`:                                      "22023",
		`select millrace.publish(E'a\nb', '1'::jsonb)`:                                               "22023",
		`select millrace.publish(':b', '1'::jsonb)`:                                                  "22023",
		`select millrace.publish('room:', '1'::jsonb)`:                                               "22023",
		`select millrace.publish('a', 'no json')`:                                                    "22P02",
		`select millrace.publish(E'a\u0085b', '1'::jsonb)`:                                           "22023",
		`select millrace.publish('a', 'no json'::bytea)`:                                             "22P02",
		`select millrace.publish('a', '\xff00'::bytea)`:                                              "22021",
		`select millrace.publish('a', null::jsonb)`:                                                  "22004",
		`select millrace.publish('a', '1', '{"delay": 1}')`:                                          "22023",
		`select millrace.publish('a', convert_to(repeat('x', 1048577), 'UTF8'))`:                     "54000",
		`select millrace.publish('a', '1', jsonb_build_object('idempotency_key', repeat('x', 256)))`: "22023",
	} {
		_, err := db.Pool.Exec(t.Context(), sql)
		require.ErrorContains(t, err, code, sql)
	}
	require.Zero(t, query[int](t, db, "select count(*) from millrace.outbox"))
}

func TestBrokerIdempotencyKey(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	a, b := startBrokers(t, db)
	for _, channel := range []string{"room:once", "eph:once"} {
		require.NoError(t, a.Subscribe(channel))
		opts := centrifuge.PublishOptions{IdempotencyKey: "k1"}
		first, repeated, err := b.Publish(channel, []byte("1"), opts)
		require.NoError(t, err)
		require.False(t, repeated)
		for _, n := range []*brokerNode{a, b, a, b} {
			again, repeated, err := n.Publish(channel, []byte("2"), opts)
			require.NoError(t, err)
			require.True(t, repeated)
			require.Equal(t, first, again)
		}
		execute(t, db, `select millrace.publish($1, '3'::jsonb, '{"idempotency_key": "k1"}')`, channel)
		var wg sync.WaitGroup
		for range 10 { // in one batch
			wg.Go(func() { _, _, _ = a.Publish(channel, []byte("4"), centrifuge.PublishOptions{IdempotencyKey: "k2"}) })
		}
		wg.Wait()
		require.Eventually(t, func() bool { return len(a.received(channel)) == 2 }, brokerPatience, time.Millisecond)
		require.Equal(t, "1", string(a.received(channel)[0].publication.Data))
		require.Equal(t, "4", string(a.received(channel)[1].publication.Data))
	}
	other := a.mustPublish(t, "room:other", "1")
	require.EqualValues(t, 1, other.Offset, "keys are per channel")
	for i, key := range []string{strings.Repeat("k", 5000), "a\x00b", "\xff"} {
		for _, n := range []*brokerNode{a, b} {
			sp, repeated, err := n.Publish("room:other", nil, centrifuge.PublishOptions{IdempotencyKey: key})
			require.NoError(t, err)
			require.EqualValues(t, i+2, sp.Offset)
			require.Equal(t, n == b, repeated)
		}
	}
}

func TestBrokerSenderAndTags(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	a, b := startBrokers(t, db)
	require.NoError(t, b.Subscribe("room:who"))
	info := &centrifuge.ClientInfo{ClientID: "c1", UserID: "u\x00ser", ConnInfo: []byte("{}"), ChanInfo: []byte("\xff")}
	tags := map[string]string{"k": "v\nw"}
	for _, n := range []*brokerNode{a, b} {
		_, _, err := n.Publish("room:who", []byte("1"), centrifuge.PublishOptions{ClientInfo: info, Tags: tags})
		require.NoError(t, err)
	}
	for _, d := range b.requireSequence(t, "room:who", 1, 2) {
		require.Equal(t, info, d.publication.Info)
		require.Equal(t, tags, d.publication.Tags)
	}
	list, _, err := a.History("room:who", centrifuge.HistoryOptions{Filter: centrifuge.HistoryFilter{Limit: -1}})
	require.NoError(t, err)
	require.Equal(t, info, list[1].Info)

	require.NoError(t, a.PublishJoin("room:who", info))
	require.NoError(t, a.PublishLeave("room:who", info))
	require.Eventually(t, func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return len(b.joined) == 2 && b.joined[0] == "join room:who c1" && b.joined[1] == "leave room:who c1"
	}, brokerPatience, time.Millisecond)

	_, _, err = a.Publish("room:\x00", nil, centrifuge.PublishOptions{})
	require.ErrorIs(t, err, ErrChannelName)
}

func TestBrokerStopsTwiceAndRefuses(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	n := startBroker(t, db)
	n.mustPublish(t, "room:1", "1")
	require.NoError(t, n.Stop(context.Background()))
	require.NoError(t, n.Stop(context.Background()))
	_, _, err := n.Publish("room:1", nil, centrifuge.PublishOptions{})
	require.ErrorIs(t, err, ErrNotRunning)
	_, _, err = n.Publish("eph:1", nil, centrifuge.PublishOptions{})
	require.ErrorIs(t, err, ErrNotRunning)
}
