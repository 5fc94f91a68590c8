package reader

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/millrace-dev/millrace/internal/postgres"
)

const (
	// repairChannels are read in one statement, each up to repairRows rows.
	repairChannels = 256
	repairRows     = 256
	repairTime     = 20 * time.Second

	repairBackoffMin = 50 * time.Millisecond
	repairBackoffMax = 2 * time.Second
)

// repairs are the channels that wait for a round of repair.
type repairs struct {
	ready chan struct{}

	mu      sync.Mutex
	waiting map[string]*subscription
}

func newRepairs() repairs {
	return repairs{ready: make(chan struct{}, 1), waiting: map[string]*subscription{}}
}

func (q *repairs) add(channel string, sub *subscription) {
	q.mu.Lock()
	q.waiting[channel] = sub
	q.mu.Unlock()
	q.signal()
}

func (q *repairs) signal() {
	select {
	case q.ready <- struct{}{}:
	default:
	}
}

// take removes up to a statement's worth of channels.
func (q *repairs) take() map[string]*subscription {
	q.mu.Lock()
	defer q.mu.Unlock()
	page := map[string]*subscription{}
	for channel, sub := range q.waiting {
		if len(page) == repairChannels {
			q.signal()
			break
		}
		page[channel] = sub
		delete(q.waiting, channel)
	}
	return page
}

// repairAll repairs what waits until ctx ends. A page that could not be read is
// tried again for as long as it takes.
func (r *Reader) repairAll(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.repair.ready:
		}
		page := r.repair.take()
		wait := postgres.NewBackoff(repairBackoffMin, repairBackoffMax)
		for warned := false; ; warned = true {
			err := r.repairPage(ctx, page)
			if err == nil || ctx.Err() != nil {
				break
			}
			if !warned { // an outage is one line, not thousands
				r.log.Warn("channels cannot be repaired yet", "err", err)
			}
			if !wait.Sleep(ctx) {
				return
			}
		}
	}
}

// repairPage is one round of repair for the channels in page. Those that need
// another one wait for it.
func (r *Reader) repairPage(ctx context.Context, page map[string]*subscription) error {
	ctx, cancel := context.WithTimeout(ctx, repairTime)
	defer cancel()
	for channel, sub := range page { // nobody listens any more, or somebody has begun anew
		if r.subs.get(channel) != sub {
			delete(page, channel)
		}
	}
	channels, offsets, epochs := make([]string, 0, len(page)), make([]int64, 0, len(page)), make([]string, 0, len(page))
	for channel, sub := range page {
		from := sub.round()
		channels, offsets, epochs = append(channels, channel), append(offsets, int64(from.Offset)), append(epochs, from.Epoch) //nolint:gosec // offsets are below 2^63
	}
	r.counters.repairs.Add(uint64(len(page)))
	tops := make(map[string]Position, len(page))
	counts := make(map[string]int, len(page))
	rows, err := r.cfg.Pool.Query(ctx, sqlRepair, channels, offsets, epochs, repairRows)
	if err != nil {
		return fmt.Errorf("repair %d channels: %w", len(page), err)
	}
	defer rows.Close()
	for rows.Next() {
		var channel string
		var top Position
		p, err := scanPublication(rows, &channel, &top)
		if err != nil {
			return fmt.Errorf("repair %d channels: %w", len(page), err)
		}
		tops[channel] = top
		if p != nil {
			counts[channel]++
			sub := page[channel]
			sub.repaired(p.Position, func() { r.handOn(channel, sub, p) })
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("repair %d channels: %w", len(page), err)
	}
	for channel, sub := range page {
		if counts[channel] == repairRows || sub.settle(tops[channel], func() { r.cfg.Rewound(channel) }) {
			r.repair.add(channel, sub)
		}
	}
	return nil
}
