package jobs

// heard takes the hints that concern what runs here, on the listener's own goroutine. Each has a poll behind it: a
// lost cancellation is found by the sweeper, a waiting job by the promoter.
func (s *Service) heard(payload string) {
	parseHints(payload, func(h hint) {
		switch {
		case h.kind == hintCancel:
			if a := s.attempts.get(h.id, h.attempt); a != nil {
				a.stop(errCancelled)
			}
		case h.kind == hintState && (h.state == StateScheduled || h.state == StateRetrying):
			s.promoter.Expect(0)
		case h.kind == hintEnqueued:
			s.follower.follow(h.queue)
		}
	})
}
