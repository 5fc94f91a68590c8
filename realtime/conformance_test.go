package realtime

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/centrifugal/centrifuge"
	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/testdb"
)

// conformant is a broker under the suite: here publishes, there subscribes and
// reads. In memory the two are one; on Postgres they are two instances, and
// either of them may be the writer.
type conformant struct {
	here, there centrifuge.Broker
	got         func(channel string) []delivery // what there was handed
	memory      bool
}

// TestBrokerConformance runs what centrifuge expects of a broker against its own
// one in memory and against ours. Where they differ, a case asks c.memory and
// says why.
func TestBrokerConformance(t *testing.T) {
	t.Parallel()
	implementations := map[string]func(*testing.T) conformant{
		"memory": conformantInMemory,
		"postgres, publishing on the writer": func(t *testing.T) conformant {
			writer, other := startBrokers(t, testdb.New(t))
			return conformant{here: writer, there: other, got: other.received}
		},
		"postgres, publishing elsewhere": func(t *testing.T) conformant {
			writer, other := startBrokers(t, testdb.New(t))
			return conformant{here: other, there: writer, got: writer.received}
		},
	}
	for name, start := range implementations {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := start(t)
			for _, one := range []struct {
				name string
				run  func(*testing.T, conformant)
			}{
				{"position", conformPosition},
				{"idempotency", conformIdempotency},
				{"versions", conformVersions},
				{"history", conformHistory},
				{"trimmed history", conformTrimmed},
				{"removed history", conformRemoved},
				{"delta", conformDelta},
				{"without history", conformEphemeral},
				{"subscribing while others publish", conformSubscribeRaces},
				{"trimming while others read", conformRetentionRaces},
			} {
				t.Run(one.name, func(t *testing.T) { one.run(t, c) })
			}
		})
	}
}

func conformantInMemory(t *testing.T) conformant {
	t.Helper()
	node, err := centrifuge.New(centrifuge.Config{})
	require.NoError(t, err)
	inner, err := centrifuge.NewMemoryBroker(node, centrifuge.MemoryBrokerConfig{})
	require.NoError(t, err)
	seen := &brokerNode{got: map[string][]delivery{}}
	require.NoError(t, inner.RegisterBrokerEventHandler(seen))
	t.Cleanup(func() { require.NoError(t, inner.Close(t.Context())) })
	b := &memoryBroker{MemoryBroker: inner, keep: keepLong}
	return conformant{here: b, there: b, got: seen.received, memory: true}
}

func (c conformant) publish(t *testing.T, channel, data string, o centrifuge.PublishOptions) (centrifuge.StreamPosition, bool) {
	t.Helper()
	position, suppressed, err := c.here.Publish(channel, []byte(data), o)
	require.NoError(t, err)
	return position, suppressed
}

// read returns the offsets of a history, and checks that the data belong to them.
func (c conformant) read(t *testing.T, channel string, f centrifuge.HistoryFilter) ([]uint64, centrifuge.StreamPosition) {
	t.Helper()
	list, top, err := c.there.History(channel, centrifuge.HistoryOptions{Filter: f})
	require.NoError(t, err)
	offsets := []uint64{}
	for _, p := range list {
		require.Equal(t, fmt.Sprint(p.Offset), string(p.Data))
		offsets = append(offsets, p.Offset)
	}
	return offsets, top
}

func (c conformant) await(t *testing.T, channel string, count int) []delivery {
	t.Helper()
	require.Eventually(t, func() bool { return len(c.got(channel)) >= count }, brokerPatience, time.Millisecond, "%s", channel)
	require.Len(t, c.got(channel), count)
	return c.got(channel)
}

func conformPosition(t *testing.T, c conformant) {
	_, empty := c.read(t, "room:p", centrifuge.HistoryFilter{})
	require.Zero(t, empty.Offset)
	require.NotEmpty(t, empty.Epoch)
	_, again := c.read(t, "room:p", centrifuge.HistoryFilter{Limit: -1})
	require.Equal(t, empty, again, "it holds")
	for n := range 3 {
		at, suppressed := c.publish(t, "room:p", fmt.Sprint(n+1), centrifuge.PublishOptions{})
		require.False(t, suppressed)
		require.Equal(t, centrifuge.StreamPosition{Offset: uint64(n + 1), Epoch: empty.Epoch}, at)
		_, top := c.read(t, "room:p", centrifuge.HistoryFilter{})
		require.Equal(t, at, top, "who was answered finds it")
	}
}

func conformIdempotency(t *testing.T, c conformant) {
	require.NoError(t, c.there.Subscribe("room:i"))
	first, suppressed := c.publish(t, "room:i", "1", centrifuge.PublishOptions{IdempotencyKey: "k"})
	require.False(t, suppressed)
	again, suppressed := c.publish(t, "room:i", "other data", centrifuge.PublishOptions{IdempotencyKey: "k"})
	require.True(t, suppressed)
	require.Equal(t, first, again)
	second, suppressed := c.publish(t, "room:i", "2", centrifuge.PublishOptions{IdempotencyKey: "k2"})
	require.False(t, suppressed)
	require.Equal(t, first.Offset+1, second.Offset)
	_, suppressed = c.publish(t, "room:i2", "1", centrifuge.PublishOptions{IdempotencyKey: "k"})
	require.False(t, suppressed, "a key is its channel's")
	c.await(t, "room:i", 2)
}

func conformVersions(t *testing.T, c conformant) {
	require.NoError(t, c.there.Subscribe("room:v"))
	publish := func(data string, version uint64, epoch string) uint64 {
		at, suppressed := c.publish(t, "room:v", data, centrifuge.PublishOptions{Version: version, VersionEpoch: epoch})
		require.False(t, suppressed, "skipping is not suppressing")
		return at.Offset
	}
	require.EqualValues(t, 1, publish("1", 2, ""))
	require.EqualValues(t, 1, publish("stale", 1, ""), "skipped: the position is the top")
	require.EqualValues(t, 1, publish("stale", 2, ""))
	require.EqualValues(t, 2, publish("2", 3, "a"))
	require.EqualValues(t, 2, publish("stale", 3, "a"))
	require.EqualValues(t, 3, publish("3", 1, "b"), "another count")
	require.EqualValues(t, 3, publish("stale", 1, ""), "no epoch is any")
	require.EqualValues(t, 4, publish("4", 0, ""))
	after := uint64(4) // a publication without a version leaves the channel's as it was
	if c.memory {
		after = 5 // it forgets the version
	}
	require.Equal(t, after, publish("5", 1, "b"))
	c.await(t, "room:v", int(after))
}

func conformHistory(t *testing.T, c conformant) {
	var top centrifuge.StreamPosition
	for n := range 8 {
		top, _ = c.publish(t, "room:h", fmt.Sprint(n+1), centrifuge.PublishOptions{})
	}
	since := func(offset uint64) *centrifuge.StreamPosition {
		return &centrifuge.StreamPosition{Offset: offset, Epoch: top.Epoch}
	}
	for name, one := range map[string]struct {
		filter centrifuge.HistoryFilter
		want   []uint64
	}{
		"all":                      {centrifuge.HistoryFilter{Limit: -1}, []uint64{1, 2, 3, 4, 5, 6, 7, 8}},
		"top only":                 {centrifuge.HistoryFilter{Limit: 0}, []uint64{}},
		"oldest":                   {centrifuge.HistoryFilter{Limit: 3}, []uint64{1, 2, 3}},
		"more than there are":      {centrifuge.HistoryFilter{Limit: 30}, []uint64{1, 2, 3, 4, 5, 6, 7, 8}},
		"newest":                   {centrifuge.HistoryFilter{Limit: 3, Reverse: true}, []uint64{8, 7, 6}},
		"all reversed":             {centrifuge.HistoryFilter{Limit: -1, Reverse: true}, []uint64{8, 7, 6, 5, 4, 3, 2, 1}},
		"since":                    {centrifuge.HistoryFilter{Limit: -1, Since: since(5)}, []uint64{6, 7, 8}},
		"since the beginning":      {centrifuge.HistoryFilter{Limit: -1, Since: since(0)}, []uint64{1, 2, 3, 4, 5, 6, 7, 8}},
		"since, limited":           {centrifuge.HistoryFilter{Limit: 2, Since: since(2)}, []uint64{3, 4}},
		"since the top":            {centrifuge.HistoryFilter{Limit: -1, Since: since(8)}, []uint64{}},
		"since beyond the top":     {centrifuge.HistoryFilter{Limit: -1, Since: since(99)}, []uint64{}},
		"before":                   {centrifuge.HistoryFilter{Limit: -1, Since: since(4), Reverse: true}, []uint64{3, 2, 1}},
		"before, limited":          {centrifuge.HistoryFilter{Limit: 2, Since: since(8), Reverse: true}, []uint64{7, 6}},
		"before the first":         {centrifuge.HistoryFilter{Limit: -1, Since: since(1), Reverse: true}, []uint64{}},
		"since an enormous offset": {centrifuge.HistoryFilter{Limit: -1, Since: since(1 << 63)}, []uint64{}},
	} {
		if c.memory && name == "before the first" {
			continue // it takes the offset before 1 for none, and returns all
		}
		got, at := c.read(t, "room:h", one.filter)
		require.Equal(t, one.want, got, name)
		require.Equal(t, top, at, name)
	}
}

func conformTrimmed(t *testing.T, c conformant) {
	var top centrifuge.StreamPosition
	for n := range 12 {
		top, _ = c.publish(t, "short:t", fmt.Sprint(n+1), centrifuge.PublishOptions{})
	}
	got, at := c.read(t, "short:t", centrifuge.HistoryFilter{Limit: -1})
	require.Equal(t, []uint64{8, 9, 10, 11, 12}, got)
	require.Equal(t, top, at)
	since := centrifuge.StreamPosition{Offset: 2, Epoch: top.Epoch}
	got, _ = c.read(t, "short:t", centrifuge.HistoryFilter{Limit: -1, Since: &since})
	require.Equal(t, []uint64{8, 9, 10, 11, 12}, got, "the hole after 2 shows")
	for n := range 3 {
		c.publish(t, "brief:t", fmt.Sprint(n+1), centrifuge.PublishOptions{})
	}
	require.Eventually(t, func() bool {
		got, at := c.read(t, "brief:t", centrifuge.HistoryFilter{Limit: -1})
		return len(got) == 0 && at.Offset == 3
	}, brokerPatience, 10*time.Millisecond, "by age, and the top stays")
}

func conformRemoved(t *testing.T, c conformant) {
	at, _ := c.publish(t, "room:r", "1", centrifuge.PublishOptions{})
	require.NoError(t, c.here.RemoveHistory("room:r"))
	require.NoError(t, c.here.RemoveHistory("room:never"))
	got, top := c.read(t, "room:r", centrifuge.HistoryFilter{Limit: -1})
	require.Empty(t, got)
	require.Equal(t, at.Offset, top.Offset)
	// Ours begins a new epoch, since positions of the old one cannot be recovered;
	// in memory that shows in the offsets alone.
	require.Equal(t, c.memory, at.Epoch == top.Epoch)
	next, _ := c.publish(t, "room:r", "2", centrifuge.PublishOptions{})
	require.Equal(t, centrifuge.StreamPosition{Offset: 2, Epoch: top.Epoch}, next)
	got, _ = c.read(t, "room:r", centrifuge.HistoryFilter{Limit: -1})
	require.Equal(t, []uint64{2}, got)
}

func conformDelta(t *testing.T, c conformant) {
	require.NoError(t, c.there.Subscribe("room:d"))
	for n, delta := range []bool{true, true, false, true} {
		c.publish(t, "room:d", fmt.Sprint(n+1), centrifuge.PublishOptions{UseDelta: delta})
	}
	got := c.await(t, "room:d", 4)
	require.Nil(t, got[0].previous, "there is none before")
	require.Equal(t, "1", string(got[1].previous.Data))
	require.Nil(t, got[2].previous, "it did not ask for it")
	require.Equal(t, "3", string(got[3].previous.Data), "the one right before, delta or not")
}

func conformEphemeral(t *testing.T, c conformant) {
	require.NoError(t, c.there.Subscribe("eph:e"))
	tags := map[string]string{"k": "v\n\"w"}
	info := &centrifuge.ClientInfo{ClientID: "c", UserID: "u", ConnInfo: []byte("{}")}
	at, _ := c.publish(t, "eph:e", "1\x00\xff", centrifuge.PublishOptions{Tags: tags, ClientInfo: info, Version: 7, UseDelta: true})
	require.Zero(t, at)
	got := c.await(t, "eph:e", 1)[0]
	require.Zero(t, got.StreamPosition)
	require.Equal(t, "1\x00\xff", string(got.publication.Data))
	require.Equal(t, tags, got.publication.Tags)
	require.Equal(t, info, got.publication.Info)
	require.Nil(t, got.previous)
	_, suppressed := c.publish(t, "eph:e", "2", centrifuge.PublishOptions{IdempotencyKey: "k"})
	require.False(t, suppressed)
	_, suppressed = c.publish(t, "eph:e", "2", centrifuge.PublishOptions{IdempotencyKey: "k"})
	require.True(t, suppressed)
	c.await(t, "eph:e", 2)
}

// Whatever comes and goes meanwhile: what is handed on is in order, and after the
// last subscription nothing is missing.
func conformSubscribeRaces(t *testing.T, c conformant) {
	const channel, count = "room:races", 300
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			if err := c.there.Subscribe(channel); err != nil {
				t.Error(err)
			}
			if err := c.there.Unsubscribe(channel); err != nil {
				t.Error(err)
			}
		}
	})
	for n := range count {
		c.publish(t, channel, fmt.Sprint(n+1), centrifuge.PublishOptions{})
	}
	close(stop)
	wg.Wait()
	before := len(c.got(channel))
	c.publish(t, channel, fmt.Sprint(count+1), centrifuge.PublishOptions{})
	if !c.memory { // which does not know who is subscribed: the node does
		require.Len(t, c.got(channel), before, "nothing is handed on after the end")
	}
	require.NoError(t, c.there.Subscribe(channel))
	for n := range 20 {
		c.publish(t, channel, fmt.Sprint(count+2+n), centrifuge.PublishOptions{})
	}
	require.Eventually(t, func() bool {
		got := c.got(channel)
		return len(got) > 0 && got[len(got)-1].Offset == count+21
	}, brokerPatience, time.Millisecond)
	got := c.got(channel)
	for i := 1; i < len(got); i++ {
		require.Greater(t, got[i].Offset, got[i-1].Offset)
	}
	for i, d := range got[len(got)-20:] {
		require.EqualValues(t, count+2+i, d.Offset)
	}
}

// A history that is read while it is published to and trimmed is one moment's:
// without a hole, up to the top that comes with it, and not more than is kept.
func conformRetentionRaces(t *testing.T, c conformant) {
	const channel, count = "short:races", 300
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for range 3 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				list, top, err := c.there.History(channel, centrifuge.HistoryOptions{Filter: centrifuge.HistoryFilter{Limit: -1}})
				if err != nil || len(list) > 5 {
					t.Error(len(list), err)
				}
				for i, p := range list {
					if p.Offset != top.Offset-uint64(len(list)-1-i) {
						t.Error("offset", p.Offset, "at", i, "of", len(list), "below", top.Offset)
					}
				}
			}
		})
	}
	for n := range count {
		c.publish(t, channel, fmt.Sprint(n+1), centrifuge.PublishOptions{})
	}
	close(stop)
	wg.Wait()
}
