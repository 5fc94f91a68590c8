package migrations

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
)

// riverTarget is the version of River's schema that the pinned River needs.
// Raise it together with River, in a migration of its own.
const riverTarget = 8

// River's steps commit one by one: its version 6 uses an enum value that its
// version 4 adds, which Postgres refuses inside one transaction. River keeps
// its own record, so a run that was cut short goes on where it stopped.
func riverUp(ctx context.Context, _ pgx.Tx, pool *pgxpool.Pool) error {
	return migrateRiver(ctx, pool, rivermigrate.DirectionUp, riverTarget)
}

func riverDown(ctx context.Context, _ pgx.Tx, pool *pgxpool.Pool) error {
	return migrateRiver(ctx, pool, rivermigrate.DirectionDown, -1)
}

func migrateRiver(ctx context.Context, pool *pgxpool.Pool, direction rivermigrate.Direction, target int) error {
	m, err := rivermigrate.New(riverpgxv5.New(pool), &rivermigrate.Config{
		Schema: schema,
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return fmt.Errorf("make River's migrator: %w", err)
	}
	if _, err := m.Migrate(ctx, direction, &rivermigrate.MigrateOpts{TargetVersion: target}); err != nil {
		return fmt.Errorf("run River's migrations: %w", err)
	}
	return nil
}
