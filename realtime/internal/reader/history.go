package reader

import (
	"context"
	"errors"
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
)

// Query selects publications of a history.
type Query struct {
	// Since is exclusive: forwards what comes after it, with Reverse what comes
	// before. Nil starts at the oldest (with Reverse: the newest) one kept.
	Since *Position
	// Limit is the most publications to return; negative means all that are
	// kept, 0 none.
	Limit   int
	Reverse bool
}

// Top returns a channel's position: from memory where that is known to be
// right, else from the table.
func (r *Reader) Top(ctx context.Context, channel string) (Position, error) {
	if sub := r.subs.get(channel); sub != nil {
		if p, known := sub.top(); known && r.cfg.Healthy() {
			return p, nil
		}
	}
	return r.readTop(ctx, channel)
}

// readTop reads a channel's position and makes the channel if it is new.
func (r *Reader) readTop(ctx context.Context, channel string) (p Position, err error) {
	for range 2 {
		err = r.cfg.Pool.QueryRow(ctx, sqlTop, channel).Scan(&p.Offset, &p.Epoch)
		if !errors.Is(err, pgx.ErrNoRows) {
			break
		}
		if _, err := r.cfg.Pool.Exec(ctx, sqlCreate, channel); err != nil {
			return Position{}, fmt.Errorf("make channel %s: %w", channel, err)
		}
	}
	if err != nil {
		return Position{}, fmt.Errorf("read the position of channel %s: %w", channel, err)
	}
	return p, nil
}

// History reads publications together with the channel's position at that
// moment. It does not compare epochs: offsets are taken to be of the present one.
func (r *Reader) History(ctx context.Context, channel string, q Query) ([]*Publication, Position, error) {
	size, ttl := r.cfg.Keep(channel)
	if q.Limit == 0 || size == 0 {
		top, err := r.Top(ctx, channel)
		return nil, top, err
	}
	statement, since := sqlHistory, int64(0)
	if q.Reverse {
		statement, since = sqlHistoryReverse, math.MaxInt64
	}
	if q.Since != nil {
		since = int64(min(q.Since.Offset, math.MaxInt64))
	}
	limit := size
	if q.Limit > 0 {
		limit = min(q.Limit, size)
	}
	rows, err := r.cfg.Pool.Query(ctx, statement, channel, since, int64(size), ttl.Seconds(), int64(limit))
	if err != nil {
		return nil, Position{}, fmt.Errorf("read the history of channel %s: %w", channel, err)
	}
	defer rows.Close()
	var list []*Publication
	var top Position
	for rows.Next() {
		p, err := scanPublication(rows, &top)
		if err != nil {
			return nil, Position{}, fmt.Errorf("read the history of channel %s: %w", channel, err)
		}
		if p != nil {
			list = append(list, p)
		}
	}
	if err := rows.Err(); err != nil {
		return nil, Position{}, fmt.Errorf("read the history of channel %s: %w", channel, err)
	}
	if top.Epoch == "" { // a new channel
		top, err = r.readTop(ctx, channel)
	}
	return list, top, err
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

// Remove deletes a channel's history up to its present top. Later offsets go on
// from there.
func (r *Reader) Remove(ctx context.Context, channel string) error {
	ctx, cancel := context.WithTimeout(ctx, removeTime)
	defer cancel()
	top, err := r.readTop(ctx, channel)
	if err != nil {
		return err
	}
	for {
		tag, err := r.cfg.Pool.Exec(ctx, sqlRemove, channel, int64(top.Offset), removeRows) //nolint:gosec // offsets are below 2^63
		if err != nil {
			return fmt.Errorf("remove the history of channel %s: %w", channel, err)
		}
		if tag.RowsAffected() < removeRows {
			return nil
		}
	}
}
