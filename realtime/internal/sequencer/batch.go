package sequencer

import (
	"context"
	"fmt"
	"strconv"

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
	requests  []*request // of this instance, with
	results   []Result   // their answers

	messages struct {
		channel, epoch []string
		pos            []int64
		data           [][]byte
		meta, origin   []*string
	}
	tops map[string]*Position // the channels numbered in this batch
	keys struct {
		channel, key, epoch []string
		pos                 []int64
	}
	payloads []string
}

// empty says that there is nothing to write: every publication was a repeated one.
func (b *batch) empty() bool { return len(b.payloads) == 0 }

// undo counts the tops down again.
func (b *batch) undo() {
	for _, channel := range b.messages.channel {
		b.tops[channel].Offset--
	}
}

type channelKey struct{ channel, key string }

// build numbers items in their order. It counts up the tops in memory, so they
// have to be forgotten if the batch is not committed.
func (o *owner) build(ctx context.Context, items []item) (*batch, error) {
	tops, err := o.loadTops(ctx, items)
	if err != nil {
		return nil, err
	}
	keys, err := o.knownKeys(ctx, items)
	if err != nil {
		return nil, err
	}
	b := &batch{term: o.term, seq: o.seq + 1, tops: map[string]*Position{}}
	packer := frame.NewPacker(strconv.FormatInt(b.term, 36) + "." + strconv.FormatInt(b.seq, 36))
	for i := range items {
		result := b.add(&items[i], tops[items[i].Channel], keys, packer)
		if r := items[i].request; r != nil {
			b.requests, b.results = append(b.requests, r), append(b.results, result)
		}
	}
	b.payloads = packer.Payloads()
	return b, nil
}

// add numbers and packs one item. top is nil where the channel has no history.
func (b *batch) add(it *item, top *Position, keys map[channelKey]Position, packer *frame.Packer) Result {
	record := frame.Record{Kind: frame.Ephemeral, Channel: it.Channel, Origin: it.origin, Meta: it.Meta, Data: it.Data}
	if it.Key != "" {
		if p, repeated := keys[channelKey{it.Channel, it.Key}]; repeated {
			if it.origin != "" {
				packer.Add(&frame.Record{Kind: frame.Ack, Origin: it.origin, Offset: p.Offset, Epoch: p.Epoch})
			}
			return Result{Position: p, Repeated: true}
		}
	}
	var p Position
	if top != nil {
		top.Offset++
		p, b.tops[it.Channel] = *top, top
		record.Kind, record.Offset, record.Epoch = frame.Stored, p.Offset, p.Epoch
		m := &b.messages
		m.channel, m.pos, m.epoch = append(m.channel, it.Channel), append(m.pos, int64(p.Offset)), append(m.epoch, p.Epoch) //nolint:gosec // offsets are below 2^63
		m.data, m.meta, m.origin = append(m.data, notNil(it.Data)), append(m.meta, orNull(it.Meta)), append(m.origin, orNull(it.origin))
	}
	if it.Key != "" {
		keys[channelKey{it.Channel, it.Key}] = p
		k := &b.keys
		k.channel, k.key = append(k.channel, it.Channel), append(k.key, it.Key)
		k.pos, k.epoch = append(k.pos, int64(p.Offset)), append(k.epoch, p.Epoch) //nolint:gosec // offsets are below 2^63
	}
	packer.Add(&record)
	return Result{Position: p}
}

// keeps says whether a channel has a history.
func (o *owner) keeps(channel string) bool {
	size, _ := o.s.cfg.Keep(channel)
	return size > 0
}

// loadTops returns the tops of the channels with history among those of items.
// They are held until the batch is built, since memory may forget them meanwhile.
func (o *owner) loadTops(ctx context.Context, items []item) (map[string]*Position, error) {
	found := make(map[string]*Position)
	var missing []string
	for i := range items {
		channel := items[i].Channel
		if _, asked := found[channel]; asked {
			continue
		}
		found[channel] = nil
		if !o.keeps(channel) {
			continue
		}
		if found[channel] = o.tops.get(channel); found[channel] == nil {
			missing = append(missing, channel)
		}
	}
	if len(missing) == 0 {
		return found, nil
	}
	return found, o.tops.load(ctx, o.conn, missing, found)
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
