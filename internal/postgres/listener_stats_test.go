package postgres_test

import (
	"context"
	"log/slog"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/postgres"
)

func TestListenerThatPolls(t *testing.T) {
	t.Parallel()
	l := postgres.NewListener(postgres.ListenerConfig{Poll: time.Millisecond})
	on := handle(l, "a")
	l.Handle("b", nil, nil)
	require.NoError(t, l.Start(t.Context()))
	require.True(t, l.Polling())
	require.False(t, l.Healthy(), "nothing is heard")
	for range 5 {
		require.NoError(t, receive(t, on.resets).Err())
	}
	require.Equal(t, postgres.ListenerStats{Polling: true}, l.Stats())
	require.NoError(t, l.Stop(t.Context()))
	for len(on.resets) > 0 {
		<-on.resets
	}
	require.Empty(t, on.heard)
}

func TestListenerCounts(t *testing.T) {
	t.Parallel()
	cluster, err := postgres.StartCluster(t.Context(), postgres.ClusterConfig{Ephemeral: true})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, cluster.Stop(context.Background())) })
	l, on := listen(t, postgres.ListenerConfig{URL: cluster.URL(), Heartbeat: 20 * time.Millisecond, Logger: slog.New(slog.DiscardHandler)}, "a")
	receive(t, on[0].resets)
	require.Eventually(t, func() bool { return l.Stats().Lag > 0 }, soon, time.Millisecond, "it never heard itself")
	stats := l.Stats()
	require.True(t, stats.Listening)
	require.Zero(t, stats.Reconnects)
	require.Zero(t, stats.Deaf)
	require.InDelta(t, 0, stats.QueueUsage, 0.01)
	require.Empty(t, on[0].heard, "its own notifications are nobody's")

	run(t, cluster.URL(), "select pg_terminate_backend("+strconv.Itoa(int(l.BackendPID()))+")::text")
	receive(t, on[0].resets)
	require.Eventually(t, func() bool { return l.Stats().Reconnects == 1 }, soon, time.Millisecond)
	require.Positive(t, l.Stats().Deaf)
	deaf := l.Stats().Deaf
	require.Equal(t, deaf, l.Stats().Deaf, "it hears again")

	route, err := postgres.FindRoute(t.Context(), cluster.TCPURL())
	require.NoError(t, err)
	require.Equal(t, postgres.RouteSession, route)
	_, err = postgres.FindRoute(t.Context(), "postgres://nobody@127.0.0.1:1/none")
	require.ErrorContains(t, err, "127.0.0.1:1")
}
