package sequencer

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// topsGeneration is how many channels a generation of tops holds, some 100
// bytes each.
const topsGeneration = 50_000

// tops are the tops of the channels that were published to of late: two
// generations, of which the older is forgotten when the younger is full.
type tops struct{ young, old map[string]*Position }

func newTops() tops { return tops{young: map[string]*Position{}, old: map[string]*Position{}} }

// get returns a channel's top, to be counted up in place, or nil.
func (t *tops) get(channel string) *Position {
	if p := t.young[channel]; p != nil {
		return p
	}
	p := t.old[channel]
	if p != nil {
		t.put(channel, p)
	}
	return p
}

func (t *tops) put(channel string, p *Position) {
	if len(t.young) >= topsGeneration {
		t.old, t.young = t.young, map[string]*Position{}
	}
	t.young[channel] = p
}

// load reads the tops of channels from the database into found, creating those
// that are new.
func (t *tops) load(ctx context.Context, conn *pgx.Conn, channels []string, found map[string]*Position) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	rows, err := conn.Query(ctx, sqlTops, channels)
	if err == nil {
		var channel string
		var p Position
		_, err = pgx.ForEachRow(rows, []any{&channel, &p.Offset, &p.Epoch}, func() error {
			top := p
			t.put(channel, &top)
			found[channel] = &top
			return nil
		})
	}
	if err != nil {
		return fmt.Errorf("read the tops of %d channels: %w", len(channels), err)
	}
	return nil
}
