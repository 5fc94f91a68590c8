package reader

import (
	"context"
	"fmt"
)

// catchUpRounds is how often a subscription has to settle until it has read what
// was committed before CatchUp: a round of repair that is under way may have
// begun too early, the one after it has not.
const catchUpRounds = 2

// CatchUp waits until this instance, if it listens to the channel, has handed on
// all up to p. It is for a subscriber that has p from elsewhere, as another
// instance was faster: what is handed on while it subscribes is for it, so it
// would be given publications that it has. A position that does not exist is not
// waited for.
func (r *Reader) CatchUp(ctx context.Context, channel string, p Position) error {
	sub := r.subs.get(channel)
	if sub == nil || !sub.stored {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, readTime)
	defer cancel()
	for range catchUpRounds {
		settled, behind, repair := sub.behind(p)
		if !behind {
			return nil
		}
		if repair {
			r.repair.add(channel, sub)
		}
		select {
		case <-settled:
		case <-ctx.Done():
			return fmt.Errorf("catch up with offset %d of channel %s: %w", p.Offset, channel, context.Cause(ctx))
		}
	}
	return nil
}

// behind reports whether p was not handed on yet. Then settled is closed when the
// present round of repair has ended, or the one that is the caller's to start if
// repair is true.
func (s *subscription) behind(p Position) (settled <-chan struct{}, behind, repair bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended || (s.handed.Epoch == p.Epoch && s.handed.Offset >= p.Offset) {
		return nil, false, false
	}
	if s.settled == nil {
		s.settled = make(chan struct{})
	}
	if s.busy {
		s.lost = true
		return s.settled, true, false
	}
	s.busy = true
	return s.settled, true, true
}

// release lets go who waits in CatchUp. The subscription is locked.
func (s *subscription) release() {
	if s.settled != nil {
		close(s.settled)
		s.settled = nil
	}
}
