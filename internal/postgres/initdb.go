package postgres

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// initialise runs initdb unless the data are there, and reads or makes the
// password. initdb writes into a folder beside the real one, which is renamed
// when it is whole: an interrupted first start leaves nothing half made.
func (c *Cluster) initialise(ctx context.Context) error {
	if c.existingMajor() != 0 {
		return c.readPassword()
	}
	c.password = rand.Text()
	pwfile := filepath.Join(c.socket, "password")
	if err := errors.Join(os.WriteFile(pwfile, []byte(c.password+"\n"), 0o600), c.acct.own(pwfile)); err != nil {
		return fmt.Errorf("write the password for initdb: %w", err)
	}
	defer func() { _ = os.Remove(pwfile) }()

	fresh := c.pgdata() + ".new"
	if err := errors.Join(os.RemoveAll(fresh), os.Mkdir(fresh, 0o700), c.acct.own(fresh)); err != nil {
		return fmt.Errorf("make the folder for initdb: %w", err)
	}
	args := []string{
		"--pgdata=" + fresh, "--username=" + clusterUser, "--pwfile=" + pwfile, "--auth=scram-sha-256",
		"--encoding=UTF8", "--locale=C", "--no-instructions",
	}
	if c.cfg.Ephemeral {
		args = append(args, "--no-sync")
	}
	if err := c.command(ctx, "initdb", args...); err != nil {
		return err
	}
	if err := os.WriteFile(c.passwordFile(), []byte(c.password+"\n"), 0o600); err != nil {
		return fmt.Errorf("keep the cluster's password: %w", err)
	}
	if err := os.Rename(fresh, c.pgdata()); err != nil {
		return fmt.Errorf("put the new cluster in place: %w", err)
	}
	return nil
}

func (c *Cluster) passwordFile() string { return filepath.Join(c.cfg.DataDir, "password") }

func (c *Cluster) readPassword() error {
	b, err := os.ReadFile(c.passwordFile())
	if err != nil {
		return fmt.Errorf("read the cluster's password: %w", err)
	}
	c.password = strings.TrimSpace(string(b))
	return nil
}

// stopLeftover ends a server that a killed millrace left on this data
// directory. The directory's lock is ours, so nobody else is using it.
func (c *Cluster) stopLeftover(ctx context.Context) error {
	if _, err := os.Stat(filepath.Join(c.pgdata(), "postmaster.pid")); err != nil {
		return nil //nolint:nilerr // no such file: nothing was left
	}
	if err := c.command(ctx, "pg_ctl", "status", "--pgdata="+c.pgdata()); err != nil {
		return nil //nolint:nilerr // a stale pid file, which postgres removes itself
	}
	c.cfg.Logger.WarnContext(ctx, "stopping the Postgres that a killed millrace left behind", "data_dir", c.cfg.DataDir)
	return c.command(ctx, "pg_ctl", "stop", "--pgdata="+c.pgdata(), "--mode=fast", "--wait")
}

// command runs one of the Postgres programs as the account, to its end.
func (c *Cluster) command(ctx context.Context, program string, args ...string) error {
	cmd := exec.CommandContext(ctx, c.bin.path(program), args...) //nolint:gosec // our own program and arguments
	cmd.Dir = "/"
	cmd.SysProcAttr = sysProcAttr(c.acct, c.bypass, false)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("run %s: %w: %s", program, err, strings.TrimSpace(string(out)))
	}
	return nil
}
