package postgres_test

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/postgres"
)

// TestHelperProcess is not a test: run in a child process it starts a cluster
// and waits to be killed.
func TestHelperProcess(t *testing.T) {
	dir := os.Getenv("MILLRACE_TEST_CLUSTER_DIR")
	if dir == "" {
		return
	}
	c, err := postgres.StartCluster(context.Background(), postgres.ClusterConfig{DataDir: dir})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "url"), []byte(c.URL()), 0o600))
	select {}
}

func start(t *testing.T, dir string) *postgres.Cluster {
	t.Helper()
	c, err := postgres.StartCluster(t.Context(), postgres.ClusterConfig{DataDir: dir})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Stop(context.Background())) })
	return c
}

// run executes one statement and returns its single text value.
func run(t *testing.T, url, sql string) (out string) {
	t.Helper()
	conn, err := postgres.Connect(t.Context(), url, "test")
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(context.Background())) }()
	require.NoError(t, conn.QueryRow(t.Context(), sql).Scan(&out))
	return out
}

func TestClusterKeepsItsData(t *testing.T) {
	t.Parallel()
	dir := t.TempDir() // 0700 and root's when we are root: the account must reach it all the same
	c := start(t, dir)
	conn, err := postgres.Connect(t.Context(), c.URL(), "test")
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), "create table public.kept as select 'still here' as word")
	require.NoError(t, err)
	require.NoError(t, conn.Close(t.Context()))
	require.NoError(t, c.Stop(t.Context()))
	require.NoError(t, c.Stop(t.Context()), "a second Stop does nothing")

	again := start(t, dir)
	require.Equal(t, "still here", run(t, again.URL(), "select word from public.kept"))
	require.Equal(t, "still here", run(t, again.TCPURL(), "select word from public.kept"))
	require.Equal(t, "on", run(t, again.URL(), "show fsync"))
}

// A saved address stays good. Somebody else may take the port in between, if hardly three times.
func TestClusterKeepsItsPort(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	before := ""
	for range 4 {
		c := start(t, dir)
		url := c.TCPURL()
		require.NoError(t, c.Stop(t.Context()))
		if url == before {
			return
		}
		before = url
	}
	t.Fatal("each start has another address")
}

func TestClusterMovesFromATakenPort(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	taken, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = taken.Close() }()
	_, port, err := net.SplitHostPort(taken.Addr().String())
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "postgres.port"), []byte(port+"\n"), 0o600))
	c := start(t, dir)
	require.NotEqual(t, port, c.Port())
	require.Equal(t, "on", run(t, c.TCPURL(), "show fsync"))
}

// The tables of whoever connects with the cluster's URL are not millrace's.
func TestTablesOfUsersArePublic(t *testing.T) {
	t.Parallel()
	c := start(t, t.TempDir())
	conn, err := pgx.Connect(t.Context(), c.TCPURL())
	require.NoError(t, err)
	for _, sql := range []string{"create schema millrace", "create table orders (id int)"} {
		_, err = conn.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	require.NoError(t, conn.Close(t.Context()))
	require.Equal(t, "public", run(t, c.URL(), "select relnamespace::regnamespace::text from pg_catalog.pg_class where relname = 'orders'"))
}

func TestClusterWantsItsPassword(t *testing.T) {
	t.Parallel()
	c := start(t, t.TempDir())
	for _, url := range []string{c.URL(), c.TCPURL()} {
		before, after, ok := strings.Cut(url, "@")
		require.True(t, ok)
		_, err := postgres.Connect(t.Context(), before[:strings.LastIndex(before, ":")]+":wrong@"+after, "test")
		require.ErrorContains(t, err, "password authentication failed")
	}
}

func TestSecondMillraceOnTheSameDirectoryIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	start(t, dir)
	_, err := postgres.StartCluster(t.Context(), postgres.ClusterConfig{DataDir: dir})
	require.ErrorIs(t, err, postgres.ErrDataDirInUse)
	require.ErrorContains(t, err, "pid")
}

func TestKilledParentIsTakenOver(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	child := exec.Command(os.Args[0], "-test.run=^TestHelperProcess$")
	child.Env = append(os.Environ(), "MILLRACE_TEST_CLUSTER_DIR="+dir)
	require.NoError(t, child.Start())
	require.Eventually(t, func() bool {
		_, err := os.Stat(filepath.Join(dir, "url"))
		return err == nil
	}, 30*time.Second, 50*time.Millisecond)
	require.NoError(t, child.Process.Kill())
	_ = child.Wait()

	c := start(t, dir)
	require.Equal(t, "1", run(t, c.URL(), "select '1'"))
}

func TestEphemeralLeavesNothing(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	c, err := postgres.StartCluster(t.Context(), postgres.ClusterConfig{DataDir: dir, Ephemeral: true})
	require.NoError(t, err)
	require.NoError(t, c.Stop(t.Context()))
	_, err = os.Stat(dir)
	require.ErrorIs(t, err, os.ErrNotExist)
}
