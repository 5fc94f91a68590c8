package postgres

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// portFile keeps the port of the last start, so that a saved address of the database stays good.
func (c *Cluster) portFile() string { return filepath.Join(c.cfg.DataDir, "postgres.port") }

// pickPort returns the port of the last start when it is free, and the launch has not failed on it, else any free one.
func (c *Cluster) pickPort(ctx context.Context, first bool) (int, error) {
	text, err := os.ReadFile(c.portFile())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, fmt.Errorf("read the port of the last start: %w", err)
	}
	kept, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || kept <= 0 {
		return freePort(ctx, 0)
	}
	if first {
		if port, err := freePort(ctx, kept); err == nil {
			return port, nil
		}
	}
	port, err := freePort(ctx, 0)
	c.cfg.Logger.Warn("the port of the last start is taken: the database's address has changed", "was", kept, "is", port)
	return port, err
}

// keepPort writes down the port that the server has got.
func (c *Cluster) keepPort() error {
	if c.cfg.Ephemeral {
		return nil
	}
	if err := os.WriteFile(c.portFile(), []byte(strconv.Itoa(c.port)+"\n"), 0o600); err != nil {
		return fmt.Errorf("keep the port: %w", err)
	}
	return nil
}

// freePort returns port if nobody listens there, any for 0.
func freePort(ctx context.Context, port int) (int, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:"+strconv.Itoa(port))
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port, nil //nolint:forcetypeassert // a TCP listener's
}
