package sequencer

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// errFenced says that another instance has begun a newer term.
var errFenced = errors.New("fenced by a newer term")

// write queues a batch's statement. *written is how many payloads it notified:
// all, or none when the fence stopped it.
func (b *batch) write(to *pgx.Batch, guard bool, floor int64, written *int) {
	m, k, t := &b.messages, &b.keys, b.topColumns()
	to.Queue(sqlWrite, thisShard, b.term, guard, floor, b.relaxed,
		m.channel, m.pos, m.epoch, m.data, m.meta, m.origin, m.ttl,
		t.channel, t.top, t.epoch, t.version, t.versionEpoch,
		k.channel, k.key, k.pos, k.epoch,
		b.payloads,
	).QueryRow(func(row pgx.Row) error { return row.Scan(written, nil) }) //nolint:wrapcheck // wrapped by the senders
}

// topColumns are the tops as write.sql takes them.
type topColumns struct {
	channel, epoch []string
	top            []int64
	version        []*int64
	versionEpoch   []*string
}

func (b *batch) topColumns() topColumns {
	n := len(b.tops)
	c := topColumns{
		channel: make([]string, 0, n), epoch: make([]string, 0, n), top: make([]int64, 0, n),
		version: make([]*int64, 0, n), versionEpoch: make([]*string, 0, n),
	}
	for channel, t := range b.tops {
		c.channel, c.epoch, c.top = append(c.channel, channel), append(c.epoch, t.epoch), append(c.top, int64(t.offset)) //nolint:gosec // offsets are below 2^63
		c.version, c.versionEpoch = append(c.version, versionOrNull(t.version)), append(c.versionEpoch, orNull(t.versionEpoch))
	}
	return c
}

func versionOrNull(version uint64) *int64 {
	if version == 0 {
		return nil
	}
	v := int64(version) //nolint:gosec // versions are below 2^63
	return &v
}

// writeAlone commits a batch of this instance's own publications in one round
// trip, unless there is something in the outbox: that was committed earlier, so
// it goes first. It reports false when nothing was written.
func (o *owner) writeAlone(ctx context.Context, b *batch) (written bool, err error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	var send pgx.Batch
	var count int
	b.write(&send, true, o.floor.value, &count)
	if err := o.conn.SendBatch(ctx, &send).Close(); err != nil {
		return false, fmt.Errorf("write %d publications: %w", len(b.requests), err)
	}
	return count > 0, nil
}

// writeTaken commits a batch together with the transaction that took its rows
// from the outbox. The fence was passed in that transaction.
func (o *owner) writeTaken(ctx context.Context, b *batch) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	var send pgx.Batch
	if !o.gateClosed && o.s.pin == nil { // the pin holds it for as long as the term
		send.Queue(sqlTryLock, int32(gateLock), int32(thisShard)).QueryRow(func(row pgx.Row) error {
			return row.Scan(&o.gateClosed) //nolint:wrapcheck // wrapped below
		})
	}
	var count int
	if !b.empty() {
		b.write(&send, false, 0, &count)
	}
	send.Queue(sqlCommit)
	if err := o.conn.SendBatch(ctx, &send).Close(); err != nil {
		return fmt.Errorf("write a batch from the outbox: %w", err)
	}
	return nil
}

func isFenced(err error) bool { return errors.Is(err, errFenced) }
