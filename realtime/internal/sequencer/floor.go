package sequencer

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

const floorEach = time.Second

// floor is the id below which the outbox is known to hold nothing and never
// will. Without it every look under a long-open snapshot walks all rows that
// were ever deleted.
//
// Source of the rule: a transaction gets its xid before it draws an id (the
// order of the columns' defaults). So whoever drew an id up to the sequence's
// last value has an xid below the xmax of a snapshot taken afterwards. When a
// later snapshot's xmin has reached that xmax, they have all ended, and a look
// that then finds the outbox emptied has seen everything up to that last value. A
// look that takes the oldest rows of a backlog has seen everything up to the last
// of them.
//
// So a transaction that has written anything, anywhere on the server, and stays open
// holds the floor where it is; looks then walk what was taken since it began.
type floor struct {
	value int64 // ids up to it are done

	seen      int64 // the highest id taken
	candidate int64 // the last value, 0 while there is none
	xmax      int64
	passed    bool // all that drew an id up to candidate have ended
	next      time.Time
}

// took is told of an id that was taken.
func (f *floor) took(id int64) { f.seen = max(f.seen, id) }

// looked is told that a look which began after the last advance took all that it
// saw; if cut, all up to last.
func (f *floor) looked(last int64, cut bool) {
	switch {
	case !f.passed:
	case cut && last < f.candidate:
		f.value = max(f.value, last)
	default:
		f.value, f.candidate, f.passed = f.candidate, 0, false
	}
}

func (f *floor) due(now time.Time) bool {
	return !now.Before(f.next) && !f.passed && (f.candidate != 0 || f.seen > f.value)
}

// advance makes the next step.
func (f *floor) advance(ctx context.Context, conn *pgx.Conn, now time.Time) error {
	f.next = now.Add(floorEach)
	ctx, cancel := bounded(ctx)
	defer cancel()
	if f.candidate == 0 {
		// The last value is read first: an id drawn between the two statements is above it.
		var last, xmin int64
		if err := conn.QueryRow(ctx, sqlLastID).Scan(&last); err != nil {
			return fmt.Errorf("read the outbox's last id: %w", err)
		}
		if err := conn.QueryRow(ctx, sqlSnapshot).Scan(&xmin, &f.xmax); err != nil {
			return fmt.Errorf("read the snapshot's horizon: %w", err)
		}
		f.candidate = last
		return nil
	}
	var xmin, xmax int64
	if err := conn.QueryRow(ctx, sqlSnapshot).Scan(&xmin, &xmax); err != nil {
		return fmt.Errorf("read the snapshot's horizon: %w", err)
	}
	f.passed = xmin >= f.xmax
	return nil
}
