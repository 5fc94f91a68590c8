package sequencer

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/millrace-dev/millrace/realtime/internal/frame"
)

// item is one publication of a batch: a request of this instance, or one from
// the outbox.
type item struct {
	Message
	origin  string   // of a hand-over
	request *request // of this instance
}

// batch is what one commit writes. Its columns are the arrays of write.sql.
type batch struct {
	term, seq int64
	// relaxed says that the commit need not wait for the disk.
	relaxed  bool
	requests []*request // of this instance, with
	results  []Result   // their answers

	messages struct {
		channel, epoch []string
		pos            []int64
		data           [][]byte
		meta, origin   []*string
		ttl            []*float64
	}
	tops   map[string]*top // the channels that this batch changes
	before map[string]top  // and what they were
	keys   struct {
		channel, key, epoch []string
		pos                 []int64
	}
	packer   *frame.Packer
	payloads []string
}

// empty says that there is nothing to write: every publication was left out.
func (b *batch) empty() bool { return len(b.payloads) == 0 }

// undo makes the tops what they were.
func (b *batch) undo() {
	for channel, before := range b.before {
		*b.tops[channel] = before
	}
}

type channelKey struct{ channel, key string }

// build numbers items in their order. It changes the tops in memory, so they
// have to be forgotten if the batch is not committed.
func (o *owner) build(ctx context.Context, items []item) (*batch, error) {
	tops, loaded, err := o.loadTops(ctx, items)
	if err != nil {
		return nil, err
	}
	keys, err := o.knownKeys(ctx, items)
	if err != nil {
		return nil, err
	}
	b := &batch{term: o.term, seq: o.seq + 1, tops: map[string]*top{}, before: map[string]top{}}
	// A row that was read just now may have been marked in this transaction,
	// which then has to be on the disk before anything relaxed is.
	b.relaxed = !loaded && o.relaxed(items)
	b.packer = frame.NewPacker(batchID(b.term, b.seq, b.relaxed))
	for i := range items {
		result := b.add(&items[i], tops[items[i].Channel], keys)
		if r := items[i].request; r != nil {
			b.requests, b.results = append(b.requests, r), append(b.results, result)
		}
	}
	b.payloads = b.packer.Payloads()
	return b, nil
}

// add numbers and packs one item. top is nil where the channel has no history.
func (b *batch) add(it *item, t *top, keys map[channelKey]Position) Result {
	if it.Key != "" {
		if p, repeated := keys[channelKey{it.Channel, it.Key}]; repeated {
			return b.leaveOut(it, frame.Repeated, Result{Position: p, Repeated: true})
		}
	}
	record := frame.Record{Kind: frame.Ephemeral, Channel: it.Channel, Origin: it.origin, Meta: it.Meta, Data: it.Data}
	var p Position
	switch {
	case t == nil:
	case t.stale(&it.Options):
		return b.leaveOut(it, frame.Skipped, Result{Position: t.position(), Skipped: true})
	case it.Remove:
		b.touch(it.Channel, t)
		t.epoch = newEpoch()
		p = t.position()
		record = frame.Record{Kind: frame.Removed, Channel: it.Channel, Origin: it.origin}
	default:
		b.touch(it.Channel, t)
		t.offset++
		if it.Version > 0 {
			t.version, t.versionEpoch = it.Version, it.VersionEpoch
		}
		p = t.position()
		record.Kind = frame.Stored
		b.store(it, t)
	}
	if it.Key != "" {
		b.remember(it, p, keys)
	}
	record.Offset, record.Epoch = p.Offset, p.Epoch
	b.packer.Add(&record)
	return Result{Position: p}
}

// leaveOut answers an item that publishes nothing.
func (b *batch) leaveOut(it *item, kind frame.Kind, result Result) Result {
	if it.origin != "" {
		b.packer.Add(&frame.Record{Kind: kind, Origin: it.origin, Offset: result.Offset, Epoch: result.Epoch})
	}
	return result
}

// touch notes that a channel's top is about to change.
func (b *batch) touch(channel string, t *top) {
	if _, done := b.before[channel]; !done {
		b.before[channel], b.tops[channel] = *t, t
	}
}

// store adds the row of an item that got the offset of t.
func (b *batch) store(it *item, t *top) {
	m := &b.messages
	m.channel, m.pos, m.epoch = append(m.channel, it.Channel), append(m.pos, int64(t.offset)), append(m.epoch, t.epoch) //nolint:gosec // offsets are below 2^63
	m.data, m.meta, m.origin = append(m.data, notNil(it.Data)), append(m.meta, orNull(it.Meta)), append(m.origin, orNull(it.origin))
	var ttl *float64
	if it.TTL > 0 {
		ttl = &it.TTL
	}
	m.ttl = append(m.ttl, ttl)
}

// remember adds the row of an idempotency key.
func (b *batch) remember(it *item, p Position, keys map[channelKey]Position) {
	keys[channelKey{it.Channel, it.Key}] = p
	k := &b.keys
	k.channel, k.key = append(k.channel, it.Channel), append(k.key, it.Key)
	k.pos, k.epoch = append(k.pos, int64(p.Offset)), append(k.epoch, p.Epoch) //nolint:gosec // offsets are below 2^63
}

// relaxed says whether all of items may be lost in a crash.
func (o *owner) relaxed(items []item) bool {
	for i := range items {
		if !o.keeps(items[i].Channel) || !o.s.cfg.Relaxed(items[i].Channel) {
			return false
		}
	}
	return true
}

// keeps says whether a channel has a history.
func (o *owner) keeps(channel string) bool {
	size, _ := o.s.cfg.Keep(channel)
	return size > 0
}

// loadTops returns the tops of the channels with history among those of items,
// and whether some had to be read. They are held until the batch is built, since
// memory may forget them meanwhile.
func (o *owner) loadTops(ctx context.Context, items []item) (found map[string]*top, loaded bool, err error) {
	found = make(map[string]*top)
	var missing []string
	var relaxed []bool
	now := time.Now()
	for i := range items {
		channel := items[i].Channel
		if _, asked := found[channel]; asked {
			continue
		}
		found[channel] = nil
		if !o.keeps(channel) {
			continue
		}
		mark := o.s.cfg.Relaxed(channel)
		if t := o.tops.get(channel, now); t != nil && (t.marked || !mark) {
			found[channel] = t
		} else {
			missing, relaxed = append(missing, channel), append(relaxed, mark)
		}
	}
	if len(missing) == 0 {
		return found, false, nil
	}
	return found, true, o.tops.load(ctx, o.conn, missing, relaxed, found)
}

// knownKeys returns the positions of the idempotency keys among items that were
// used before.
func (o *owner) knownKeys(ctx context.Context, items []item) (map[channelKey]Position, error) {
	known := map[channelKey]Position{}
	var channels, keys []string
	for i := range items {
		if items[i].Key != "" {
			channels, keys = append(channels, items[i].Channel), append(keys, items[i].Key)
		}
	}
	if len(keys) == 0 {
		return known, nil
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	rows, err := o.conn.Query(ctx, sqlKeys, channels, keys)
	if err == nil {
		var k channelKey
		var p Position
		_, err = pgx.ForEachRow(rows, []any{&k.channel, &k.key, &p.Offset, &p.Epoch}, func() error { known[k] = p; return nil })
	}
	if err != nil {
		return nil, fmt.Errorf("look up idempotency keys: %w", err)
	}
	return known, nil
}
