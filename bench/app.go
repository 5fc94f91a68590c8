package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/millrace-dev/millrace"
	"github.com/millrace-dev/millrace/internal/auth"
	"github.com/millrace-dev/millrace/internal/postgres"
	"github.com/millrace-dev/millrace/migrations"
)

// withApp runs f beside an App in this process, for what is measured through
// the Go API. register may add functions.
func withApp(
	ctx context.Context, c *postgres.Cluster, slots int, register func(*millrace.App), f func(*millrace.App) error,
) error {
	return withAppOf(ctx, c, millrace.Config{Queues: map[string]int{"default": slots}}, register, f)
}

// withAppOf is withApp with a configuration, in which the database, the address and the log need not be.
func withAppOf(
	ctx context.Context, c *postgres.Cluster, config millrace.Config, register func(*millrace.App), f func(*millrace.App) error,
) error {
	config.DatabaseURL, config.Addr = c.URL(), "127.0.0.1:0"
	config.Logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	app, err := millrace.New(config)
	if err != nil {
		return err
	}
	register(app)
	if err := app.Start(ctx); err != nil {
		return err
	}
	return errors.Join(f(app), app.Stop(context.WithoutCancel(ctx)))
}

// ensureKey puts the bench's key into a database before a server runs on it.
func ensureKey(ctx context.Context, c *postgres.Cluster) error {
	pool, err := postgres.Open(ctx, postgres.Config{URL: c.URL(), MaxConns: 2})
	if err != nil {
		return err
	}
	defer pool.Close()
	if _, err := migrations.Up(ctx, pool); err != nil {
		return err
	}
	if _, err := auth.NewStore(pool, nil, nil).EnsureKey(ctx, benchKey); err != nil {
		return fmt.Errorf("make the bench's key: %w", err)
	}
	return nil
}
