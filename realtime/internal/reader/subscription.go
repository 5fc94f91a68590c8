package reader

import (
	"context"
	"sync"
)

// subscription is a channel that somebody on this instance listens to.
type subscription struct {
	stored bool // the channel has a history; the rest is for those

	mu     sync.Mutex
	ended  bool         // nobody listens any more
	handed Position     // up to where publications were handed on
	busy   bool         // loading or repairing
	seen   Position     // the last one notified since the present round of repair began
	lost   bool         // notifications were lost since the present round began
	acked  Position     // the last one that a publisher of this instance was told of
	last   *Publication // handed on, where the one after it may be sent as a difference

	settled chan struct{} // closed when the present round has ended, if somebody waits for that
}

// offer hands a notified publication on if it is the next one. It reports true
// if that takes a repair, which is then the caller's to start.
func (s *subscription) offer(p Position, announced bool, deliver func()) (repair bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.ended:
		return false
	case s.busy:
		s.seen = p
		return false
	case p.Epoch == s.handed.Epoch && p.Offset <= s.handed.Offset:
		return false // a repair was faster
	case p.Epoch == s.handed.Epoch && p.Offset == s.handed.Offset+1 && !announced:
		s.handed = p
		deliver()
		return false
	default:
		s.busy, s.seen = true, p
		return true
	}
}

// miss notes that notifications were lost. It reports true if the caller has to
// start a repair.
func (s *subscription) miss() (repair bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.busy {
		s.lost = true
		return false
	}
	s.busy = true
	return true
}

// round begins a round of repair and returns from where to read. What was
// notified before is committed, so this round will see it.
func (s *subscription) round() Position {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen, s.lost = Position{}, false
	return s.handed
}

// repaired hands on a publication from the table.
func (s *subscription) repaired(p Position, deliver func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended || (p.Epoch == s.handed.Epoch && p.Offset <= s.handed.Offset) {
		return
	}
	s.handed = p
	deliver()
}

// settle ends a round that has read everything up to top, or the loading that
// found top. It reports true if another round has to follow. missed is called when
// what was handed on does not lead to top: what is between was trimmed, and
// perhaps nothing follows that would show the jump; or the history has gone back,
// because the database is another one, which lost its last commits and gives the
// same offsets again.
func (s *subscription) settle(top Position, missed func()) (again bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.release()
	loading := s.handed == Position{}
	jump := !loading && s.handed.Offset != top.Offset
	s.handed = top
	if jump && !s.ended {
		missed()
	}
	unseen := s.seen != Position{} && (s.seen.Epoch != s.handed.Epoch || s.seen.Offset > s.handed.Offset)
	s.busy = unseen || s.lost
	return s.busy
}

// top returns the position handed on if that is known to be the channel's top.
func (s *subscription) top() (p Position, known bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	behind := s.acked.Epoch == s.handed.Epoch && s.acked.Offset > s.handed.Offset
	return s.handed, s.stored && !s.busy && !behind
}

func (s *subscription) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	s.release()
}

func (s *subscription) ack(p Position) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.Epoch != s.acked.Epoch || p.Offset > s.acked.Offset { // publishers are not told in order
		s.acked = p
	}
}

// subscriptions are those of this instance.
type subscriptions struct {
	mu     sync.RWMutex
	byName map[string]*subscription
}

func (all *subscriptions) get(channel string) *subscription {
	all.mu.RLock()
	defer all.mu.RUnlock()
	return all.byName[channel]
}

// Subscribe begins to hand on a channel's publications: those above the top at
// some moment before Subscribe returns. Subscribing again changes nothing.
func (r *Reader) Subscribe(ctx context.Context, channel string) error {
	size, _ := r.cfg.Keep(channel)
	sub := &subscription{stored: size > 0, busy: size > 0}
	r.subs.mu.Lock()
	if r.subs.byName[channel] != nil {
		r.subs.mu.Unlock()
		return nil
	}
	r.subs.byName[channel] = sub
	r.subs.mu.Unlock()
	if err := r.load(ctx, channel, sub); err != nil {
		r.Unsubscribe(channel)
		return err
	}
	return nil
}

// load begins a subscription at the channel's top.
func (r *Reader) load(ctx context.Context, channel string, sub *subscription) error {
	if !sub.stored {
		return nil
	}
	top, err := r.readTop(ctx, channel)
	if err != nil {
		return err
	}
	if sub.settle(top, func() {}) {
		r.repair.add(channel, sub)
	}
	return nil
}

// Unsubscribe ends what Subscribe began. Nothing is handed on after it returns.
func (r *Reader) Unsubscribe(channel string) {
	r.subs.mu.Lock()
	sub := r.subs.byName[channel]
	delete(r.subs.byName, channel)
	r.subs.mu.Unlock()
	if sub != nil {
		sub.end()
	}
}

// Acked notes what a publisher of this instance was told, so that Top is never
// below it.
func (r *Reader) Acked(channel string, p Position) {
	if sub := r.subs.get(channel); sub != nil && p.Offset > 0 {
		sub.ack(p)
	}
}

// Refresh reads a channel's position again, if it is subscribed to.
func (r *Reader) Refresh(channel string) {
	if sub := r.subs.get(channel); sub != nil && sub.stored && sub.miss() {
		r.repair.add(channel, sub)
	}
}

// repairSubscribed repairs all channels.
func (r *Reader) repairSubscribed() {
	r.subs.mu.RLock()
	defer r.subs.mu.RUnlock()
	for channel, sub := range r.subs.byName {
		if sub.stored && sub.miss() {
			r.repair.add(channel, sub)
		}
	}
}
