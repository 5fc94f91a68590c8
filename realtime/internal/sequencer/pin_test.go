package sequencer

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/testdb"
)

func behindAProxy(cfg *Config) { cfg.Pooled, cfg.Poll = true, 100*time.Millisecond }

const (
	killSessions = `
select count(pg_catalog.pg_terminate_backend(pid)) from pg_catalog.pg_stat_activity
where datname = current_database() and application_name in ('millrace sequencer', 'millrace sequencer lock')
  and ($1 or pid in (select pid from pg_catalog.pg_locks where locktype = 'advisory' and classid = 1835627377))`
	lockHolders = `
select count(*) from pg_catalog.pg_locks l join pg_catalog.pg_database d on d.oid = l.database
where d.datname = current_database() and locktype = 'advisory' and classid = 1835627377 and granted`
)

// Owners whose lock lives in a transaction and one whose lock is its session's exclude each other, and replace each
// other when their connections are killed.
func TestPinnedAndDirectOwnersTakeTurns(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	nodes := []*node{startNode(t, db, behindAProxy), startNode(t, db, behindAProxy), startNode(t, db, nil)}
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for i, n := range nodes {
		wg.Go(func() {
			for k := 0; ; k++ {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := n.Publish(context.Background(), Message{Channel: "c", Data: []byte(fmt.Sprint(i, " ", k))}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for round := range 10 {
		before := len(nodes[0].hears())
		value[int](t, db, killSessions, round%3 == 0)
		require.Eventually(t, func() bool { return len(nodes[0].hears()) > before+8 }, soon, time.Millisecond)
	}
	close(stop)
	wg.Wait()
	requireGapless(t, db)
	require.Zero(t, value[int](t, db, "select count(*) - count(distinct data) from millrace.message"), "doubled")
	require.Eventually(t, func() bool { return value[int](t, db, lockHolders) == 1 }, soon, 10*time.Millisecond)
}

// The pin of an owner that says nothing any more is taken away, and its old term can write nothing.
func TestHungPinIsReplaced(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	hung := stranger(t, db)
	behindAProxy(&hung.cfg)
	conn, err := hung.connect(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { hung.disconnect(conn) })
	won, err := hung.tryElection(t.Context(), conn)
	require.NoError(t, err)
	require.True(t, won)
	require.NoError(t, hung.pin.hold(t.Context(), time.Now()))
	require.True(t, hung.pin.gate, "nobody need notify")

	began := time.Now()
	n := startNode(t, db, behindAProxy)
	_, err = n.Publish(t.Context(), Message{Channel: "c"}) // waits in the outbox
	require.NoError(t, err)
	require.Greater(t, time.Since(began), 2*time.Second, "the lock was not held")
	require.ErrorIs(t, hung.pin.hold(t.Context(), time.Now().Add(pinEvery)), errUnpinned)
}

// An owner that hangs in the middle of a transaction is replaced too: the row that
// it holds there is let go.
func TestHungOwnerBehindAProxyLetsGoOfItsTransaction(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	hung := stranger(t, db)
	behindAProxy(&hung.cfg)
	conn, err := hung.connect(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { hung.disconnect(conn) })
	won, err := hung.tryElection(t.Context(), conn)
	require.NoError(t, err)
	require.True(t, won)
	term, seq, err := hung.takeover(t.Context(), conn)
	require.NoError(t, err)
	sql(t, db, "select millrace.publish('c', '1'::jsonb)")
	rows, err := newOwner(hung.Sequencer, conn, term, seq).beginTake(t.Context())
	require.NoError(t, err)
	require.Len(t, rows, 1)

	n := startNode(t, db, behindAProxy)
	r, err := n.Publish(t.Context(), Message{Channel: "c"})
	require.NoError(t, err)
	require.EqualValues(t, 2, r.Offset, "what the transaction had taken comes first")
	requireGapless(t, db)
}

// Behind a proxy the server process outlives the session. What may still commit an insert is its transaction.
func TestUnansweredHandOverWaitsForItsTransaction(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	n := stranger(t, db)
	old, next := session(t, n), session(t, n)
	h := n.handed.add([]*request{newRequest(Message{Channel: "c"})}, 0)[0]
	gone := func() int {
		list, err := n.gone(t.Context(), next, map[*handoverRow][]*handover{h.row: {h}})
		require.NoError(t, err)
		return len(list)
	}
	require.Equal(t, 1, gone(), "nothing was begun")
	var begin pgx.Batch
	begin.Queue(sqlBegin)
	require.NoError(t, beginKnown(t.Context(), old, &begin, h.row))
	require.Equal(t, old.PgConn().PID(), h.row.pid)
	require.Zero(t, gone())
	_, err := old.Exec(t.Context(), "rollback")
	require.NoError(t, err)
	require.Equal(t, 1, gone(), "the process lives, the transaction does not")
	_, err = old.Exec(t.Context(), "begin")
	require.NoError(t, err)
	require.Equal(t, 1, gone(), "another transaction of the same process")
}
