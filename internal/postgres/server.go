package postgres

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	launchTries  = 5 // a free port may be gone by the time that postgres binds it
	readyPoll    = 20 * time.Millisecond
	logTailBytes = 2000
)

// server is one postgres process.
type server struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended
}

// launch starts postgres and waits until it answers.
func (c *Cluster) launch(ctx context.Context) error {
	var err error
	for try := range launchTries {
		if c.port, err = c.pickPort(ctx, try == 0); err != nil {
			return err
		}
		if c.server, err = c.spawn(); err != nil {
			return err
		}
		if err = c.waitReady(ctx); err == nil {
			err = c.keepPort()
		}
		if err == nil {
			return nil
		}
		err = errors.Join(err, c.server.stop(context.WithoutCancel(ctx)))
		c.server = nil
		if !strings.Contains(c.logTail(), "Address already in use") {
			break
		}
	}
	return fmt.Errorf("start Postgres on %s: %w\n%s", c.cfg.DataDir, err, c.logTail())
}

// spawn starts the process. Linux sends the parent-death signal when the
// *thread* that started the process ends, so it is started from a goroutine
// that keeps its thread until the process has ended.
func (c *Cluster) spawn() (*server, error) {
	logFile, err := os.OpenFile(c.logFile(), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the server's log: %w", err)
	}
	defer func() { _ = logFile.Close() }()

	cmd := exec.Command(c.bin.path("postgres"), c.arguments()...) //nolint:gosec,noctx // ours; it ends through stop
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = logFile, logFile
	cmd.SysProcAttr = sysProcAttr(c.acct, c.bypass, true)

	s := &server{cmd: cmd, done: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(s.done)
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // how it ended stands in its log
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start postgres: %w", err)
	}
	return s, nil
}

func (c *Cluster) logFile() string { return filepath.Join(c.cfg.DataDir, "postgres.log") }

func (c *Cluster) arguments() []string {
	settings := map[string]string{
		"listen_addresses":        "127.0.0.1",
		"port":                    strconv.Itoa(c.port),
		"unix_socket_directories": c.socket,
		"unix_socket_permissions": "0700",
		"max_connections":         "200",
		"shared_buffers":          "128MB",
		"log_checkpoints":         "off",
	}
	if c.acct.other { // root opens the socket of another user
		settings["unix_socket_permissions"] = "0777"
	}
	if c.cfg.Ephemeral {
		settings["fsync"] = "off"
		settings["full_page_writes"] = "off"
	}
	maps.Copy(settings, c.cfg.Settings)
	args := []string{"-D", c.pgdata()}
	for k, v := range settings {
		args = append(args, "-c", k+"="+v)
	}
	return args
}

// waitReady returns when the database answers; it makes the database first.
func (c *Cluster) waitReady(ctx context.Context) error {
	tick := time.NewTicker(readyPoll)
	defer tick.Stop()
	for {
		err := c.ensureDatabase(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-c.server.done:
			return errors.New("postgres ended at once")
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-tick.C:
		}
	}
}

func (c *Cluster) ensureDatabase(ctx context.Context) error {
	admin := strings.Replace(c.URL(), "/"+clusterDatabase+"?", "/postgres?", 1)
	conn, err := Connect(ctx, admin, "millrace start")
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()

	var there bool
	const find = "select exists (select from pg_catalog.pg_database where datname = $1)"
	if err := conn.QueryRow(ctx, find, clusterDatabase).Scan(&there); err != nil {
		return fmt.Errorf("look for the database: %w", err)
	}
	if there {
		return nil
	}
	database := pgx.Identifier{clusterDatabase}.Sanitize()
	if _, err := conn.Exec(ctx, "create database "+database); err != nil {
		return fmt.Errorf("create the database: %w", err)
	}
	// The user has the name of millrace's schema, which would otherwise come first: tables that somebody makes
	// with the cluster's URL would land in it.
	if _, err := conn.Exec(ctx, "alter database "+database+" set search_path = public"); err != nil {
		return fmt.Errorf("set the database's search path: %w", err)
	}
	return nil
}

// stop asks for a fast shutdown, and for an immediate one when ctx ends first.
func (s *server) stop(ctx context.Context) error {
	_ = s.cmd.Process.Signal(syscall.SIGINT) // an error means that it has ended
	select {
	case <-s.done:
		return nil
	case <-ctx.Done():
	}
	_ = s.cmd.Process.Signal(syscall.SIGQUIT)
	<-s.done
	return fmt.Errorf("stop Postgres: %w; it was shut down at once and will recover at the next start", ctx.Err())
}

func (c *Cluster) logTail() string {
	b, err := os.ReadFile(c.logFile())
	if err != nil {
		return ""
	}
	return string(b[max(0, len(b)-logTailBytes):])
}
