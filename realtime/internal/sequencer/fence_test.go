package sequencer

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/testdb"
)

// session opens one as a sequencer would, to be used by hand: it may be silent.
func session(t *testing.T, n *node) *pgx.Conn {
	t.Helper()
	conn, err := n.connect(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { n.disconnect(conn) })
	for _, setting := range []string{"idle_session_timeout", "idle_in_transaction_session_timeout"} {
		_, err := conn.Exec(t.Context(), "set "+setting+" = 0")
		require.NoError(t, err)
	}
	return conn
}

// stranger makes a sequencer that is not started, to act by hand.
func stranger(t *testing.T, db *testdb.DB) *node {
	t.Helper()
	s, err := New(Config{Pool: db.Pool, URL: db.URL, Keep: keepAll})
	require.NoError(t, err)
	return &node{Sequencer: s}
}

// state is everything that a write could change.
func state(t *testing.T, db *testdb.DB) string {
	t.Helper()
	return value[string](t, db, `select concat_ws('/',
		(select jsonb_agg(s order by shard) from millrace.shard s),
		(select jsonb_agg(c order by channel) from millrace.channel c),
		(select jsonb_agg(m order by channel, pos) from millrace.message m),
		(select jsonb_agg(o order by id) from millrace.outbox o),
		(select jsonb_agg(k order by channel, key) from millrace.publish_key k))`)
}

// I7: a writer with an old term changes nothing, in either form of the write.
func TestOldTermChangesNothing(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	n := stranger(t, db)
	conn := session(t, n)
	term, seq, err := n.takeover(t.Context(), conn)
	require.NoError(t, err)
	old := newOwner(n.Sequencer, conn, term, seq)
	items := []item{{Message: Message{Channel: "c", Data: []byte("1"), Key: "k"}}}
	b, err := old.build(t.Context(), items)
	require.NoError(t, err)
	written, err := old.writeAlone(t.Context(), b)
	require.NoError(t, err)
	require.True(t, written, "in its own term it writes")
	old.committed(b)

	_, _, err = n.takeover(t.Context(), session(t, n))
	require.NoError(t, err)
	before := state(t, db)
	items[0].Key = "k2"
	b, err = old.build(t.Context(), items)
	require.NoError(t, err)
	written, err = old.writeAlone(t.Context(), b)
	require.NoError(t, err)
	require.False(t, written)
	require.Equal(t, before, state(t, db))

	sql(t, db, "select millrace.publish('c', '2'::jsonb)")
	before = state(t, db)
	_, err = old.beginTake(t.Context())
	require.ErrorIs(t, err, errFenced)
	n.disconnect(conn)
	require.Equal(t, before, state(t, db))
}

// A takeover waits for a transaction of the old owner, so that the old term's
// count is final: the batch that was in flight is either counted or gone.
func TestTakeoverSettlesTheOldTerm(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	n := stranger(t, db)
	conn := session(t, n)
	term, seq, err := n.takeover(t.Context(), conn)
	require.NoError(t, err)
	old := newOwner(n.Sequencer, conn, term, seq)
	sql(t, db, "select millrace.publish('c', '1'::jsonb)")
	rows, err := old.beginTake(t.Context())
	require.NoError(t, err)
	require.Len(t, rows, 1)

	lost := lostBatch{term: term, seq: seq + 1}
	next := session(t, n)
	_, final, err := settled(t.Context(), next, lost)
	require.NoError(t, err)
	require.False(t, final, "nobody took over yet")

	taken := make(chan error, 1)
	go func() {
		_, _, err := n.takeover(t.Context(), next)
		taken <- err
	}()
	require.Eventually(t, func() bool {
		return value[bool](t, db, "select exists (select from pg_locks where not granted and pid = $1)", next.PgConn().PID())
	}, soon, time.Millisecond)
	b, err := old.build(t.Context(), old.items(rows))
	require.NoError(t, err)
	require.NoError(t, old.writeTaken(t.Context(), b))
	require.NoError(t, <-taken)

	committed, final, err := settled(t.Context(), next, lost)
	require.NoError(t, err)
	require.True(t, final)
	require.True(t, committed)
	lost.seq++
	committed, _, err = settled(t.Context(), next, lost)
	require.NoError(t, err)
	require.False(t, committed)
	requireGapless(t, db)
}

// I6: a hung owner is replaced within 2.5 s, because its session is ended by the
// server.
func TestHungOwnerIsReplaced(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	hung := stranger(t, db)
	conn, err := hung.connect(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { hung.disconnect(conn) })
	won, err := tryLock(t.Context(), conn, electionLock)
	require.NoError(t, err)
	require.True(t, won)
	_, _, err = hung.takeover(t.Context(), conn)
	require.NoError(t, err)

	began := time.Now()
	n := startNode(t, db, nil)
	_, err = n.Publish(t.Context(), Message{Channel: "c"}) // waits in the outbox
	require.NoError(t, err)
	require.Greater(t, time.Since(began), time.Second, "the lock was not held")
	require.Less(t, time.Since(began), soon) // 2.5 s on a machine with nothing else to do
	_, err = conn.Exec(t.Context(), "select 1")
	require.Error(t, err)
}

func TestStartChecksTheDatabase(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	sql(t, db, "alter sequence millrace.outbox_id_seq cache 50") // I10
	n := stranger(t, db)
	require.ErrorContains(t, n.Start(t.Context()), "CACHE 1")
	require.NoError(t, n.Stop(context.Background()))
	_, err := n.Publish(t.Context(), Message{Channel: "c"})
	require.ErrorIs(t, err, ErrNotRunning)
}

// A database on which no term can begin is asked again and again, and not in a
// tight loop.
func TestTakeoverThatFailsBacksOff(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	sql(t, db, "delete from millrace.shard")
	var lost atomic.Int32
	n := startNode(t, db, func(c *Config) { c.Logger = slog.New(counting{slog.DiscardHandler, &lost}) })
	require.Eventually(t, func() bool { return lost.Load() >= 3 }, soon, time.Millisecond)
	began, before := time.Now(), lost.Load()
	require.Eventually(t, func() bool { return lost.Load() > before+1 }, soon, time.Millisecond)
	require.Greater(t, time.Since(began), 60*time.Millisecond)
	sql(t, db, "insert into millrace.shard (shard) values (0)")
	_, err := n.Publish(t.Context(), Message{Channel: "c"})
	require.NoError(t, err)
}

type counting struct {
	slog.Handler

	lines *atomic.Int32
}

func (c counting) Enabled(context.Context, slog.Level) bool { return true }

func (c counting) Handle(context.Context, slog.Record) error {
	c.lines.Add(1)
	return nil
}

// A batch that Postgres refuses is an error for its publishers, who know that it
// did not happen; the outbox keeps its rows, and it goes on.
func TestRefusedBatch(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	owner, follower := startPair(t, db)
	sql(t, db, "alter table millrace.message add constraint full_disk check (pos < 3)")
	for range 2 {
		_, err := owner.Publish(t.Context(), Message{Channel: "c"})
		require.NoError(t, err)
	}
	_, err := owner.Publish(t.Context(), Message{Channel: "c"})
	require.ErrorIs(t, err, ErrBusy)
	require.NotErrorIs(t, err, ErrOutcomeUnknown)

	done := make(chan error, 1)
	go func() {
		_, err := follower.Publish(t.Context(), Message{Channel: "c", Data: []byte("waits")})
		done <- err
	}()
	require.Eventually(t, func() bool { return value[int](t, db, "select count(*) from millrace.outbox") == 1 }, soon, time.Millisecond)
	_, err = owner.Publish(t.Context(), Message{Channel: "c"})
	require.ErrorIs(t, err, ErrBusy)
	sql(t, db, "alter table millrace.message drop constraint full_disk")
	require.NoError(t, <-done)
	requireGapless(t, db)
	require.Equal(t, 3, value[int](t, db, "select count(*) from millrace.message"))
}
