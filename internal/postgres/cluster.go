package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

const (
	clusterUser     = "millrace"
	clusterDatabase = "millrace"

	startTimeout = 60 * time.Second
	stopTimeout  = 30 * time.Second
)

// ClusterConfig describes a private Postgres.
type ClusterConfig struct {
	// DataDir is where everything of the cluster lives. It is made when it is
	// not there. Empty means a temporary folder, with Ephemeral.
	DataDir string
	// Ephemeral trades durability for speed (fsync off) and removes the data
	// directory at Stop. For tests.
	Ephemeral bool
	// Settings are further server settings, name to value.
	Settings map[string]string
	// Logger hears of takeovers and restarts; nil discards.
	Logger *slog.Logger
}

// Cluster is a running private Postgres. Make one with StartCluster and end it
// with Stop.
type Cluster struct {
	cfg      ClusterConfig
	bin      binaries
	acct     account
	bypass   bool // folders above the data or the programs are closed to the account
	lock     *dirLock
	password string
	socket   string // folder of the Unix socket
	port     int
	server   *server
}

// StartCluster starts a Postgres on cfg.DataDir, making the database at first
// use, and returns when it answers. It takes over what a killed millrace left
// behind. Errors wrap ErrNoBinaries or ErrDataDirInUse where those are the
// reason.
func StartCluster(ctx context.Context, cfg ClusterConfig) (_ *Cluster, err error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()

	c := &Cluster{cfg: cfg}
	if c.cfg.Logger == nil {
		c.cfg.Logger = slog.New(slog.DiscardHandler)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.release())
		}
	}()
	if err := c.claimDir(); err != nil {
		return nil, err
	}
	if c.bin, err = findBinaries(c.existingMajor()); err != nil {
		return nil, err
	}
	if err := c.checkReach(); err != nil {
		return nil, err
	}
	if err := c.makeSocketDir(); err != nil {
		return nil, err
	}
	if err := c.initialise(ctx); err != nil {
		return nil, err
	}
	if err := c.stopLeftover(ctx); err != nil {
		return nil, err
	}
	if err := c.launch(ctx); err != nil {
		return nil, err
	}
	return c, nil
}

// URL connects to the cluster's database over its private socket.
func (c *Cluster) URL() string {
	q := url.Values{"host": {c.socket}, "port": {strconv.Itoa(c.port)}}
	return c.url("", q)
}

// TCPURL connects over the loopback port, for psql and other programs.
func (c *Cluster) TCPURL() string { return c.url("127.0.0.1:"+strconv.Itoa(c.port), nil) }

func (c *Cluster) url(host string, q url.Values) string {
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(clusterUser, c.password),
		Host: host, Path: "/" + clusterDatabase, RawQuery: q.Encode(),
	}
	return u.String()
}

// Stop shuts the server down and lets go of the data directory. The data are
// kept unless the cluster is ephemeral. A second Stop does nothing.
func (c *Cluster) Stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()

	var err error
	if c.server != nil {
		err = c.server.stop(ctx)
		c.server = nil
	}
	return errors.Join(err, c.release())
}

// release gives back what StartCluster took, apart from the server.
func (c *Cluster) release() error {
	var errs []error
	if c.socket != "" {
		errs = append(errs, os.RemoveAll(c.socket))
		c.socket = ""
	}
	if c.lock != nil {
		if c.cfg.Ephemeral {
			errs = append(errs, os.RemoveAll(c.cfg.DataDir))
		}
		errs = append(errs, c.lock.unlock())
		c.lock = nil
	}
	return errors.Join(errs...)
}

// claimDir makes the data directory and locks it.
func (c *Cluster) claimDir() error {
	if c.cfg.DataDir == "" {
		if !c.cfg.Ephemeral {
			return errors.New("start a private Postgres: no data directory given")
		}
		dir, err := os.MkdirTemp("", "millrace-pg-")
		if err != nil {
			return fmt.Errorf("make a data directory: %w", err)
		}
		if err := os.Chmod(dir, 0o711); err != nil { //nolint:gosec // the account passes through it to the cluster, which is 0700
			return fmt.Errorf("open the data directory: %w", err)
		}
		c.cfg.DataDir = dir
	}
	dir, err := filepath.Abs(c.cfg.DataDir)
	if err != nil {
		return fmt.Errorf("find the data directory: %w", err)
	}
	c.cfg.DataDir = dir
	if err := os.MkdirAll(dir, 0o711); err != nil { //nolint:gosec // as above
		return fmt.Errorf("make the data directory: %w", err)
	}
	if c.lock, err = lockDir(dir); err != nil {
		return err
	}
	c.acct, err = pickAccount()
	return err
}

// checkReach decides whether the account needs help to get at its files.
func (c *Cluster) checkReach() error {
	for _, path := range []string{c.pgdata(), c.bin.path("postgres")} {
		ok, err := c.acct.reaches(path)
		if err != nil {
			return err
		}
		c.bypass = c.bypass || !ok
	}
	return nil
}

func (c *Cluster) makeSocketDir() error {
	dir, err := os.MkdirTemp("", "millrace-") // short: a socket's path may have 107 bytes
	if err != nil {
		return fmt.Errorf("make the socket's folder: %w", err)
	}
	c.socket = dir
	return c.acct.own(dir)
}

func (c *Cluster) pgdata() string { return filepath.Join(c.cfg.DataDir, "postgres") }

// existingMajor is the Postgres version that made the data, 0 for none.
func (c *Cluster) existingMajor() int {
	b, err := os.ReadFile(filepath.Join(c.pgdata(), "PG_VERSION"))
	if err != nil {
		return 0
	}
	major, err := parseMajor("(PostgreSQL) " + string(b))
	if err != nil {
		return 0
	}
	return major
}
