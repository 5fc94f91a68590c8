package functions

import (
	"context"
	"time"
)

// follow keeps the map of live functions up to date until ctx ends: at once after a notification, and every second in
// case that one was lost.
func (s *Service) follow(ctx context.Context) {
	tick := time.NewTicker(s.poll)
	defer tick.Stop()

	failing := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-s.live.hint:
		}

		err := s.live.refresh(ctx)
		if ctx.Err() != nil {
			return
		}

		switch {
		case err != nil && !failing: // one line for an outage, not one a second
			s.log.Warn("functions: cannot follow deploys; functions go on in their present versions", "err", err)
		case err == nil && failing:
			s.log.Info("functions: following deploys again")
		}
		failing = err != nil
	}
}
