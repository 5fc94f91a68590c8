package sequencer

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

// resolve looks up the hand-overs that have waited for a second (the
// notification that answers them may have been lost) and those whose insert was
// not answered. The outbox is read before the messages, so that a row which is
// moved meanwhile is seen in one of them. soon is when to look again.
func (s *Sequencer) resolve(ctx context.Context, conn *pgx.Conn) (soon time.Time, err error) {
	soon = time.Now().Add(s.cfg.tend())
	rows := s.overdue()
	if len(rows) == 0 {
		return soon, nil
	}
	gone, err := s.gone(ctx, conn, rows)
	if err != nil {
		return soon, err
	}
	for row := range rows {
		if row.id == 0 { // the old session is just ending
			soon = time.Now().Add(unansweredEach)
		}
	}
	if len(gone) == 0 {
		return soon, nil
	}
	found, err := published(ctx, conn, gone)
	if err == nil {
		err = leftOut(ctx, conn, gone, found)
	}
	if err != nil {
		return soon, err
	}
	s.conclude(gone, found)
	return soon, nil
}

// overdue returns the hand-overs to look up, by their rows.
func (s *Sequencer) overdue() map[*handoverRow][]*handover {
	rows := map[*handoverRow][]*handover{}
	for _, h := range s.handed.all() {
		if h.row.id == 0 || time.Since(h.row.since) >= s.cfg.tend() {
			rows[h.row] = append(rows[h.row], h)
		}
	}
	return rows
}

// conclude answers the hand-overs that are not in the outbox any more, or sends
// them again.
func (s *Sequencer) conclude(gone []*handover, found map[string]Result) {
	var again []*request
	slices.SortFunc(gone, func(a, b *handover) int { return cmp.Compare(a.number, b.number) })
	for _, h := range gone {
		result, isThere := found[h.origin]
		r := s.handed.remove(h.origin)
		switch {
		case r == nil: // answered meanwhile
		case isThere:
			s.finish(r, Answer{Result: result})
		case r.repeatable(), h.row.id == 0 && time.Since(h.row.since) < leastAge:
			// Its key keeps it from being published twice, or it was never inserted: what was published is not removed before that age.
			again = append(again, r)
		default: // taken and not there: the database lost its last commits, or the history was removed
			s.finish(r, Answer{Err: ErrOutcomeUnknown})
		}
	}
	s.giveBack(again)
}

// gone returns the hand-overs that are not in the outbox and will not be.
func (s *Sequencer) gone(ctx context.Context, conn *pgx.Conn, rows map[*handoverRow][]*handover) ([]*handover, error) {
	ids := make([]int64, 0, len(rows))
	var list []*handover
	for row, hs := range rows {
		if row.id == 0 {
			alive, err := findUnanswered(ctx, conn, row)
			if err != nil {
				return nil, err
			}
			if row.id == 0 && !alive {
				list = append(list, hs...)
			}
		}
		if row.id != 0 {
			ids = append(ids, row.id)
		}
	}
	waiting, err := stillWaiting(ctx, conn, ids)
	if err != nil {
		return nil, err
	}
	for row, hs := range rows {
		if row.id != 0 && !waiting[row.id] {
			list = append(list, hs...)
		}
	}
	return list, nil
}

// findUnanswered fills in row.id if the row is there. alive says that the old
// session may still commit it. It is asked first: what it commits before it
// ends is then seen.
func findUnanswered(ctx context.Context, conn *pgx.Conn, row *handoverRow) (alive bool, err error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	if err := conn.QueryRow(ctx, sqlSessionAlive, int32(row.pid), row.began).Scan(&alive); err != nil { //nolint:gosec // a pid
		return false, fmt.Errorf("look for an old session: %w", err)
	}
	found, err := conn.Query(ctx, sqlFindHandover, thisShard, row.first)
	if err == nil {
		var ids []int64
		if ids, err = pgx.CollectRows(found, pgx.RowTo[int64]); err == nil && len(ids) == 1 {
			row.id = ids[0]
		}
	}
	if err != nil {
		return false, fmt.Errorf("look for a hand-over: %w", err)
	}
	return alive, nil
}

func stillWaiting(ctx context.Context, conn *pgx.Conn, ids []int64) (map[int64]bool, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	rows, err := conn.Query(ctx, sqlStillWaiting, thisShard, ids)
	waiting := map[int64]bool{}
	if err == nil {
		var id int64
		_, err = pgx.ForEachRow(rows, []any{&id}, func() error { waiting[id] = true; return nil })
	}
	if err != nil {
		return nil, fmt.Errorf("look for hand-overs: %w", err)
	}
	return waiting, nil
}

func published(ctx context.Context, conn *pgx.Conn, list []*handover) (map[string]Result, error) {
	channels, origins := make([]string, len(list)), make([]string, len(list))
	for i, h := range list {
		channels[i], origins[i] = h.request.Channel, h.origin
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	rows, err := conn.Query(ctx, sqlPublished, channels, origins)
	found := map[string]Result{}
	if err == nil {
		var origin string
		var p Position
		_, err = pgx.ForEachRow(rows, []any{&origin, &p.Offset, &p.Epoch}, func() error {
			found[origin] = Result{Position: p}
			return nil
		})
	}
	if err != nil {
		return nil, fmt.Errorf("look for published hand-overs: %w", err)
	}
	return found, nil
}

// leftOut adds the answers of hand-overs that published nothing.
func leftOut(ctx context.Context, conn *pgx.Conn, list []*handover, found map[string]Result) error {
	var origins, channels []string
	var keys, versionEpochs []*string
	var versions []*int64
	for _, h := range list {
		r := h.request
		if _, done := found[h.origin]; done || !r.mayBeLeftOut() {
			continue
		}
		origins, channels, keys = append(origins, h.origin), append(channels, r.Channel), append(keys, orNull(r.Key))
		versions, versionEpochs = append(versions, versionOrNull(r.Version)), append(versionEpochs, orNull(r.VersionEpoch))
	}
	if len(origins) == 0 {
		return nil
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	rows, err := conn.Query(ctx, sqlLeftOut, origins, channels, keys, versions, versionEpochs)
	if err == nil {
		var origin string
		var p Position
		var byKey bool
		_, err = pgx.ForEachRow(rows, []any{&origin, &p.Offset, &p.Epoch, &byKey}, func() error {
			found[origin] = Result{Position: p, Repeated: byKey, Skipped: !byKey}
			return nil
		})
	}
	if err != nil {
		return fmt.Errorf("look for hand-overs that were left out: %w", err)
	}
	return nil
}
