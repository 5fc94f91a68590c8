package jobs

import (
	"errors"
	"fmt"
)

// register makes the service's metrics and shows them to the registry, if there is one.
func (s *Service) register() error {
	if s.cfg.Metrics == nil {
		return nil
	}

	s.meters = newMeters()

	errs := make([]error, 0)
	for _, collector := range s.meters.all() {
		errs = append(errs, s.cfg.Metrics.Register(collector))
	}

	slots := s.cfg.Queues
	if s.cfg.InsertOnly {
		slots = nil
	}

	errs = append(errs, s.cfg.Metrics.Register(&depths{pool: s.pool, slots: slots, attempts: s.attempts, log: s.log}))
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("register the metrics of jobs: %w", err)
	}

	return nil
}
