package main

import (
	"context"
	"errors"
	"maps"
	"os"

	"github.com/jackc/pgx/v5"

	"github.com/millrace-dev/millrace/internal/postgres"
)

// withCluster runs f beside a fresh Postgres with the settings of production.
func withCluster(ctx context.Context, f func(c *postgres.Cluster) error) error {
	return withClusterOf(ctx, nil, f)
}

// withClusterOf is withCluster with further server settings.
func withClusterOf(ctx context.Context, settings map[string]string, f func(c *postgres.Cluster) error) error {
	dir, err := os.MkdirTemp("", "millrace-bench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := os.Chmod(dir, 0o711); err != nil {
		return err
	}
	all := map[string]string{"shared_buffers": "512MB", "max_wal_size": "4GB"}
	maps.Copy(all, settings)
	c, err := postgres.StartCluster(ctx, postgres.ClusterConfig{DataDir: dir, Settings: all})
	if err != nil {
		return err
	}
	return errors.Join(f(c), c.Stop(context.WithoutCancel(ctx)))
}

// withConn runs f with a connection of its own.
func withConn(ctx context.Context, c *postgres.Cluster, f func(conn *pgx.Conn) error) error {
	conn, err := postgres.Connect(ctx, c.URL(), "bench")
	if err != nil {
		return err
	}
	return errors.Join(f(conn), conn.Close(context.WithoutCancel(ctx)))
}

// execute runs statements without parameters on a connection of its own.
func execute(ctx context.Context, c *postgres.Cluster, sql string) error {
	return withConn(ctx, c, func(conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, sql)
		return err
	})
}
