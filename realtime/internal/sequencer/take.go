package sequencer

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

// takenRow is one row of the outbox.
type takenRow struct {
	id                 int64
	channel            []string
	data               [][]byte
	meta, key, origins []*string // these and the options are nil where none of them has any
	options            []*string
	size               int // in bytes, about
}

// beginTake opens a transaction, passes the fence and takes what is in the
// outbox, in one round trip. The transaction is left open.
func (o *owner) beginTake(ctx context.Context) ([]takenRow, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	var rows []takenRow
	fenced := true
	var send pgx.Batch
	send.Queue(sqlBegin)
	send.Queue(sqlFence, thisShard, o.term).Query(func(found pgx.Rows) error {
		fenced = !found.Next()
		found.Close()
		return found.Err() //nolint:wrapcheck // wrapped below
	})
	send.Queue(sqlTake, thisShard, o.floor.value, takeRows, takeBytes).Query(func(found pgx.Rows) (err error) {
		rows, err = pgx.CollectRows(found, scanTaken)
		return err //nolint:wrapcheck // wrapped below
	})
	if err := o.conn.SendBatch(ctx, &send).Close(); err != nil {
		return nil, fmt.Errorf("take from the outbox: %w", err)
	}
	if fenced {
		return nil, errFenced // closing the session rolls back
	}
	slices.SortFunc(rows, func(a, b takenRow) int { return cmp.Compare(a.id, b.id) })
	return rows, nil
}

func scanTaken(row pgx.CollectableRow) (t takenRow, err error) {
	err = row.Scan(&t.id, &t.channel, &t.data, &t.meta, &t.key, &t.origins, &t.options, &t.size)
	return t, err //nolint:wrapcheck // wrapped by beginTake
}

// errShape is why a whole row is left out. Nobody but millrace may write to the outbox, so it is not a constraint: as
// one it took half the time of each millrace.publish.
var errShape = errors.New("a row that is not of millrace's making")

// items are the publications of rows, in their order. SQL publishers were not
// checked by an instance: what the channels do not take is left out.
func (o *owner) items(rows []takenRow) []item {
	var items []item
	refused, first, why := 0, "", error(nil)
	for _, t := range rows {
		if len(t.channel) == 0 { // take.sql found it unsound
			if refused++; refused == 1 {
				first, why = "?", errShape
			}
		}
		for i, channel := range t.channel {
			one := item{
				Message: Message{Channel: channel, Data: t.data[i], Meta: nth(t.meta, i), Key: nth(t.key, i)},
				origin:  nth(t.origins, i),
			}
			if err := o.admit(&one, nth(t.options, i)); err != nil {
				if refused++; refused == 1 {
					first, why = channel, err
				}
				continue
			}
			items = append(items, one)
		}
	}
	if refused > 0 {
		o.s.log.Error("publications from SQL left out", "count", refused, "channel", first, "err", why)
	}
	return items
}

// admit reads the options of a publication and says whether its channel takes it.
// What an instance handed over was checked there.
func (o *owner) admit(it *item, options string) error {
	if options != "" {
		if err := json.Unmarshal([]byte(options), &it.Options); err != nil {
			return fmt.Errorf("read the options: %w", err)
		}
	}
	if it.origin != "" {
		return nil
	}
	return o.s.cfg.Admit(it.Channel, it.Data)
}

// waiting says whether there is something in the outbox.
func (o *owner) waiting(ctx context.Context) (found bool, err error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	if err := o.conn.QueryRow(ctx, sqlWaiting, thisShard, o.floor.value).Scan(&found); err != nil {
		return false, fmt.Errorf("look into the outbox: %w", err)
	}
	return found, nil
}

// settle finds out, before a look, whether all that saw the gate closed have
// ended: the look finds what they left, and then the owner may fall asleep. While
// the gate is closed, for opening it has failed, more of them may come.
func (o *owner) settle(ctx context.Context) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	var open bool
	if err := o.conn.QueryRow(ctx, sqlWriters).Scan(&open); err != nil {
		return fmt.Errorf("look for transactions that write to the outbox: %w", err)
	}
	o.attention.settled(!open && !o.gateClosed, time.Now())
	return nil
}

// openGate lets SQL publishers notify again.
func (o *owner) openGate(ctx context.Context) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	if _, err := o.conn.Exec(ctx, sqlUnlock, int32(gateLock), int32(thisShard)); err != nil {
		return fmt.Errorf("open the gate: %w", err)
	}
	o.gateClosed = false
	return nil
}

// looked keeps the books after a look at the outbox that took rows.
func (o *owner) looked(rows []takenRow, now time.Time) {
	size, last, awaited := 0, int64(0), false
	for i := range rows {
		o.floor.took(rows[i].id)
		size, last = size+rows[i].size, rows[i].id
		awaited = awaited || rows[i].origins != nil
	}
	cut := len(rows) == takeRows || size >= takeBytes
	o.floor.looked(last, cut)
	if len(rows) > 0 {
		o.attention.found(now, awaited || cut)
	} else {
		o.attention.nothing(now)
	}
}

// nth is the i-th of what a row may not have, else empty.
func nth(of []*string, i int) string {
	if of == nil || of[i] == nil {
		return ""
	}
	return *of[i]
}
