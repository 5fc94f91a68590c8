package reader

import "context"

// Renew begins the subscriptions to some channels anew, because Config.Keep says something else of them now and
// their epochs are over. What is published to them meanwhile may be handed on or not: whoever listens is to be told
// to come back.
func (r *Reader) Renew(ctx context.Context, which func(channel string) bool) {
	renewed := make(map[string]*subscription)
	var old []*subscription
	r.subs.mu.Lock()
	for channel, sub := range r.subs.byName {
		if which(channel) {
			size, _ := r.cfg.Keep(channel)
			renewed[channel] = &subscription{stored: size > 0, busy: size > 0}
			r.subs.byName[channel] = renewed[channel]
			old = append(old, sub)
		}
	}
	r.subs.mu.Unlock()
	for _, sub := range old {
		sub.end()
	}
	for channel, sub := range renewed {
		if r.load(ctx, channel, sub) != nil { // the repair, which tries until it can, does it too
			r.repair.add(channel, sub)
		}
	}
}
