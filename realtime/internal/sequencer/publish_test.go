package sequencer

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/testdb"
)

// nobody makes the election impossible, so that what is handed over stays.
func nobody(t *testing.T, db *testdb.DB) (release func()) {
	t.Helper()
	conn, err := db.Pool.Acquire(t.Context())
	require.NoError(t, err)
	var won bool
	require.NoError(t, conn.QueryRow(t.Context(), sqlTryLock, electionLock, 0).Scan(&won))
	require.True(t, won)
	return sync.OnceFunc(func() {
		_, err := conn.Exec(context.Background(), sqlUnlock, electionLock, 0)
		conn.Release()
		require.NoError(t, err)
	})
}

func TestFullQueueIsBusy(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	release := nobody(t, db)
	defer release()
	n := startNode(t, db, func(c *Config) { c.QueueBytes, c.Patience = 10_000, 300*time.Millisecond })
	_, err := n.Publish(t.Context(), Message{Channel: "c", Data: make([]byte, 9000)})
	require.ErrorIs(t, err, ErrOutcomeUnknown, "it is in the outbox")
	began := time.Now()
	_, err = n.Publish(t.Context(), Message{Channel: "c", Data: make([]byte, 9000)})
	require.ErrorIs(t, err, ErrBusy, "no room")
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.GreaterOrEqual(t, time.Since(began), 300*time.Millisecond)

	release()
	require.Eventually(t, func() bool {
		_, err := n.Publish(t.Context(), Message{Channel: "c", Data: make([]byte, 9000)})
		return err == nil
	}, soon, time.Millisecond)
	rows := value[int](t, db, "select count(*) from millrace.message")
	require.Equal(t, 2, rows, "what was refused did not happen, what was unknown did")
}

func TestPublishEndsWithItsContext(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	defer nobody(t, db)()
	n := startNode(t, db, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := n.Publish(ctx, Message{Channel: "c"})
	require.ErrorIs(t, err, context.Canceled)
}

// A hand-over whose notification is lost is found in the tables.
func TestLostAcknowledgementIsLookedUp(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	owner := startNode(t, db, nil)
	require.Eventually(t, owner.Owner, soon, time.Millisecond)
	deaf, err := New(Config{Pool: db.Pool, URL: db.URL, Keep: keepAll, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	require.NoError(t, deaf.Start(t.Context()))
	t.Cleanup(func() { require.NoError(t, deaf.Stop(context.Background())) })

	r, err := deaf.Publish(t.Context(), Message{Channel: "c", Data: []byte("1")})
	require.NoError(t, err)
	require.EqualValues(t, 1, r.Offset)
	again, err := deaf.Publish(t.Context(), Message{Channel: "c", Data: []byte("2"), Key: "k"})
	require.NoError(t, err)
	require.EqualValues(t, 2, again.Offset)
	require.Equal(t, r.Epoch, again.Epoch)
	require.Equal(t, 2, value[int](t, db, "select count(*) from millrace.message"))
}

// A hand-over that is nowhere (Postgres lost its last commits) is not answered
// as if it had happened, nor published twice.
func TestVanishedHandOverIsUnknown(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	defer nobody(t, db)()
	n := startNode(t, db, nil)
	done := make(chan error, 1)
	go func() {
		_, err := n.Publish(t.Context(), Message{Channel: "c"})
		done <- err
	}()
	require.Eventually(t, func() bool { return value[int](t, db, "select count(*) from millrace.outbox") == 1 }, soon, time.Millisecond)
	sql(t, db, "delete from millrace.outbox")
	require.ErrorIs(t, <-done, ErrOutcomeUnknown)
	require.Zero(t, value[int](t, db, "select count(*) from millrace.outbox"))
}

// The session of a follower dies between sending a hand-over and its answer.
func TestUnansweredHandOver(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	owner, follower := startPair(t, db)
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for p := range 4 {
		wg.Go(func() {
			for k := 0; ; k++ {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := follower.Publish(context.Background(), Message{Channel: "c", Data: []byte(fmt.Sprint(p, " ", k))}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 15 {
		before := len(owner.hears())
		if pid := follower.SessionPID(); pid != 0 {
			sql(t, db, "select pg_terminate_backend($1::int)", pid)
		}
		require.Eventually(t, func() bool { return len(owner.hears()) > before+8 }, soon, time.Millisecond)
	}
	close(stop)
	wg.Wait()
	requireGapless(t, db)
	require.Zero(t, value[int](t, db, "select count(*) - count(distinct data) from millrace.message"), "doubled")
	require.True(t, owner.Owner())
}

// As long as the session that sent an insert lives, the insert may still be
// committed: the hand-over is not sent again.
func TestUnansweredHandOverWaitsForItsSession(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	n := stranger(t, db)
	old, next := session(t, n), session(t, n)
	h := n.handed.add([]*request{newRequest(Message{Channel: "c"})}, old.PgConn().PID())[0]
	gone := func() []*handover {
		list, err := n.gone(t.Context(), next, map[*handoverRow][]*handover{h.row: {h}})
		require.NoError(t, err)
		return list
	}
	require.Empty(t, gone())
	_, err := old.Exec(t.Context(), "begin")
	require.NoError(t, err)
	_, err = old.Exec(t.Context(), sqlHandover, thisShard, []string{"c"}, [][]byte{{}}, []*string{nil}, []*string{nil}, []string{h.origin}, nil, 1)
	require.NoError(t, err)
	require.Empty(t, gone())
	require.Zero(t, h.row.id)
	_, err = old.Exec(t.Context(), "commit")
	require.NoError(t, err)
	require.Empty(t, gone(), "it is in the outbox")
	require.EqualValues(t, 1, h.row.id)
	sql(t, db, "delete from millrace.outbox")
	require.Len(t, gone(), 1)

	h.row.id = 0
	require.Empty(t, gone())
	require.NoError(t, old.Close(t.Context()))
	require.Eventually(t, func() bool { return len(gone()) == 1 }, soon, time.Millisecond)
}

// Channels are made anew after 30 days without a publish; their messages, keys
// and old terms go earlier.
func TestSweep(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	owner := startNode(t, db, func(c *Config) {
		c.Keep = func(string) (int, time.Duration) { return 3, time.Hour }
	})
	for i := range 2 * sweepPage {
		_, err := owner.Publish(t.Context(), Message{Channel: fmt.Sprintf("c%03d", i%(sweepPage+10)), Key: fmt.Sprint(i)})
		require.NoError(t, err)
	}
	for i := range 10 {
		_, err := owner.Publish(t.Context(), Message{Channel: "busy", Data: []byte(fmt.Sprint(i))})
		require.NoError(t, err)
	}
	sql(t, db, "update millrace.message set created_at = now() - interval '16 seconds' where channel = 'busy'")
	sql(t, db, "update millrace.message set created_at = now() - interval '2 hours' where channel = 'c005'")
	sql(t, db, "update millrace.channel set touched_at = now() - interval '31 days' where channel in ('c005', 'c006')")
	sql(t, db, "update millrace.publish_key set created_at = now() - interval '11 minutes' where key::int < 100")
	sql(t, db, "update millrace.epoch set fresh_since = now() - interval '11 days'")
	require.NoError(t, owner.expireKeys(t.Context()))
	clean := newCleared()
	walk := func() {
		cursor, err := owner.sweep(t.Context(), "", clean)
		require.NoError(t, err)
		require.NotEmpty(t, cursor)
		cursor, err = owner.sweep(t.Context(), cursor, clean)
		require.NoError(t, err)
		require.Empty(t, cursor)
	}
	walk()
	require.Equal(t, 2, value[int](t, db, "select count(*) from millrace.channel where channel in ('c005', 'c006')"), "it would come back in the same epoch")
	walk() // with another epoch for new channels
	require.Equal(t, "8,9,10", value[string](t, db, "select string_agg(pos::text, ',' order by pos) from millrace.message where channel = 'busy'"))
	require.Zero(t, value[int](t, db, "select count(*) from millrace.message where channel = 'c005'"))
	require.Equal(t, "c006", value[string](t, db, "select string_agg(channel, ',') from millrace.channel where touched_at < now() - interval '1 day'"), "it has a message")
	require.Equal(t, 2*sweepPage-100, value[int](t, db, "select count(*) from millrace.publish_key"))

	_, err := owner.sweep(t.Context(), "c004", clean)
	require.NoError(t, err)
	require.Equal(t, sweepPage+10, value[int](t, db, "select count(*) from millrace.channel"))
	r, err := owner.Publish(t.Context(), Message{Channel: "c005"})
	require.NoError(t, err)
	require.NotZero(t, r.Offset)
	require.Equal(t, r.Epoch, value[string](t, db, "select epoch from millrace.channel where channel = 'c005'"))
}
