package realtime

import (
	"fmt"
	"testing"
	"time"

	"github.com/centrifugal/centrifuge"
	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/testdb"
)

func (n *brokerNode) history(tb testing.TB, channel string, f centrifuge.HistoryFilter) ([]uint64, centrifuge.StreamPosition) {
	tb.Helper()
	list, top, err := n.History(channel, centrifuge.HistoryOptions{Filter: f})
	require.NoError(tb, err)
	offsets := []uint64{}
	for _, p := range list {
		offsets = append(offsets, p.Offset)
		require.Equal(tb, fmt.Sprint(p.Offset), string(p.Data))
		require.WithinDuration(tb, time.Now(), time.UnixMilli(p.Time), time.Minute)
	}
	return offsets, top
}

func TestBrokerHistory(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	a, b := startBrokers(t, db)
	_, empty := b.history(t, "room:h", centrifuge.HistoryFilter{})
	require.Zero(t, empty.Offset)
	require.Len(t, empty.Epoch, 8, "a position in an empty channel holds for what comes")
	_, empty2 := a.history(t, "room:h", centrifuge.HistoryFilter{Limit: -1})
	require.Equal(t, empty, empty2)
	for i := range 8 {
		require.Equal(t, empty.Epoch, a.mustPublish(t, "room:h", fmt.Sprint(i+1)).Epoch)
	}
	since := func(offset uint64) *centrifuge.StreamPosition {
		return &centrifuge.StreamPosition{Offset: offset, Epoch: empty.Epoch}
	}
	for name, c := range map[string]struct {
		filter centrifuge.HistoryFilter
		want   []uint64
	}{
		"all":                      {centrifuge.HistoryFilter{Limit: -1}, []uint64{1, 2, 3, 4, 5, 6, 7, 8}},
		"top only":                 {centrifuge.HistoryFilter{Limit: 0}, []uint64{}},
		"oldest":                   {centrifuge.HistoryFilter{Limit: 3}, []uint64{1, 2, 3}},
		"newest":                   {centrifuge.HistoryFilter{Limit: 3, Reverse: true}, []uint64{8, 7, 6}},
		"all reversed":             {centrifuge.HistoryFilter{Limit: -1, Reverse: true}, []uint64{8, 7, 6, 5, 4, 3, 2, 1}},
		"since":                    {centrifuge.HistoryFilter{Limit: -1, Since: since(5)}, []uint64{6, 7, 8}},
		"since, limited":           {centrifuge.HistoryFilter{Limit: 2, Since: since(2)}, []uint64{3, 4}},
		"since the top":            {centrifuge.HistoryFilter{Limit: -1, Since: since(8)}, []uint64{}},
		"since beyond the top":     {centrifuge.HistoryFilter{Limit: -1, Since: since(99)}, []uint64{}},
		"before":                   {centrifuge.HistoryFilter{Limit: -1, Since: since(4), Reverse: true}, []uint64{3, 2, 1}},
		"before, limited":          {centrifuge.HistoryFilter{Limit: 2, Since: since(8), Reverse: true}, []uint64{7, 6}},
		"since an enormous offset": {centrifuge.HistoryFilter{Limit: -1, Since: since(1 << 63)}, []uint64{}},
	} {
		for _, n := range []*brokerNode{a, b} {
			got, top := n.history(t, "room:h", c.filter)
			require.Equal(t, c.want, got, name)
			require.Equal(t, *since(8), top, name)
		}
	}
}

func TestBrokerTrimmedHistory(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	a, b := startBrokers(t, db)
	for _, channel := range []string{"short:1", "brief:1"} {
		for i := range 12 {
			a.mustPublish(t, channel, fmt.Sprint(i+1))
		}
	}
	all := centrifuge.HistoryFilter{Limit: -1}
	got, top := b.history(t, "short:1", all)
	require.Equal(t, []uint64{8, 9, 10, 11, 12}, got, "by size, at once")
	require.EqualValues(t, 12, top.Offset)
	got, _ = b.history(t, "short:1", centrifuge.HistoryFilter{Limit: -1, Since: &centrifuge.StreamPosition{Offset: 2, Epoch: top.Epoch}})
	require.Equal(t, []uint64{8, 9, 10, 11, 12}, got, "the hole after 2 shows in the offsets")

	execute(t, db, "update millrace.message set created_at = created_at - interval '3 seconds' where channel = 'brief:1' and pos <= 10")
	require.Eventually(t, func() bool {
		got, top = b.history(t, "brief:1", all)
		return len(got) == 0 && top.Offset == 12
	}, brokerPatience, 10*time.Millisecond, "by age, and the top stays")

	// What is not shown is deleted once it is fifteen seconds old.
	execute(t, db, "update millrace.message set created_at = created_at - interval '20 seconds'")
	require.Eventually(t, func() bool {
		return query[int](t, db, "select count(*) from millrace.message where channel = 'short:1'") == 5 &&
			query[int](t, db, "select count(*) from millrace.message where channel = 'brief:1'") == 0
	}, brokerPatience, 50*time.Millisecond)
	require.EqualValues(t, 13, b.mustPublish(t, "brief:1", "13").Offset)
}

// A subscriber that missed what is gone sees a jump of the offsets, and one of
// an old epoch sees the new one: centrifuge tells its clients so.
func TestBrokerShowsWhatCannotBeRepaired(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	a, b := startBrokers(t, db)
	require.NoError(t, b.Subscribe("room:jump"))
	epoch := a.mustPublish(t, "room:jump", "1").Epoch
	b.requireSequence(t, "room:jump", 1, 1)

	execute(t, db, "update millrace.channel set top = 9 where channel = 'room:jump'")
	kill(t, db, a.write.SessionPID()) // the tops in memory go with the term
	require.Eventually(t, func() bool { return a.write.SessionPID() != 0 }, brokerPatience, time.Millisecond)
	require.EqualValues(t, 10, b.mustPublish(t, "room:jump", "10").Offset)
	require.Eventually(t, func() bool { return len(b.received("room:jump")) == 2 }, brokerPatience, time.Millisecond)
	require.EqualValues(t, 10, b.received("room:jump")[1].Offset)

	execute(t, db, "delete from millrace.message")
	execute(t, db, "delete from millrace.channel")
	execute(t, db, "update millrace.epoch set fresh = 'another'")
	for _, n := range []*brokerNode{a, b} {
		kill(t, db, n.write.SessionPID())
	}
	require.Eventually(t, func() bool { return a.write.Owner() || b.write.Owner() }, brokerPatience, time.Millisecond)
	sp := b.mustPublish(t, "room:jump", "1")
	require.EqualValues(t, 1, sp.Offset)
	require.NotEqual(t, epoch, sp.Epoch)
	require.Eventually(t, func() bool { return len(b.received("room:jump")) == 3 }, brokerPatience, time.Millisecond)
	require.Equal(t, sp, b.received("room:jump")[2].StreamPosition)
}

func TestBrokerRemoveHistory(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	a, b := startBrokers(t, db)
	for i := range 3 {
		a.mustPublish(t, "room:r", fmt.Sprint(i+1))
	}
	require.NoError(t, a.Subscribe("room:r"))
	_, before := a.history(t, "room:r", centrifuge.HistoryFilter{})
	require.NoError(t, b.RemoveHistory("room:r"))
	require.Zero(t, query[int](t, db, "select count(*) from millrace.message"))
	got, top := b.history(t, "room:r", centrifuge.HistoryFilter{Limit: -1})
	require.Empty(t, got)
	require.EqualValues(t, 3, top.Offset)
	require.NotEqual(t, before.Epoch, top.Epoch, "positions of the time before hold no more")
	require.Eventually(t, func() bool {
		_, known := a.history(t, "room:r", centrifuge.HistoryFilter{})
		return known == top
	}, brokerPatience, time.Millisecond, "what is known of it in memory is corrected")
	next := a.mustPublish(t, "room:r", "4")
	require.Equal(t, centrifuge.StreamPosition{Offset: 4, Epoch: top.Epoch}, next)
	require.Eventually(t, func() bool { return len(a.received("room:r")) == 1 }, brokerPatience, time.Millisecond)
	require.Equal(t, next, a.received("room:r")[0].StreamPosition)
}

// The position is answered from memory while that is known to be right, and is
// never below what a publisher of this instance was told.
func TestBrokerTop(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	a, b := startBrokers(t, db)
	require.NoError(t, a.Subscribe("room:t"))
	for range 200 {
		sp := a.mustPublish(t, "room:t", "x")
		_, top, err := a.History("room:t", centrifuge.HistoryOptions{})
		require.NoError(t, err)
		require.Equal(t, sp, top)
		_, top, err = b.History("room:t", centrifuge.HistoryOptions{})
		require.NoError(t, err)
		require.Equal(t, sp, top)
	}
	a.requireSequence(t, "room:t", 1, 200)
	execute(t, db, "update millrace.channel set top = 999 where channel = 'room:t'")
	_, top, err := a.History("room:t", centrifuge.HistoryOptions{})
	require.NoError(t, err)
	require.EqualValues(t, 200, top.Offset, "from memory")
}
