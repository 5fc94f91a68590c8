package reader

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	removeRows = 5000
	// a channel of a million rows to remove takes some seconds
	removeTime = 30 * time.Second
	readTime   = 10 * time.Second
)

// MaxPageBytes bounds the data of what a Query returns: the publication that goes
// over it is the last one.
const MaxPageBytes = 8 << 20

// Query selects publications of a history.
type Query struct {
	// Since is exclusive: forwards what comes after it, with Reverse what comes
	// before. Nil starts at the oldest (with Reverse: the newest) one kept.
	Since *Position
	// Limit is the most publications to return, 0 none. Negative means all that are
	// kept or, where they are more than MaxPageBytes, the newest of them: who
	// recovers from further back sees that something is missing.
	Limit   int
	Reverse bool
}

// Top returns a channel's position: from memory where that is known to be
// right, else from the table.
func (r *Reader) Top(ctx context.Context, channel string) (Position, error) {
	if p, known := r.knownTop(channel); known {
		return p, nil
	}
	read := r.reads.do(flightKey{channel: channel}, 0, func(uint64) ([]*Publication, Position, error) {
		top, err := r.readTop(ctx, channel)
		return nil, top, err
	})
	return read.top, read.err
}

func (r *Reader) knownTop(channel string) (Position, bool) {
	sub := r.subs.get(channel)
	if sub == nil || !r.cfg.Healthy() {
		return Position{}, false
	}
	return sub.top()
}

// readTop reads a channel's position from the table.
func (r *Reader) readTop(ctx context.Context, channel string) (p Position, err error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	if err := r.cfg.Pool.QueryRow(ctx, sqlTop, channel).Scan(&p.Offset, &p.Epoch); err != nil {
		return Position{}, fmt.Errorf("read the position of channel %s: %w", channel, err)
	}
	return p, nil
}

// History reads publications together with the channel's position at that
// moment. Forwards from a position it returns those after the last hole, which is
// where something was trimmed or has expired. It does not compare epochs: offsets
// are taken to be of the present one.
func (r *Reader) History(ctx context.Context, channel string, q Query) ([]*Publication, Position, error) {
	size, _ := r.cfg.Keep(channel)
	if q.Limit == 0 || size == 0 {
		top, err := r.Top(ctx, channel)
		return nil, top, err
	}
	key := flightKey{channel: channel, limit: size, reverse: q.Reverse, whole: q.Limit < 0 && !q.Reverse}
	if q.Limit > 0 {
		key.limit = min(q.Limit, size)
	}
	since := uint64(0)
	if q.Reverse {
		since = math.MaxInt64
	}
	if q.Since != nil {
		since = min(q.Since.Offset, math.MaxInt64)
	}
	if top, known := r.knownTop(channel); known && q.Since != nil && !q.Reverse && *q.Since == top {
		return nil, top, nil
	}
	if !key.whole {
		key.since = since
	}
	read := r.reads.do(key, since, func(since uint64) ([]*Publication, Position, error) {
		return r.readHistory(ctx, key, since)
	})
	if read.err != nil {
		return nil, Position{}, read.err
	}
	list := read.list
	if q.Since != nil && !q.Reverse {
		list = gapless(list, since)
	}
	return list, read.top, nil
}

// gapless returns what of list, in the order of its offsets, comes after since
// and after the last hole.
func gapless(list []*Publication, since uint64) []*Publication {
	first := len(list)
	for first > 0 && list[first-1].Offset > since && (first == len(list) || list[first-1].Offset+1 == list[first].Offset) {
		first--
	}
	return list[first:]
}

func (r *Reader) readHistory(ctx context.Context, key flightKey, since uint64) ([]*Publication, Position, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	channel := key.channel
	size, ttl := r.cfg.Keep(channel)
	var top Position
	var list []*Publication
	rows, err := r.queryHistory(ctx, key, since, size, ttl)
	if err == nil {
		list, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (*Publication, error) { return scanPublication(row, &top) })
	}
	if err != nil {
		return nil, Position{}, fmt.Errorf("read the history of channel %s: %w", channel, err)
	}
	list = slices.DeleteFunc(list, func(p *Publication) bool { return p == nil })
	if key.whole {
		slices.Reverse(list)
	}
	return list, top, nil
}

// queryHistory sends the statement of a read. What goes on to the top is read from
// there, so that it is the oldest that is left out where all is too much.
func (r *Reader) queryHistory(ctx context.Context, key flightKey, since uint64, size int, ttl time.Duration) (pgx.Rows, error) {
	from, limit := int64(since), int64(key.limit) //nolint:gosec // below 2^63
	switch {
	case key.whole:
		return r.cfg.Pool.Query(ctx, sqlHistoryReverse, key.channel, int64(math.MaxInt64), int64(size), ttl.Seconds(), limit, int64(MaxPageBytes), from) //nolint:wrapcheck // the caller wraps it
	case key.reverse:
		return r.cfg.Pool.Query(ctx, sqlHistoryReverse, key.channel, from, int64(size), ttl.Seconds(), limit, int64(MaxPageBytes), int64(0)) //nolint:wrapcheck // the caller wraps it
	default:
		return r.cfg.Pool.Query(ctx, sqlHistory, key.channel, from, int64(size), ttl.Seconds(), limit, int64(MaxPageBytes)) //nolint:wrapcheck // the caller wraps it
	}
}

// bounded is the context of a read that others may have joined: it outlives who
// began it.
func bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), readTime)
}

// scanPublication reads a row that ends in top, epoch, pos, data, meta and
// created_at, of which the last four are null when there is no publication.
// before are the columns ahead of them, the last of which is the top.
func scanPublication(row pgx.Row, before ...any) (*Publication, error) {
	top, _ := before[len(before)-1].(*Position)
	var pos *int64
	var meta *string
	var at *time.Time
	p := &Publication{}
	into := slices.Concat(before[:len(before)-1], []any{&top.Offset, &top.Epoch, &pos, &p.Data, &meta, &at})
	if err := row.Scan(into...); err != nil {
		return nil, err //nolint:wrapcheck // the callers say what was being read
	}
	if pos == nil {
		return nil, nil //nolint:nilnil // no publication in this row
	}
	p.Position = Position{Offset: uint64(*pos), Epoch: top.Epoch} //nolint:gosec // offsets are positive
	if meta != nil {
		p.Meta = *meta
	}
	if at != nil {
		p.At = *at
	}
	return p, nil
}

// Remove deletes what is left of a channel's history after the sequencer has
// begun a new epoch for it.
func (r *Reader) Remove(ctx context.Context, channel string) error {
	ctx, cancel := context.WithTimeout(ctx, removeTime)
	defer cancel()
	for {
		tag, err := r.cfg.Pool.Exec(ctx, sqlRemove, channel, removeRows)
		if err != nil {
			return fmt.Errorf("remove the history of channel %s: %w", channel, err)
		}
		if tag.RowsAffected() < removeRows {
			return nil
		}
	}
}
