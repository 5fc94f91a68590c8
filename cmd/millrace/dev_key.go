package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// shortestKey is the fewest characters of a key that is given by hand.
const shortestKey = 16

// key is the one that was given, or the one that is kept in the data directory, made at the first start: a shell
// that has it in MILLRACE_KEY goes on working after a restart.
func (d *devCmd) key() (string, error) {
	if d.Key != "" {
		if len(d.Key) < shortestKey {
			return "", usagef("--key is shorter than %d characters", shortestKey)
		}
		return d.Key, nil
	}
	path := filepath.Join(d.DataDir, "key")
	kept, err := os.ReadFile(path) //nolint:gosec // the data directory is the caller's own choice
	if err == nil && len(strings.TrimSpace(string(kept))) >= shortestKey {
		return strings.TrimSpace(string(kept)), nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read the kept key: %w", err)
	}
	key := "dev-" + rand.Text()
	if err := os.MkdirAll(d.DataDir, 0o755); err != nil { //nolint:gosec // Postgres, as another user, has to pass through
		return "", fmt.Errorf("make the data directory: %w", err)
	}
	if err := os.WriteFile(path, []byte(key+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("keep the key: %w", err)
	}
	return key, nil
}
