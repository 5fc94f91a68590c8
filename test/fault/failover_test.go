package fault_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/auth"
	"github.com/millrace-dev/millrace/internal/postgres"
	"github.com/millrace-dev/millrace/internal/testdb"
	"github.com/millrace-dev/millrace/migrations"
)

// pair is a primary with a standby that every commit waits for, and a URL that names both.
type pair struct {
	primary, standby *postgres.Cluster
	inst             *installation
}

func newPair(t *testing.T) *pair {
	t.Helper()
	ctx := within(t, 60*time.Second)
	stop := func(c *postgres.Cluster) { require.NoError(t, c.Stop(context.Background())) }
	primary, err := postgres.StartCluster(ctx, postgres.ClusterConfig{Ephemeral: true})
	require.NoError(t, err)
	t.Cleanup(func() { stop(primary) })
	pool, err := postgres.Open(ctx, postgres.Config{URL: primary.URL()})
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	_, err = migrations.Up(ctx, pool)
	require.NoError(t, err)
	_, err = auth.NewStore(pool, nil, nil).EnsureKey(ctx, testKey)
	require.NoError(t, err)

	standby, err := primary.StartStandby(ctx, postgres.ClusterConfig{Ephemeral: true})
	require.NoError(t, err)
	t.Cleanup(func() { stop(standby) })
	_, err = pool.Exec(ctx, "alter system set synchronous_standby_names = '*'")
	require.NoError(t, err)
	_, err = pool.Exec(ctx, "select pg_reload_conf()")
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		var state string
		err := pool.QueryRow(ctx, "select coalesce(max(sync_state), '') from pg_stat_replication").Scan(&state)
		return err == nil && state == "sync"
	}, 60*time.Second, 20*time.Millisecond)

	url, query, _ := strings.Cut(strings.Replace(primary.TCPURL(), primary.Port()+"/", primary.Port()+",127.0.0.1:"+standby.Port()+"/", 1), "?")
	require.Empty(t, query)
	return &pair{primary, standby, &installation{db: &testdb.DB{Pool: pool, URL: primary.URL()}, url: url + "?target_session_attrs=read-write"}}
}

// TestFailoverToAPromotedStandby crashes the primary under load and promotes the standby. With synchronous
// replication no acknowledged publish is lost and none is doubled, and the instances are back within backWithin
// without a restart.
func TestFailoverToAPromotedStandby(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	a, b := p.inst.serve(t), p.inst.serve(t)
	ctx := within(t, 120*time.Second)
	follower := follow(ctx, "room:failover", b)

	publish := func(n int) {
		for {
			_, err := a.client.PublishOnce(ctx, "room:failover", json.RawMessage(fmt.Sprint(n)), fmt.Sprint("number ", n))
			if err == nil {
				return
			}
			require.NoError(t, ctx.Err(), "the last answer: %v", err)
		}
	}
	const before, after = 100, 100
	for n := range before {
		publish(n)
	}
	p.primary.Crash()
	crashed := time.Now()
	require.NoError(t, p.standby.Promote(ctx))
	promoted := time.Now()
	publish(before)
	back := time.Since(promoted)
	require.NoError(t, follower.reaches(ctx, before+1))
	promised(t, time.Since(promoted), backWithin)
	t.Logf("promoted after %v, published %v and delivered %v after that", promoted.Sub(crashed).Round(time.Millisecond),
		back.Round(time.Millisecond), time.Since(promoted).Round(time.Millisecond))
	for n := range after {
		publish(before + 1 + n)
	}
	require.NoError(t, follower.reaches(ctx, before+1+after))
	require.Zero(t, follower.reloads.Load(), "the history went on")

	now, err := postgres.Connect(ctx, p.standby.URL(), "test")
	require.NoError(t, err)
	defer func() { require.NoError(t, now.Close(ctx)) }()
	var stored, distinct, top int
	require.NoError(t, now.QueryRow(ctx, `select count(*), count(distinct data), max(pos) from millrace.message where channel = 'room:failover'`).
		Scan(&stored, &distinct, &top))
	require.Equal(t, []int{before + 1 + after, before + 1 + after, before + 1 + after}, []int{stored, distinct, top})
}
