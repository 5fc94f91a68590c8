package postgres

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"
)

// StartStandby copies the cluster and starts the copy as its streaming replica, with the same password. Commits
// wait for it once the cluster's synchronous_standby_names says so.
func (c *Cluster) StartStandby(ctx context.Context, cfg ClusterConfig) (_ *Cluster, err error) {
	if cfg.DataDir == "" && cfg.Ephemeral {
		if cfg.DataDir, err = os.MkdirTemp("", "millrace-pg-"); err != nil {
			return nil, fmt.Errorf("make a data directory: %w", err)
		}
		if err := os.Chmod(cfg.DataDir, 0o711); err != nil { //nolint:gosec // the account passes through it to the cluster, which is 0700
			return nil, fmt.Errorf("open the data directory: %w", err)
		}
	}
	standby := &Cluster{cfg: cfg, acct: c.acct, bin: c.bin}
	if ok, err := c.acct.reaches(standby.pgdata()); err != nil || !ok {
		return nil, errors.Join(fmt.Errorf("copy the cluster: the account cannot reach %s", cfg.DataDir), err)
	}
	if err := errors.Join(os.Mkdir(standby.pgdata(), 0o700), c.acct.own(standby.pgdata())); err != nil {
		return nil, fmt.Errorf("make the folder of the copy: %w", err)
	}
	source := fmt.Sprintf("host=127.0.0.1 port=%d user=%s password=%s", c.port, clusterUser, c.password)
	if err := c.command(ctx, "pg_basebackup", "--pgdata="+standby.pgdata(), "--dbname="+source,
		"--write-recovery-conf", "--wal-method=stream", "--checkpoint=fast", "--no-sync"); err != nil {
		return nil, err
	}
	if err := os.WriteFile(standby.passwordFile(), []byte(c.password+"\n"), 0o600); err != nil {
		return nil, fmt.Errorf("keep the cluster's password: %w", err)
	}
	return StartCluster(ctx, cfg)
}

// Promote makes a standby a primary, and returns when it takes writes.
func (c *Cluster) Promote(ctx context.Context) error {
	return c.command(ctx, "pg_ctl", "promote", "--pgdata="+c.pgdata(), "--wait")
}

// Crash ends the server at once, as a power cut would, and returns when it is gone. The data stay.
func (c *Cluster) Crash() {
	if c.server == nil {
		return
	}
	_ = c.server.cmd.Process.Signal(syscall.SIGQUIT) // an error means that it has ended
	<-c.server.done
}

// Port is the loopback port.
func (c *Cluster) Port() string { return strconv.Itoa(c.port) }
