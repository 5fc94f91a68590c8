package testdb

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/goleak"

	"github.com/millrace-dev/millrace/internal/postgres"
	"github.com/millrace-dev/millrace/migrations"
)

const (
	template    = "template_millrace"
	testConns   = 12
	stopTimeout = 20 * time.Second
)

// shared is the one cluster of a test process.
var shared struct { //nolint:gochecknoglobals // TestMain can hand nothing to the tests
	cluster  *postgres.Cluster
	admin    *pgxpool.Pool
	template func() error
	strategy string     // of CREATE DATABASE
	cloning  sync.Mutex // CREATE DATABASE wants the template for itself
	number   atomic.Int64
}

// Main runs a package's tests with a cluster and fails them when they leave a
// goroutine behind. It does not return.
func Main(m *testing.M, options ...goleak.Option) {
	ctx := context.Background()
	if err := start(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "testdb:", err)
		os.Exit(1)
	}
	options = append(options, goleak.IgnoreCurrent(), goleak.Cleanup(func(code int) {
		ctx, cancel := context.WithTimeout(ctx, stopTimeout)
		defer cancel()
		shared.admin.Close()
		if err := shared.cluster.Stop(ctx); err != nil {
			fmt.Fprintln(os.Stderr, "testdb:", err)
			code = max(code, 1)
		}
		os.Exit(code)
	}))
	goleak.VerifyTestMain(m, options...)
}

func start(ctx context.Context) (err error) {
	if shared.cluster, err = postgres.StartCluster(ctx, postgres.ClusterConfig{Ephemeral: true}); err != nil {
		return fmt.Errorf("start a cluster for the tests: %w", err)
	}
	shared.admin, err = postgres.Open(ctx, postgres.Config{URL: shared.cluster.URL(), MaxConns: 2, ApplicationName: "testdb"})
	if err != nil {
		return fmt.Errorf("reach the tests' cluster: %w", err)
	}
	shared.template = sync.OnceValue(func() error { return makeTemplate(ctx) })
	return nil
}

// makeTemplate makes the database that New clones, with every migration in it.
func makeTemplate(ctx context.Context) error {
	if _, err := shared.admin.Exec(ctx, "create database "+template); err != nil {
		return fmt.Errorf("make the template: %w", err)
	}
	var version int
	const ask = "select current_setting('server_version_num')::int"
	if err := shared.admin.QueryRow(ctx, ask).Scan(&version); err != nil {
		return fmt.Errorf("ask for the server's version: %w", err)
	}
	if version >= 150000 { // Postgres 14 knows no other way: half the time of writing each page to the log
		shared.strategy = " strategy file_copy"
	}
	pool, err := postgres.Open(ctx, postgres.Config{URL: urlOf(template), MaxConns: 2})
	if err != nil {
		return fmt.Errorf("reach the template: %w", err)
	}
	defer pool.Close()
	if _, err := migrations.Up(ctx, pool); err != nil {
		return fmt.Errorf("migrate the template: %w", err)
	}
	return nil
}

// DB is one test's database.
type DB struct {
	// Pool holds up to 12 connections and is closed with the test.
	Pool *pgxpool.Pool
	// URL opens further connections.
	URL string
}

// New makes a database with all migrations applied and drops it, with
// whatever is still connected, when the test ends.
func New(tb testing.TB) *DB {
	tb.Helper()
	if shared.cluster == nil {
		tb.Fatal("testdb: the package's TestMain does not call testdb.Main")
	}
	if err := shared.template(); err != nil {
		tb.Fatal("testdb:", err)
	}
	return open(tb, " template "+template+shared.strategy)
}

// NewEmpty is New without the migrations.
func NewEmpty(tb testing.TB) *DB {
	tb.Helper()
	return open(tb, "")
}

func open(tb testing.TB, from string) *DB {
	tb.Helper()
	ctx := context.Background() // the test's own context ends before its cleanups
	name := fmt.Sprintf("test_%d", shared.number.Add(1))
	if err := exec("create database " + name + from); err != nil {
		tb.Fatal("testdb: make a database:", err)
	}
	tb.Cleanup(func() {
		if err := exec("drop database " + name + " with (force)"); err != nil {
			tb.Error("testdb: drop a database:", err)
		}
	})
	db := &DB{URL: urlOf(name)}
	pool, err := postgres.Open(ctx, postgres.Config{URL: db.URL, MaxConns: testConns, ApplicationName: tb.Name()})
	if err != nil {
		tb.Fatal("testdb:", err)
	}
	tb.Cleanup(pool.Close)
	db.Pool = pool
	return db
}

func exec(sql string) error {
	shared.cloning.Lock()
	defer shared.cloning.Unlock()
	_, err := shared.admin.Exec(context.Background(), sql, pgx.QueryExecModeSimpleProtocol)
	return err //nolint:wrapcheck // the callers say what was being done
}

func urlOf(database string) string {
	u, err := url.Parse(shared.cluster.URL())
	if err != nil {
		panic("testdb: the cluster's own URL: " + err.Error())
	}
	u.Path = "/" + database
	return u.String()
}
