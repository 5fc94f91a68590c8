package realtime

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/centrifugal/centrifuge"
	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/postgres"
	"github.com/millrace-dev/millrace/internal/testdb"
)

const brokerPatience = 30 * time.Second

// brokerNode is one instance: a broker, its listener, and what the broker hands
// to its node.
type brokerNode struct {
	*broker

	listener *postgres.Listener

	mu     sync.Mutex
	got    map[string][]delivery
	joined []string
}

type delivery struct {
	centrifuge.StreamPosition

	publication *centrifuge.Publication
	previous    *centrifuge.Publication
}

func (n *brokerNode) HandlePublication(channel string, p *centrifuge.Publication, sp centrifuge.StreamPosition, _ bool, previous *centrifuge.Publication) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.got[channel] = append(n.got[channel], delivery{sp, p, previous})
	return nil
}

func (n *brokerNode) HandleJoin(channel string, info *centrifuge.ClientInfo) error {
	return n.note("join " + channel + " " + info.ClientID)
}

func (n *brokerNode) HandleLeave(channel string, info *centrifuge.ClientInfo) error {
	return n.note("leave " + channel + " " + info.ClientID)
}

func (n *brokerNode) note(what string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.joined = append(n.joined, what)
	return nil
}

func (n *brokerNode) received(channel string) []delivery {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]delivery(nil), n.got[channel]...)
}

// keepLong is the policy of the tests: "eph:" channels are ephemeral, "short:"
// ones show five publications, "brief:" ones those of the last second.
func keepLong(channel string) (int, time.Duration) {
	switch {
	case len(channel) > 4 && channel[:4] == "eph:":
		return 0, 0
	case len(channel) > 6 && channel[:6] == "short:":
		return 5, time.Hour
	case len(channel) > 6 && channel[:6] == "brief:":
		return 1000, time.Second
	default:
		return 1_000_000, time.Hour
	}
}

func startBroker(tb testing.TB, db *testdb.DB) *brokerNode {
	tb.Helper()
	quiet := slog.New(slog.DiscardHandler)
	n := &brokerNode{got: map[string][]delivery{}}
	n.listener = postgres.NewListener(postgres.ListenerConfig{URL: db.URL, Logger: quiet})
	var err error
	n.broker, err = newBroker(brokerConfig{
		pool: db.Pool, url: db.URL, listener: n.listener, keep: keepLong, logger: quiet,
		relaxed: func(channel string) bool { return strings.HasPrefix(channel, "relaxed:") },
		delta:   func(string) bool { return true },
		view:    func(string) bool { return false }, admit: func(string, []byte) error { return nil },
	})
	require.NoError(tb, err)
	require.NoError(tb, n.RegisterBrokerEventHandler(n))
	require.NoError(tb, n.listener.Start(tb.Context()))
	require.NoError(tb, n.Start(tb.Context()))
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), brokerPatience)
		defer cancel()
		require.NoError(tb, n.Stop(ctx))
		require.NoError(tb, n.listener.Stop(ctx))
	})
	return n
}

// startBrokers starts two instances of which the first is the writer.
func startBrokers(tb testing.TB, db *testdb.DB) (writer, other *brokerNode) {
	tb.Helper()
	writer = startBroker(tb, db)
	require.Eventually(tb, writer.write.Owner, brokerPatience, time.Millisecond)
	return writer, startBroker(tb, db)
}

func (n *brokerNode) mustPublish(tb testing.TB, channel, data string) centrifuge.StreamPosition {
	tb.Helper()
	sp, _, err := n.Publish(channel, []byte(data), centrifuge.PublishOptions{})
	require.NoError(tb, err)
	return sp
}

// requireSequence waits until a subscriber has count publications and checks
// that they are from..from+count-1 of one epoch, in order.
func (n *brokerNode) requireSequence(tb testing.TB, channel string, from, count int) []delivery {
	tb.Helper()
	require.Eventually(tb, func() bool { return len(n.received(channel)) >= count }, brokerPatience, 5*time.Millisecond,
		"%s: %d came", channel, len(n.received(channel)))
	got := n.received(channel)
	require.Len(tb, got, count, channel)
	for i, d := range got {
		require.EqualValues(tb, from+i, d.Offset, "%s: a hole or a double", channel)
		require.Equal(tb, d.Offset, d.publication.Offset)
		require.Equal(tb, got[0].Epoch, d.Epoch)
	}
	return got
}

func query[T any](tb testing.TB, db *testdb.DB, sql string, args ...any) (v T) {
	tb.Helper()
	require.NoError(tb, db.Pool.QueryRow(context.Background(), sql, args...).Scan(&v))
	return v
}

func execute(tb testing.TB, db *testdb.DB, sql string, args ...any) {
	tb.Helper()
	_, err := db.Pool.Exec(context.Background(), sql, args...)
	require.NoError(tb, err)
}

func kill(tb testing.TB, db *testdb.DB, pid uint32) {
	tb.Helper()
	execute(tb, db, fmt.Sprintf("select pg_terminate_backend(%d)", pid))
}

// requireGapless checks in the tables that each channel's offsets are 1..top.
func requireGapless(tb testing.TB, db *testdb.DB) {
	tb.Helper()
	require.Zero(tb, query[int](tb, db, `
		select count(*) from millrace.channel c
		left join (select channel, count(*) n, min(pos) lo, max(pos) hi, count(distinct epoch) epochs, min(epoch) epoch
		           from millrace.message group by channel) m using (channel)
		where (c.top, c.epoch, c.top, 1, 1) is distinct from (m.n, m.epoch, m.hi, m.lo, m.epochs) and c.top > 0`))
}
