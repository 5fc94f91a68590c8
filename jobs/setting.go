package jobs

import (
	"context"
	_ "embed"
	"fmt"
)

//go:embed sql/setting_store.sql
var settingStoreSQL string

// tellSettings lets millrace.enqueue know what this node takes. Of several nodes that differ the last one counts; those
// that run no jobs do not.
func (s *Service) tellSettings(ctx context.Context) error {
	if s.cfg.InsertOnly {
		return nil
	}

	if _, err := s.pool.Exec(ctx, settingStoreSQL, s.cfg.MaxInput); err != nil {
		return fmt.Errorf("store the settings: %w", err)
	}

	return nil
}
