package sequencer

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/testdb"
)

func relax(c *Config) {
	c.Relaxed = func(channel string) bool { return strings.HasPrefix(channel, "relaxed") }
}

// Only batches that hold nothing but relaxed publications, to channels that are
// marked on disk, are committed without waiting for it.
func TestWhichBatchesAreRelaxed(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	n := stranger(t, db)
	relax(&n.cfg)
	conn := session(t, n)
	term, seq, err := n.takeover(t.Context(), conn)
	require.NoError(t, err)
	o := newOwner(n.Sequencer, conn, term, seq)
	write := func(channels ...string) (relaxed bool) {
		items := make([]item, len(channels))
		for i, c := range channels {
			items[i].Channel = c
		}
		b, err := o.build(t.Context(), items)
		require.NoError(t, err)
		written, err := o.writeAlone(t.Context(), b)
		require.NoError(t, err)
		require.True(t, written)
		o.committed(b)
		var setting string
		require.NoError(t, conn.QueryRow(t.Context(), "show synchronous_commit").Scan(&setting))
		require.Equal(t, "on", setting, "it is for one transaction")
		require.Equal(t, b.relaxed, strings.Contains(b.payloads[0], "."+relaxedMark+"."))
		return b.relaxed
	}
	for _, c := range []struct {
		channels []string
		relaxed  bool
	}{
		{[]string{"relaxed1"}, false}, // it is marked by this one
		{[]string{"relaxed1"}, true},
		{[]string{"relaxed1", "relaxed2"}, false},
		{[]string{"relaxed1", "relaxed2"}, true},
		{[]string{"relaxed1", "durable"}, false},
		{[]string{"durable"}, false},
	} {
		require.Equal(t, c.relaxed, write(c.channels...), "%v", c.channels)
	}
	require.Equal(t, "relaxed1,relaxed2", value[string](t, db, "select string_agg(channel, ',' order by channel) from millrace.channel where crashes is not null"))

	// A namespace that becomes relaxed: its channels are in memory, and unmarked.
	n.cfg.Relaxed = func(string) bool { return true }
	require.False(t, write("durable"))
	require.True(t, write("durable"))
	requireGapless(t, db)
}

// After a crash, which empties unlogged tables, relaxed channels are in another
// epoch and durable ones are not; offsets and what is left of the history go on.
func TestCrashEndsTheEpochsOfRelaxedChannels(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	n := startNode(t, db, relax)
	publish := func(channel string) Position {
		r, err := n.Publish(t.Context(), Message{Channel: channel, Data: []byte("x")})
		require.NoError(t, err)
		return r.Position
	}
	before := map[string]Position{}
	for _, c := range []string{"relaxed", "durable"} {
		publish(c)
		before[c] = publish(c)
	}
	end := func() { sql(t, db, fmt.Sprintf("select pg_terminate_backend(%d)", n.SessionPID())) }
	end() // no crash
	require.Equal(t, Position{Offset: 3, Epoch: before["relaxed"].Epoch}, publish("relaxed"))

	sql(t, db, "truncate millrace.crash_mark")
	end()
	after := publish("relaxed")
	require.EqualValues(t, 4, after.Offset)
	require.NotEqual(t, before["relaxed"].Epoch, after.Epoch)
	require.Equal(t, Position{Offset: 3, Epoch: before["durable"].Epoch}, publish("durable"))
	require.Equal(t, after.Epoch, value[string](t, db, "select epoch from millrace.channel_position where channel = 'relaxed'"), "readers see the same")
	require.Equal(t, 4, value[int](t, db, "select count(*) from millrace.message m join millrace.channel_position c on c.channel = m.channel and c.stored_epoch = m.epoch where m.channel = 'relaxed'"))
	born := publish("relaxed new")
	end()
	require.Equal(t, Position{Offset: 5, Epoch: after.Epoch}, publish("relaxed"), "it is told once")
	require.Equal(t, Position{Offset: 2, Epoch: born.Epoch}, publish("relaxed new"))
}

// A database that has lost batches which were notified as durable (a standby that
// lagged was promoted) begins a new epoch for every channel, new ones too.
func TestLossEndsAllEpochs(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	n := startNode(t, db, relax)
	var last Result
	for range 5 {
		var err error
		last, err = n.Publish(t.Context(), Message{Channel: "c"})
		require.NoError(t, err)
	}
	require.Eventually(t, func() bool { return n.Sequencer.heard.Load() == 5 }, soon, time.Millisecond)
	sql(t, db, "update millrace.shard set seq = 3")
	sql(t, db, "update millrace.channel set top = 3")
	sql(t, db, "delete from millrace.message where pos > 3")
	fresh := value[string](t, db, "select fresh from millrace.epoch")
	sql(t, db, fmt.Sprintf("select pg_terminate_backend(%d)", n.SessionPID()))
	r, err := n.Publish(t.Context(), Message{Channel: "c"})
	require.NoError(t, err)
	require.EqualValues(t, 4, r.Offset)
	require.NotEqual(t, last.Epoch, r.Epoch)
	require.NotEqual(t, fresh, value[string](t, db, "select fresh from millrace.epoch"))
	sql(t, db, fmt.Sprintf("select pg_terminate_backend(%d)", n.SessionPID()))
	again, err := n.Publish(t.Context(), Message{Channel: "c"})
	require.NoError(t, err)
	require.Equal(t, Position{Offset: 5, Epoch: r.Epoch}, again.Position, "it is told once")
}

func TestDurableSeq(t *testing.T) {
	t.Parallel()
	require.EqualValues(t, 71, durableSeq(batchID(7, 71, false)+".1\ns..."))
	require.Zero(t, durableSeq(batchID(7, 71, true)+".1\ns..."))
	for _, other := range []string{"", "x", "1.2", "a.b.c.d\n", "1.!.1\n"} {
		require.Zero(t, durableSeq(other), other)
	}
}

// Publishing ten times over what a history keeps ends near that: trimming keeps up.
func TestRetentionKeepsUp(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	const size, count = 100, 10 * trimRows
	n := startNode(t, db, func(c *Config) {
		c.Keep = func(string) (int, time.Duration) { return size, time.Hour }
	})
	messages := make([]Message, 500)
	for i := range messages {
		messages[i] = Message{Channel: fmt.Sprint("c", i%2), Data: []byte("x")}
	}
	began := time.Now()
	for range count / len(messages) {
		for _, answer := range n.PublishMany(t.Context(), messages) {
			require.NoError(t, answer.Err)
		}
	}
	if stored := value[int](t, db, "select count(*) from millrace.message"); time.Since(began) < leastAge {
		require.Equal(t, count, stored, "what may be asked for is not deleted")
	}
	sql(t, db, "update millrace.message set created_at = now() - interval '16 seconds'")
	require.Eventually(t, func() bool {
		return value[int](t, db, "select count(*) from millrace.message") == 2*size
	}, soon, 50*time.Millisecond)
	require.Equal(t, 2*size, value[int](t, db, "select count(*) from millrace.message m join millrace.channel c on c.channel = m.channel where m.pos > c.top - $1", size))
}
