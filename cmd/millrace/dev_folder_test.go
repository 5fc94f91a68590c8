package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/testdb"
)

// A function whose file went while no dev server ran is removed by the next one.
func TestDevRemovesWhatWentMeanwhile(t *testing.T) {
	t.Parallel()
	dir, args := t.TempDir(), []string{"dev", "--addr", "127.0.0.1:0", "--data-dir", t.TempDir(), "--database-url", testdb.New(t).URL}
	args = append(args, "--functions", dir)
	until := func(said string) {
		t.Helper()
		ctx, interrupt := context.WithCancel(t.Context())
		defer interrupt()
		var stdout, stderr syncedText
		done := make(chan int, 1)
		go func() { done <- run(ctx, args, strings.NewReader(""), &stdout, &stderr) }()
		require.Eventually(t, func() bool { return strings.Contains(stderr.String(), said) }, time.Minute, 20*time.Millisecond, "%s", &stderr)
		interrupt()
		require.Zero(t, <-done, &stderr)
	}
	for _, name := range []string{"one.ts", "two.ts"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte("export default () => 1"), 0o600))
	}
	until("deployed two")
	require.NoError(t, os.Remove(filepath.Join(dir, "two.ts")))
	until("removed two")
}

func TestFolderRecord(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	record := func(folder, database string) *folderRecord {
		r, err := (&devCmd{DataDir: data, Functions: folder, DatabaseURL: database}).folderRecord()
		require.NoError(t, err)
		return r
	}
	mine := record("/a", "")
	require.Empty(t, mine.known)
	require.NoError(t, mine.keep([]string{"one", "two"}))
	require.NoError(t, record("/b", "postgres://u:secret@h/d").keep([]string{"three"}))
	require.Equal(t, []string{"one", "two"}, record("/a", "").known)
	require.Equal(t, []string{"three"}, record("/b", "postgres://u:secret@h/d").known)
	require.Empty(t, record("/a", "postgres://u:secret@h/d").known, "another database")

	path := filepath.Join(data, "folders.json")
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NotContains(t, string(text), "secret")
	require.NoError(t, os.WriteFile(path, []byte("{"), 0o600))
	_, err = (&devCmd{DataDir: data}).folderRecord()
	require.ErrorContains(t, err, "delete "+path)
}
