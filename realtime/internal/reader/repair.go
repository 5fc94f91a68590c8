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
	waiting map[*subscription]string // and their channels
}

func newRepairs() repairs {
	return repairs{ready: make(chan struct{}, 1), waiting: map[*subscription]string{}}
}

// add takes what has ended too, which may come after the subscription that
// followed it on the same channel and must not take its place.
func (q *repairs) add(channel string, sub *subscription) {
	q.mu.Lock()
	q.waiting[sub] = channel
	q.mu.Unlock()
	q.signal()
}

func (q *repairs) signal() {
	select {
	case q.ready <- struct{}{}:
	default:
	}
}

// take removes up to a statement's worth of subscriptions.
func (q *repairs) take() map[*subscription]string {
	q.mu.Lock()
	defer q.mu.Unlock()
	some := map[*subscription]string{}
	for sub, channel := range q.waiting {
		if len(some) == repairChannels {
			q.signal()
			break
		}
		some[sub] = channel
		delete(q.waiting, sub)
	}
	return some
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
		page := r.present(r.repair.take())
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

// present leaves out the subscriptions that have ended.
func (r *Reader) present(some map[*subscription]string) (page map[string]*subscription) {
	page = make(map[string]*subscription, len(some))
	for sub, channel := range some {
		if r.subs.get(channel) == sub {
			page[channel] = sub
		}
	}
	return page
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
		if counts[channel] == repairRows || sub.settle(tops[channel], func() { r.cfg.Missed(channel) }) {
			r.repair.add(channel, sub)
		}
	}
	return nil
}
