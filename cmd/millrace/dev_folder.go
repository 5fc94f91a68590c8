package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// folderRecord is the file in the data directory that tells, for each folder and database, which functions the folder
// had: so that those whose files went while no dev server ran are removed by the next one, and functions that were
// deployed in another way are not.
type folderRecord struct {
	path  string
	key   string
	known []string // what the file has under the key
}

func (d *devCmd) folderRecord() (*folderRecord, error) {
	pair := sha256.Sum256([]byte(d.Functions + "\x00" + d.DatabaseURL)) // hashed, since a URL has a password
	r := &folderRecord{path: filepath.Join(d.DataDir, "folders.json"), key: hex.EncodeToString(pair[:8])}
	all, err := r.read()
	r.known = all[r.key]
	return r, err
}

func (r *folderRecord) read() (map[string][]string, error) {
	all := map[string][]string{}
	text, err := os.ReadFile(r.path)
	if errors.Is(err, fs.ErrNotExist) {
		return all, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &all)
	}
	if err != nil {
		return nil, fmt.Errorf("read which functions the folder had (delete %s to go on without): %w", r.path, err)
	}
	return all, nil
}

// keep writes down which functions the folder has now.
func (r *folderRecord) keep(functions []string) error {
	if slices.Equal(functions, r.known) {
		return nil
	}
	all, err := r.read()
	if err != nil {
		return err
	}
	all[r.key] = functions
	text, err := json.Marshal(all)
	if err == nil {
		err = replaceFile(r.path, text)
	}
	if err != nil {
		return fmt.Errorf("write down which functions the folder has: %w", err)
	}
	r.known = functions
	return nil
}

// replaceFile writes a file that is never seen half written.
func replaceFile(path string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // Postgres, as another user, has to pass through
		return err
	}
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
