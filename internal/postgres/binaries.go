package postgres

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// BinEnv names the environment variable that points at a folder with the
// Postgres programs; it comes before every other place.
const BinEnv = "MILLRACE_POSTGRES_BIN"

// oldestMajor is the oldest Postgres that millrace runs on.
const oldestMajor = 14

// ErrNoBinaries is wrapped by StartCluster's error when no usable Postgres is
// installed.
var ErrNoBinaries = errors.New("no Postgres programs found")

// usualPlaces are globs for folders with initdb and postgres: Debian and
// Ubuntu, Red Hat, Homebrew on both processors, Postgres.app.
var usualPlaces = []string{ //nolint:gochecknoglobals // a constant list
	"/usr/lib/postgresql/*/bin",
	"/usr/pgsql-*/bin",
	"/opt/homebrew/opt/postgresql*/bin",
	"/usr/local/opt/postgresql*/bin",
	"/Applications/Postgres.app/Contents/Versions/*/bin",
	"/usr/local/pgsql/bin",
}

type binaries struct {
	dir   string
	major int
}

func (b binaries) path(program string) string { return filepath.Join(b.dir, program) }

// findBinaries returns the newest installed Postgres, or for a data directory
// that exists already the one of the same major version (wantMajor > 0).
func findBinaries(wantMajor int) (binaries, error) {
	var found []binaries
	for _, dir := range candidateDirs() {
		if b, err := inspect(dir); err == nil && b.major >= oldestMajor {
			found = append(found, b)
		}
	}
	if len(found) == 0 {
		return binaries{}, fmt.Errorf("%w: install Postgres %d or newer, set %s to its bin folder, or give --database-url",
			ErrNoBinaries, oldestMajor, BinEnv)
	}
	if wantMajor > 0 {
		i := slices.IndexFunc(found, func(b binaries) bool { return b.major == wantMajor })
		if i < 0 {
			return binaries{}, fmt.Errorf("%w: the data directory was made by Postgres %d, installed is %d: install %d, or move the data directory away",
				ErrNoBinaries, wantMajor, found[0].major, wantMajor)
		}
		return found[i], nil
	}
	if os.Getenv(BinEnv) != "" {
		return found[0], nil
	}
	return slices.MaxFunc(found, func(a, b binaries) int { return a.major - b.major }), nil
}

// candidateDirs lists where to look, the explicit place first.
func candidateDirs() []string {
	var dirs []string
	if dir := os.Getenv(BinEnv); dir != "" {
		dirs = append(dirs, dir)
	}
	for _, program := range []string{"postgres", "initdb"} {
		p, err := exec.LookPath(program)
		if err != nil {
			continue
		}
		if target, err := filepath.EvalSymlinks(p); err == nil {
			dirs = append(dirs, filepath.Dir(target))
		}
	}
	for _, glob := range usualPlaces {
		m, _ := filepath.Glob(glob) // the only error is a bad pattern, and these are constants
		dirs = append(dirs, m...)
	}
	return dirs
}

// inspect checks that dir holds the three programs that a cluster needs and
// reads their version.
func inspect(dir string) (binaries, error) {
	for _, program := range []string{"initdb", "postgres", "pg_ctl"} {
		if _, err := os.Stat(filepath.Join(dir, program)); err != nil {
			return binaries{}, fmt.Errorf("look for %s: %w", program, err)
		}
	}
	out, err := exec.Command(filepath.Join(dir, "postgres"), "--version").Output() //nolint:gosec // a folder of the usual places, or one that was asked for
	if err != nil {
		return binaries{}, fmt.Errorf("ask %s for its version: %w", dir, err)
	}
	major, err := parseMajor(string(out))
	return binaries{dir: dir, major: major}, err
}

// parseMajor reads "postgres (PostgreSQL) 15.18 (Debian …)".
func parseMajor(version string) (int, error) {
	_, rest, ok := strings.Cut(version, "(PostgreSQL) ")
	if !ok {
		return 0, fmt.Errorf("not a Postgres version: %q", version)
	}
	digits := strings.TrimSpace(rest)
	if i := strings.IndexFunc(digits, func(r rune) bool { return r < '0' || r > '9' }); i >= 0 {
		digits = digits[:i]
	}
	major, err := strconv.Atoi(digits)
	if err != nil {
		return 0, fmt.Errorf("not a Postgres version: %q", version)
	}
	return major, nil
}
