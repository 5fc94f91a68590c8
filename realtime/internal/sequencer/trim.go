package sequencer

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	trimRows = 2000 // that one statement deletes
	// trimChannels is how many one statement looks at: under a snapshot that is
	// held, the first look at each meets all that was deleted from it.
	trimChannels = 16
	// clearFor is how long what is known to be deleted counts. Then it is looked
	// at anew, for a row that a clock set back made look younger than it was.
	clearFor = time.Hour
	clearMax = 100_000 // channels
)

// cleared are the offsets up to which channels are known to have no messages.
type cleared struct {
	upTo  map[string]int64
	since time.Time
}

func newCleared() *cleared { return &cleared{upTo: map[string]int64{}, since: time.Now()} }

func (c *cleared) add(channel string, upTo int64) {
	if before, known := c.upTo[channel]; upTo > before && (known || len(c.upTo) < clearMax) {
		c.upTo[channel] = upTo
	}
}

// trim deletes what the histories of channels with these tops do not show any
// more, in batches, each its own transaction. What it has not come to within
// trimTime is left for the next time.
func (s *Sequencer) trim(ctx context.Context, tops map[string]uint64, clean *cleared) error {
	if time.Since(clean.since) > clearFor {
		*clean = *newCleared()
	}
	end := time.Now().Add(trimTime)
	for channels := range slices.Chunk(slices.Sorted(maps.Keys(tops)), trimChannels) {
		for more := true; more; {
			if time.Now().After(end) {
				return nil
			}
			var err error
			if more, err = s.trimBatch(ctx, channels, tops, clean); err != nil {
				return err
			}
		}
	}
	return nil
}

// trimBatch deletes the next rows of channels and reports whether there may be more.
func (s *Sequencer) trimBatch(ctx context.Context, channels []string, tops map[string]uint64, clean *cleared) (more bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, trimTime)
	defer cancel()
	n := len(channels)
	keep, seconds, from, top := make([]int64, n), make([]int64, n), make([]int64, n), make([]int64, n)
	for i, channel := range channels {
		size, ttl := s.cfg.Keep(channel)
		top[i] = int64(tops[channel]) //nolint:gosec // offsets are below 2^63
		keep[i], seconds[i], from[i] = top[i]-int64(size), int64(ttl/time.Second), clean.upTo[channel]
	}
	rows, err := s.cfg.Pool.Query(ctx, sqlTrim, channels, keep, seconds, from, top, trimRows)
	deleted := 0
	if err == nil {
		var channel string
		var upTo int64
		var count int
		_, err = pgx.ForEachRow(rows, []any{&channel, &upTo, &count}, func() error {
			deleted += count
			clean.add(channel, upTo)
			return nil
		})
	}
	if err != nil {
		return false, fmt.Errorf("trim %d histories: %w", n, err)
	}
	return deleted == trimRows, nil
}
