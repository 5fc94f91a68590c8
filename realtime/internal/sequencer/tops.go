package sequencer

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// topsGeneration is how many channels a generation of tops holds, some 150
	// bytes each.
	topsGeneration = 50_000
	// topsFor is how long a top is remembered. Reading it again keeps the
	// channel's row from being expired.
	topsFor = 24 * time.Hour
)

// top is the last that was given out of a channel with history.
type top struct {
	offset uint64
	// epoch is as the tables have it, suffix what readers see after it: see the
	// view millrace.channel_now.
	epoch, suffix string
	// version is that of the last publication that had one, 0 when none had.
	version      uint64
	versionEpoch string
	marked       bool      // in the table, as one whose publications may be lost
	since        time.Time // when it was read
}

// position is the top as publishers and readers see it.
func (t *top) position() Position {
	if t.suffix == "" {
		return Position{Offset: t.offset, Epoch: t.epoch}
	}
	return Position{Offset: t.offset, Epoch: t.epoch + t.suffix}
}

// stale says whether a publication with these options is not newer than what the
// channel has had. The rule is that of centrifuge's brokers.
func (t *top) stale(o *Options) bool {
	return o.Version > 0 && o.Version <= t.version && (o.VersionEpoch == "" || o.VersionEpoch == t.versionEpoch)
}

// tops are the tops of the channels that were published to of late: two
// generations, of which the older is forgotten when the younger is full.
type tops struct{ young, old map[string]*top }

func newTops() tops { return tops{young: map[string]*top{}, old: map[string]*top{}} }

// get returns a channel's top, to be counted up in place, or nil.
func (t *tops) get(channel string, now time.Time) *top {
	p := t.young[channel]
	if p == nil {
		if p = t.old[channel]; p != nil {
			t.put(channel, p)
		}
	}
	if p != nil && now.Sub(p.since) > topsFor {
		return nil
	}
	return p
}

func (t *tops) put(channel string, p *top) {
	if len(t.young) >= topsGeneration {
		t.old, t.young = t.young, map[string]*top{}
	}
	t.young[channel] = p
}

// load reads the tops of channels from the database into found, creating those
// that are new. relaxed says for each whether its publications may be lost in a
// crash, which the row has to know before one can be.
func (t *tops) load(ctx context.Context, conn *pgx.Conn, channels []string, relaxed []bool, found map[string]*top) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	rows, err := conn.Query(ctx, sqlTops, channels, relaxed, thisShard)
	if err == nil {
		var channel string
		var p top
		now := time.Now()
		_, err = pgx.ForEachRow(rows, []any{&channel, &p.offset, &p.epoch, &p.suffix, &p.version, &p.versionEpoch, &p.marked}, func() error {
			one := p
			one.since = now
			t.put(channel, &one)
			found[channel] = &one
			return nil
		})
	}
	if err != nil {
		return fmt.Errorf("read the tops of %d channels: %w", len(channels), err)
	}
	return nil
}
