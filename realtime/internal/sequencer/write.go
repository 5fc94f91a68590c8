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
	topChannels, topEpochs, tops := make([]string, 0, len(b.tops)), make([]string, 0, len(b.tops)), make([]int64, 0, len(b.tops))
	for channel, top := range b.tops {
		topChannels, topEpochs, tops = append(topChannels, channel), append(topEpochs, top.Epoch), append(tops, int64(top.Offset)) //nolint:gosec // offsets are below 2^63
	}
	m, k := &b.messages, &b.keys
	to.Queue(sqlWrite, thisShard, b.term, guard, floor,
		m.channel, m.pos, m.epoch, m.data, m.meta, m.origin,
		topChannels, tops, topEpochs,
		k.channel, k.key, k.pos, k.epoch,
		b.payloads,
	).QueryRow(func(row pgx.Row) error { return row.Scan(written) }) //nolint:wrapcheck // wrapped by the senders
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
