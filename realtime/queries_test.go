package realtime_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/testdb"
	"github.com/millrace-dev/millrace/realtime"
)

// counter counts the reads of positions and histories through a pool.
type counter struct{ statements atomic.Int64 }

func (c *counter) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	if strings.Contains(data.SQL, "millrace.channel_position") {
		c.statements.Add(1)
	}
	return ctx
}

func (*counter) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// counted is the same database by a pool whose statements are counted.
func counted(t *testing.T, db *testdb.DB) (*testdb.DB, *counter) {
	t.Helper()
	c := &counter{}
	config, err := pgxpool.ParseConfig(db.URL)
	require.NoError(t, err)
	config.ConnConfig.Tracer = c
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	return &testdb.DB{Pool: pool, URL: db.URL}, c
}

// Five hundred clients that return at once to one channel cost a handful of
// queries, whether they have missed something or not.
func TestReconnectStorm(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	there, statements := counted(t, db)
	hub := startHubOn(t, there, "there", realtime.Config{})
	here := startHubOn(t, db, "here", realtime.Config{})
	const clients, missed = 500, 20
	var at realtime.Position
	for n := range missed {
		at = publish(t, here, "a", fmt.Sprint(n))
	}
	peers := make([]*peer, clients)
	for i := range peers {
		peers[i] = connected(t, hub, grants("ann"))
	}
	storm := func(behind func(i int) uint64) {
		var wg sync.WaitGroup
		for i, p := range peers {
			wg.Go(func() {
				from := at.Offset - behind(i)
				p.send("subscribe", 1000, fmt.Sprintf(`{"channel":"a","recover":true,"offset":%d,"epoch":%q}`, from, at.Epoch))
				for reply := p.next(); ; reply = p.next() {
					if reply["id"] != 1000.0 {
						continue
					}
					list, _ := reply.at("subscribe", "publications").([]any)
					if reply.at("subscribe", "recovered") != true || uint64(len(list)) != behind(i) {
						t.Error(from, reply)
					}
					return
				}
			})
		}
		wg.Wait()
		for i := range peers {
			peers[i].session.Close()
			peers[i] = connected(t, hub, grants("ann"))
		}
	}
	before := statements.statements.Load()
	storm(func(i int) uint64 { return uint64(i % missed) })
	require.Less(t, statements.statements.Load()-before, int64(clients/5), "they do not share their reads")

	keep := connected(t, hub, grants("ann")) // so that the position is known
	keep.ask("subscribe", `{"channel":"a"}`)
	before = statements.statements.Load()
	storm(func(int) uint64 { return 0 })
	require.Equal(t, before, statements.statements.Load(), "nothing was missed: memory knows")
}

// Subscribing to what nobody has published to writes nothing, and the position
// holds for what comes.
func TestFirstSubscriptionWritesNothing(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	hub := startHubOn(t, db, "one", realtime.Config{})
	state := func() (rows int, writes int64) {
		require.NoError(t, db.Pool.QueryRow(t.Context(), `select
			(select count(*) from millrace.channel) + (select count(*) from millrace.message) + (select count(*) from millrace.outbox),
			(select seq from millrace.shard)`).Scan(&rows, &writes))
		return rows, writes
	}
	p := connected(t, hub, grants("ann"))
	var epochs []any
	for n := range 50 {
		reply := p.ask("subscribe", fmt.Sprintf(`{"channel":"never:%d"}`, n))
		require.Equal(t, true, reply.at("subscribe", "positioned"), reply)
		epochs = append(epochs, reply.at("subscribe", "epoch"))
	}
	_, err := hub.History(t.Context(), "never:other", realtime.HistoryQuery{Limit: 10})
	require.NoError(t, err)
	rows, writes := state()
	require.Zero(t, rows)
	require.Zero(t, writes)

	at := publish(t, hub, "never:7", `1`)
	require.Equal(t, epochs[7], any(at.Epoch))
	require.Equal(t, uint64(1), at.Offset)
	offset, _ := p.publication()
	require.InEpsilon(t, 1, offset, 0)
}
