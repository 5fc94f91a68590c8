package realtime

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/postgres"
	"github.com/millrace-dev/millrace/internal/testdb"
)

// pollingBroker is an instance that nothing is notified to.
func pollingBroker(t *testing.T, db *testdb.DB) *brokerNode {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	n := &brokerNode{got: map[string][]delivery{}}
	n.listener = postgres.NewListener(postgres.ListenerConfig{Poll: 50 * time.Millisecond, Logger: quiet})
	var err error
	n.broker, err = newBroker(brokerConfig{
		pool: db.Pool, url: db.URL, pooled: true, listener: n.listener, keep: keepLong, logger: quiet,
		view: func(string) bool { return false }, admit: func(string, []byte) error { return nil },
	})
	require.NoError(t, err)
	require.NoError(t, n.RegisterBrokerEventHandler(n))
	require.NoError(t, n.listener.Start(t.Context()))
	require.NoError(t, n.Start(t.Context()))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), brokerPatience)
		defer cancel()
		require.NoError(t, n.Stop(ctx))
		require.NoError(t, n.listener.Stop(ctx))
	})
	return n
}

// Instances that poll are handed every offset once and in order, whoever writes and whoever publishes, and what was
// subscribed to while it was published to.
func TestPollingBrokersMissNothing(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	const each = 40
	polls, hears := pollingBroker(t, db), startBroker(t, db)
	third := pollingBroker(t, db)
	nodes := []*brokerNode{polls, hears, third}
	for _, n := range nodes {
		require.NoError(t, n.Subscribe("all"))
	}
	for i := range each {
		for k, n := range nodes {
			position := n.mustPublish(t, "all", fmt.Sprint(i*len(nodes)+k+1))
			late := fmt.Sprintf("late-%d", i%5)
			require.NoError(t, nodes[(k+1)%3].Subscribe(late))
			require.EqualValues(t, i*len(nodes)+k+1, position.Offset)
			n.mustPublish(t, late, fmt.Sprint(i))
		}
	}
	for _, n := range nodes {
		n.requireSequence(t, "all", 1, each*len(nodes))
		require.Eventually(t, func() bool {
			for c := range 5 {
				got := n.received(fmt.Sprintf("late-%d", c))
				if len(got) == 0 || got[len(got)-1].Offset != each/5*3 {
					return false
				}
			}
			return true
		}, brokerPatience, 10*time.Millisecond)
	}
	require.False(t, polls.listener.Healthy(), "positions are read from the table")
	requireGapless(t, db)
}

// A polling instance costs one small statement an interval while nothing is published.
func TestPollingLooksAtChannelsOnlyWhenSomethingWasPublished(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	n := pollingBroker(t, db)
	require.NoError(t, n.Subscribe("a"))
	require.Eventually(t, n.write.Owner, brokerPatience, time.Millisecond)
	n.mustPublish(t, "b", "1")
	n.mustPublish(t, "a", "1")
	n.requireSequence(t, "a", 1, 1)
	repairs := n.read.Stats().Repairs
	n.mustPublish(t, "b", "2")
	n.mustPublish(t, "a", "2")
	n.requireSequence(t, "a", 1, 2)
	require.Equal(t, repairs+1, n.read.Stats().Repairs, "b is nobody's here")
}
