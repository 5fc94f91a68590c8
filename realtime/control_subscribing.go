package realtime

import "sync"

// channelSet are the channels to which a connection is being subscribed: a command to unsubscribe meets those too.
type channelSet struct {
	mu    sync.Mutex
	names map[string]struct{}
}

// begin adds a channel and returns what removes it.
func (s *channelSet) begin(channel string) (end func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.names == nil {
		s.names = make(map[string]struct{})
	}
	s.names[channel] = struct{}{}
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.names, channel)
		if len(s.names) == 0 {
			s.names = nil // most connections subscribe once, and live long
		}
	}
}

func (s *channelSet) has(channel string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, found := s.names[channel]
	return found
}
