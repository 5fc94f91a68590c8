package sequencer

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/postgres"
	"github.com/millrace-dev/millrace/internal/testdb"
)

// I5, I8: an id below others that are long done is still taken, however late its
// transaction commits, and one that rolled back is never seen.
func TestFloorWaitsForOpenTransactions(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	n := stranger(t, db)
	o := newOwner(n.Sequencer, session(t, n), 0, 0)
	take := func() (ids []int64) {
		rows, err := o.beginTake(t.Context())
		require.NoError(t, err)
		require.NoError(t, o.writeTaken(t.Context(), &batch{}))
		o.looked(rows, time.Now())
		for _, r := range rows {
			ids = append(ids, r.id)
		}
		return ids
	}
	_, _, err := n.takeover(t.Context(), o.conn)
	require.NoError(t, err)
	o.term = 1

	late, err := db.Pool.Begin(t.Context())
	require.NoError(t, err)
	defer func() { _ = late.Rollback(context.Background()) }()
	_, err = late.Exec(t.Context(), "select millrace.publish('c', '\"late\"'::jsonb)")
	require.NoError(t, err)
	for range 3 {
		sql(t, db, "select millrace.publish('c', '1'::jsonb)")
	}
	require.Equal(t, []int64{2, 3, 4}, take())
	for range 5 { // the floor may not pass id 1 now
		require.NoError(t, o.floor.advance(t.Context(), o.conn, time.Now()))
		require.Empty(t, take())
		require.Zero(t, o.floor.value)
	}
	require.NoError(t, late.Commit(t.Context()))
	require.Equal(t, []int64{1}, take())
	require.Eventually(t, func() bool { // the other tests' transactions count too
		return o.floor.advance(t.Context(), o.conn, time.Now()) == nil && o.floor.passed
	}, soon, 10*time.Millisecond)
	require.Zero(t, o.floor.value, "not before a look")
	require.Empty(t, take())
	require.EqualValues(t, 4, o.floor.value)
	require.False(t, o.floor.due(time.Now().Add(time.Hour)), "it is up to date")
	sql(t, db, "select millrace.publish('c', '1'::jsonb)")
	require.Equal(t, []int64{5}, take())
}

func TestFloorOfAnUnusedSequence(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	n := stranger(t, db)
	conn := session(t, n)
	var f floor
	require.NoError(t, f.advance(t.Context(), conn, time.Now()))
	require.Zero(t, f.candidate, "id 1 is still to come")
}

// I4, I5, I8 under load: transactions of all kinds, one of them long, while the
// floor moves.
func TestSQLPublishers(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	owner, _ := startPair(t, db)
	var committed atomic.Int64
	var wg sync.WaitGroup
	long, err := db.Pool.Begin(t.Context())
	require.NoError(t, err)
	defer func() { _ = long.Rollback(context.Background()) }()
	_, err = long.Exec(t.Context(), "select millrace.publish('long', '1'::jsonb)")
	require.NoError(t, err)
	for w := range 6 {
		wg.Go(func() {
			for k := range 80 {
				tx, err := db.Pool.Begin(context.Background())
				if err != nil {
					t.Error(err)
					return
				}
				for range 1 + k%3 {
					_, err = tx.Exec(context.Background(), "select millrace.publish($1, jsonb_build_array($2::int, $3::int))", fmt.Sprintf("w%d", w%2), w, k)
				}
				if err != nil || k%10 == 9 {
					_ = tx.Rollback(context.Background())
					continue
				}
				if err := tx.Commit(context.Background()); err != nil {
					t.Error(err)
				}
				committed.Add(int64(1 + k%3))
			}
		})
	}
	wg.Wait()
	require.NoError(t, long.Commit(t.Context()))
	require.Eventually(t, func() bool { return int64(len(owner.hears())) >= committed.Load()+1 }, soon, time.Millisecond)
	requireGapless(t, db)
	require.EqualValues(t, committed.Load()+1, value[int](t, db, "select count(*) from millrace.message"))
	require.Zero(t, value[int](t, db, "select count(*) from millrace.message where data like '%9]'"), "rolled back")
	// Each writer's transactions come in its order, though written by one connection after another.
	require.Zero(t, value[int](t, db, `
		select count(*) from (
			select (convert_from(data, 'UTF8')::jsonb ->> 1)::int k,
			       lag((convert_from(data, 'UTF8')::jsonb ->> 1)::int) over (partition by channel, convert_from(data, 'UTF8')::jsonb ->> 0 order by pos) before
			from millrace.message where channel like 'w%') x
		where k < before`))
	for i, r := range owner.hears() { // I3
		for _, later := range owner.hears()[i+1:] {
			if later.Channel == r.Channel {
				require.Greater(t, later.Offset, r.Offset)
				break
			}
		}
	}
}

// The gate notifies a sleeping owner, and keeps quiet while it is awake.
func TestGate(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	owner := startNode(t, db, nil)
	require.Eventually(t, owner.Owner, soon, time.Millisecond)
	var woken atomic.Int32
	l := postgres.NewListener(postgres.ListenerConfig{URL: db.URL, Logger: slog.New(slog.DiscardHandler)})
	l.Handle("millrace_wake", func(string) { woken.Add(1) }, nil)
	flushed := make(chan struct{}, 1)
	l.Handle("flush", func(string) { flushed <- struct{}{} }, nil)
	require.NoError(t, l.Start(t.Context()))
	t.Cleanup(func() { require.NoError(t, l.Stop(context.Background())) })
	open := func() bool {
		return !value[bool](t, db, "select exists (select from pg_locks where locktype = 'advisory' and classid = $1 and mode = 'ExclusiveLock')", gateLock)
	}

	require.Eventually(t, open, soon, time.Millisecond)
	sql(t, db, "select millrace.publish('c', '0'::jsonb)")
	require.Eventually(t, func() bool { return woken.Load() == 1 }, soon, time.Millisecond)

	const count = 60
	require.Eventually(t, func() bool { // unless the machine keeps the owner from looking
		before := woken.Load()
		for range count {
			sql(t, db, "select millrace.publish('c', '1'::jsonb)")
		}
		sql(t, db, "select pg_notify('flush', '')")
		<-flushed
		return woken.Load()-before < count/3
	}, soon, time.Millisecond, "the gate is open while the owner is awake")
	require.Eventually(t, open, soon, time.Millisecond, "it opens again")

	before := woken.Load()
	sql(t, db, "select millrace.publish('c', '1'::jsonb), millrace.publish('c', '2'::jsonb)")
	require.Eventually(t, func() bool { return woken.Load() == before+1 }, soon, time.Millisecond, "once a transaction")
}

// A backlog is taken in pieces that one round trip can write, each at least a row.
func TestBacklogIsTakenInPieces(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	n := stranger(t, db)
	o := newOwner(n.Sequencer, session(t, n), 1, 0)
	_, _, err := n.takeover(t.Context(), o.conn)
	require.NoError(t, err)
	const rows = 10
	for range rows {
		sql(t, db, "insert into millrace.outbox (channel, data, meta, key, origin, size) select '{c}', '{1}', '{null}', '{null}', '{null}', 1000000")
	}
	sql(t, db, "update millrace.outbox set size = 20000000 where id = 6")
	var pieces []int
	for total := 0; total < rows; {
		taken, err := o.beginTake(t.Context())
		require.NoError(t, err)
		b, err := o.build(t.Context(), o.items(taken))
		require.NoError(t, err)
		require.NoError(t, o.writeTaken(t.Context(), b))
		o.floor.passed, o.floor.candidate = true, int64(rows)
		o.floor.seen = rows // taken out of their order
		o.looked(taken, time.Now())
		total += len(taken)
		pieces = append(pieces, len(taken))
		require.EqualValues(t, total, o.floor.value, "the floor is that of what is left in the outbox")
	}
	require.Equal(t, []int{5, 1, 4}, pieces)
	requireGapless(t, db)
}

// More channels in a batch than memory holds in a generation.
func TestBatchOfManyChannels(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	n := stranger(t, db)
	o := newOwner(n.Sequencer, session(t, n), 1, 0)
	items := make([]item, topsGeneration+10)
	for i := range items {
		items[i].Channel = fmt.Sprint(i)
		o.tops.put(items[i].Channel, &top{offset: 1, epoch: "e", since: time.Now()})
	}
	b, err := o.build(t.Context(), items)
	require.NoError(t, err)
	require.Len(t, b.messages.pos, len(items))
}

// What channels do not take is left out, and only of what no instance checked.
func TestAdmit(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	deny := func(c *Config) {
		c.Admit = func(channel string, _ []byte) error {
			if channel == "closed" {
				return context.Canceled
			}
			return nil
		}
	}
	owner := startNode(t, db, deny)
	require.Eventually(t, owner.Owner, soon, time.Millisecond)
	follower := startNode(t, db, deny)
	sql(t, db, "select millrace.publish('closed', '1'::jsonb), millrace.publish('c', '2'::jsonb), millrace.publish('closed', '3'::jsonb)")
	_, err := follower.Publish(t.Context(), Message{Channel: "closed"})
	require.NoError(t, err)
	require.Equal(t, 1, value[int](t, db, "select count(*) from millrace.message where channel = 'closed'"))
	require.Equal(t, 1, value[int](t, db, "select count(*) from millrace.message where channel = 'c'"))
	require.Zero(t, value[int](t, db, "select count(*) from millrace.outbox"))
}

// Whoever may write to the table can write what millrace never would. It stops nobody else.
func TestUnsoundRows(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	n := startNode(t, db, nil)
	require.Eventually(t, n.Owner, soon, time.Millisecond)
	for _, values := range []string{
		`'{}', '{}', '{}', '{}', '{}', null, 1`,
		`'{a,b}', '{1}', '{null}', '{null}', '{null}', null, 1`,
		`'{a}', '{1,2}', '{null}', '{null}', '{null}', null, 1`,
		`'{a}', '{1}', '{null,null}', '{null}', '{null}', null, 1`,
		`'{a}', '{1}', '{null}', '{}', '{null}', null, 1`,
		`'{a}', '{1}', '{null}', '{null}', '{null,null}', null, 1`,
		`'{a}', '{1}', '{null}', '{null}', '{null}', '{"{}","{}"}', 1`,
		`'{null}', '{1}', '{null}', '{null}', '{null}', null, 1`,
		`'{a}', '{null}', '{null}', '{null}', '{null}', null, 1`,
		`'{{a,b}}', '{{1,2}}', '{{null,null}}', '{{null,null}}', '{{null,null}}', null, 1`,
		`'{a}', '{1}', '{null}', '{null}', '{null}', '{not json}', -1`,
	} {
		sql(t, db, "insert into millrace.outbox (channel, data, meta, key, origin, options, size) values ("+values+")")
	}
	sql(t, db, "select millrace.publish('c', '2'::jsonb)")
	require.Eventually(t, func() bool { return value[int](t, db, "select count(*) from millrace.message") > 0 }, soon, time.Millisecond)
	require.Equal(t, "c", value[string](t, db, "select string_agg(channel, ',') from millrace.message"))
	require.Zero(t, value[int](t, db, "select count(*) from millrace.outbox"))
}

func TestAttention(t *testing.T) {
	t.Parallel()
	now := time.Now()
	a := newAttention(false, now)
	require.True(t, a.due(now), "a new owner looks at once")
	require.True(t, a.drowsy(now), "and finds out who saw the last one awake")
	a.settled(true, now)
	a.nothing(now)
	require.Equal(t, asleep, a.mode)
	require.False(t, a.due(now.Add(asleepPoll-1)))
	require.True(t, a.due(now.Add(asleepPoll)))
	require.False(t, a.expects())
	a.woken(now)
	require.True(t, a.due(now))
	require.True(t, a.expects())
	a.nothing(now)
	require.False(t, a.expects())

	a.found(now, true)
	require.Equal(t, awake, a.mode)
	require.True(t, a.due(now), "there is more")
	a.found(now, false)
	require.True(t, a.expects(), "where one was, more may be")
	require.Equal(t, now.Add(awakePoll), a.next)
	now = now.Add(awakeFor - 1)
	a.nothing(now)
	require.Equal(t, awake, a.mode)
	require.False(t, a.expects())
	require.Equal(t, now.Add(awakePoll), a.next)
	for range 50 {
		a.took(2 * awakePoll)
	}
	a.nothing(now)
	require.Greater(t, a.next, now.Add(3*awakePoll))
	for range 50 {
		a.took(time.Second)
	}
	a.nothing(now)
	require.Equal(t, now.Add(awakePollMax), a.next)
}

// It sleeps when nobody is left who saw it awake.
func TestAttentionDozes(t *testing.T) {
	t.Parallel()
	now := time.Now()
	a := newAttention(false, now)
	a.found(now, false)
	now = now.Add(awakeFor)
	a.nothing(now)
	require.Equal(t, dozing, a.mode)
	require.Equal(t, now.Add(dozingPoll), a.next)
	require.False(t, a.drowsy(now))
	a.found(now, false)
	require.Equal(t, awake, a.mode)
	now = now.Add(awakeFor)
	a.nothing(now)

	begin := now
	now = now.Add(dozingFor)
	require.True(t, a.drowsy(now))
	a.settled(false, now)
	a.nothing(now)
	require.Equal(t, dozing, a.mode)
	require.Equal(t, now.Add(dozingPoll), a.next)
	require.False(t, a.drowsy(now.Add(settleEach-1)))
	now = begin.Add(100 * time.Second)
	require.True(t, a.drowsy(now))
	a.settled(false, now)
	a.nothing(now)
	require.Equal(t, now.Add(100*time.Millisecond), a.next)
	now = now.Add(time.Hour)
	a.nothing(now)
	require.Equal(t, now.Add(asleepPoll), a.next)
	a.deaf = true
	a.nothing(now)
	require.Equal(t, now.Add(deafPoll), a.next, "beside an open transaction it looks at least as often as asleep")
	a.settled(true, now)
	a.nothing(now)
	require.Equal(t, asleep, a.mode)
	require.Equal(t, now.Add(deafPoll), a.next)
}
