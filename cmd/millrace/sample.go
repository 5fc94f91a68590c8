package main

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

//go:embed sample/hello.ts
var sampleFunction []byte

// ensureFolder makes the functions folder with one sample when there is none. A folder that is there, even empty, is
// the user's own and left alone.
func ensureFolder(dir string) (made bool, err error) {
	info, err := os.Stat(dir)
	switch {
	case err == nil && !info.IsDir():
		return false, usagef("--functions: %s is not a folder", dir)
	case err == nil:
		return false, nil
	case !errors.Is(err, fs.ErrNotExist):
		return false, fmt.Errorf("look at the functions folder: %w", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // sources, like any other
		return false, fmt.Errorf("make the functions folder: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "hello.ts"), sampleIn(dir), 0o644); err != nil { //nolint:gosec // as above
		return false, fmt.Errorf("write the sample function: %w", err)
	}
	return true, nil
}

// sampleIn is the sample with the name of the folder that it lies in.
func sampleIn(dir string) []byte {
	return bytes.ReplaceAll(sampleFunction, []byte("functions/"), []byte(filepath.Base(dir)+"/"))
}
