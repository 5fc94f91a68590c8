package main

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"unicode/utf8"
)

// goSources is where the toolchain keeps the sources of the standard library and of itself.
func goSources() (string, error) {
	out, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return "", fmt.Errorf("ask go for its root (is go on PATH? else name a folder with --dir): %w", err)
	}
	return filepath.Join(strings.TrimSpace(string(out)), "src"), nil
}

// findSources lists the regular *.go files under dir, relative to it, in lexical order.
func findSources(dir string) ([]string, error) {
	var paths []string
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() || filepath.Ext(path) != ".go" {
			return err
		}
		relative, err := filepath.Rel(dir, path)
		paths = append(paths, filepath.ToSlash(relative))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("look for Go sources: %w", err)
	}
	if len(paths) == 0 {
		return nil, fmt.Errorf("there is no .go file under %s", dir)
	}
	return paths, nil
}

// readInput is a file as the function's input. JSON text cannot hold every byte, and Postgres' jsonb no NUL, so
// each byte that is no UTF-8 becomes U+FFFD and each NUL a space. count.go applies the same rule byte by byte.
func readInput(dir, path string) (json.RawMessage, error) {
	content, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(path)))
	if err != nil {
		return nil, fmt.Errorf("read a source: %w", err)
	}
	input, err := json.Marshal(struct {
		Path    string `json:"path"`
		Content string `json:"content"`
	}{path, asText(content)})
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", path, err)
	}
	return input, nil
}

func asText(content []byte) string {
	if utf8.Valid(content) && !strings.Contains(string(content), "\x00") {
		return string(content)
	}
	var text strings.Builder
	text.Grow(len(content))
	for _, r := range string(content) { // range yields U+FFFD for each byte that is no UTF-8
		if r == 0 {
			r = ' '
		}
		text.WriteRune(r)
	}
	return text.String()
}
