package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/millrace-dev/millrace/internal/postgres"
)

//go:embed slowdisk/fdatasync.c
var fdatasyncSource []byte

// withSlowCluster is withCluster on a disk whose flush takes 2 ms more: every
// fdatasync of the server is delayed by a preloaded library. It makes sure that
// commits are.
func withSlowCluster(ctx context.Context, f func(c *postgres.Cluster) error) error {
	dir, err := os.MkdirTemp("", "millrace-slowdisk-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	library, err := compileSlowDisk(ctx, dir)
	if err != nil {
		return err
	}
	if err := os.Setenv("LD_PRELOAD", library); err != nil { // the server takes it over from this process
		return err
	}
	defer func() { _ = os.Unsetenv("LD_PRELOAD") }()
	return withClusterOf(ctx, map[string]string{"wal_sync_method": "fdatasync"}, func(c *postgres.Cluster) error {
		if err := os.Unsetenv("LD_PRELOAD"); err != nil {
			return err
		}
		took, err := commitTime(ctx, c)
		if err != nil {
			return err
		}
		if took < 2 {
			return fmt.Errorf("the disk should be slow, but a commit takes %.2f ms: the library was not preloaded", took)
		}
		return f(c)
	})
}

// slowDiskCompiler is asked before anything is measured.
func slowDiskCompiler() (string, error) {
	cc, err := exec.LookPath("cc")
	if err != nil {
		return "", errors.New("a slow disk needs a C compiler: there is no cc on the PATH")
	}
	return cc, nil
}

func compileSlowDisk(ctx context.Context, dir string) (library string, err error) {
	cc, err := slowDiskCompiler()
	if err != nil {
		return "", err
	}
	source := filepath.Join(dir, "fdatasync.c")
	library = filepath.Join(dir, "fdatasync.so")
	// The server's account must be able to read it.
	if err := errors.Join(os.Chmod(dir, 0o755), os.WriteFile(source, fdatasyncSource, 0o644)); err != nil {
		return "", err
	}
	if out, err := exec.CommandContext(ctx, cc, "-O2", "-shared", "-fPIC", "-o", library, source, "-ldl").CombinedOutput(); err != nil {
		return "", fmt.Errorf("compile the slow disk: %w: %s", err, out)
	}
	return library, os.Chmod(library, 0o755)
}

// commitTime is the median of small commits one after the other, in
// milliseconds.
func commitTime(ctx context.Context, c *postgres.Cluster) (float64, error) {
	const commits = 50
	var lat []float64
	err := withConn(ctx, c, func(conn *pgx.Conn) error {
		if _, err := conn.Exec(ctx, "create table if not exists public.bench_commit (at timestamptz not null)"); err != nil {
			return err
		}
		for range commits {
			begin := time.Now()
			if _, err := conn.Exec(ctx, "insert into public.bench_commit (at) values (now())"); err != nil {
				return err
			}
			lat = append(lat, float64(time.Since(begin).Microseconds())/1000)
		}
		return nil
	})
	return median(lat), err
}
