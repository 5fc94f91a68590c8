package realtime

import (
	"sync"

	"github.com/centrifugal/centrifuge"
)

// settling are the subscriptions that are being set up. That somebody has joined may be notified before it is
// answered that he has: this hub's subscribers are told then when it is, so that he hears of himself as well.
type settling struct {
	mu    sync.Mutex
	under map[memberKey]*held
}

// held is a join that is not told yet.
type held struct{ tell func() }

// begin brackets the setting up of a client's subscription; end comes when it was answered.
func (s *settling) begin(channel, client string) (end func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.under == nil {
		s.under = make(map[memberKey]*held)
	}
	key, here := memberKey{channel, client}, &held{}
	if before := s.under[key]; before != nil { // answered, if not yet at its end
		before.release()
	}
	s.under[key] = here
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.under[key] == here { // a later one may have begun, after this one had failed
			delete(s.under, key)
		}
		here.release()
	}
}

// has says whether a subscription is being set up.
func (s *settling) has(channel, client string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.under[memberKey{channel, client}] != nil
}

// join tells of one, now or when it is settled; leave tells of one, but of the join first.
func (s *settling) join(channel, client string, tell func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if h := s.under[memberKey{channel, client}]; h != nil {
		h.release()
		h.tell = tell
		return
	}
	tell()
}

func (s *settling) leave(channel, client string, tell func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if h := s.under[memberKey{channel, client}]; h != nil {
		h.release()
	}
	tell()
}

func (h *held) release() {
	if h.tell != nil {
		h.tell()
		h.tell = nil
	}
}

// tellPresence is where notifications of joins and leaves arrive.
func (h *Hub) tellPresence(channel string, joined bool, info *centrifuge.ClientInfo) {
	// The errors say that a connection could not be written to, which the node deals with.
	if joined {
		h.settling.join(channel, info.ClientID, func() { _ = h.node.HandleJoin(channel, info) })
	} else {
		h.settling.leave(channel, info.ClientID, func() { _ = h.node.HandleLeave(channel, info) })
	}
}
