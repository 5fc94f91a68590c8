package functions_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/functions"
	"github.com/millrace-dev/millrace/internal/testdb"
)

// watch starts a watcher on dir and returns what it says.
func watch(t *testing.T, s instance, dir string, debounce time.Duration) <-chan functions.Change {
	t.Helper()
	changes := make(chan functions.Change, 100)
	w, err := functions.NewWatcher(functions.WatcherConfig{
		Dir: dir, Debounce: debounce, Deploy: s.Deploy, OnChange: func(change functions.Change) { changes <- change },
	})
	require.NoError(t, err)
	require.NoError(t, w.Start(t.Context()))
	t.Cleanup(func() { require.NoError(t, w.Stop(context.Background())) })

	return changes
}

func next(t *testing.T, changes <-chan functions.Change) functions.Change {
	t.Helper()
	select {
	case change := <-changes:
		require.NoError(t, change.Err)
		return change
	case <-time.After(patience):
		t.Fatal("nothing was deployed")
		return functions.Change{}
	}
}

func deployedNames(change functions.Change) []string {
	var list []string
	for _, d := range change.Result.Functions {
		list = append(list, d.Name)
	}

	return list
}

func TestWatcherDeploysWhatChanged(t *testing.T) {
	t.Parallel()
	s := start(t, testdb.New(t), setup{})
	dir := t.TempDir()
	write(t, dir, map[string]string{
		"one.ts": "import { x } from './_lib'; export default () => x", "two.ts": "export default () => 'two'", "_lib.ts": "export const x = 1",
	})
	changes := watch(t, s, dir, 0)
	require.Equal(t, []string{"one", "two"}, deployedNames(next(t, changes)))
	require.Equal(t, "1", mustCall(t, s, "one", "null"))

	write(t, dir, map[string]string{"two.ts": "export default () => 'deux'"})
	require.Equal(t, []string{"two"}, deployedNames(next(t, changes)))
	require.Equal(t, `"deux"`, mustCall(t, s, "two", "null"))

	write(t, dir, map[string]string{"_lib.ts": "export const x = 10"})
	require.Equal(t, []string{"one"}, deployedNames(next(t, changes)), "a change of what it imports")
	require.Equal(t, "10", mustCall(t, s, "one", "null"))

	write(t, dir, map[string]string{"new/folder/fn.ts": "export default () => 'new'"})
	require.Equal(t, []string{"new.folder.fn"}, deployedNames(next(t, changes)))

	write(t, dir, map[string]string{"new/folder/fn.ts": "export default () => 'newer'"})
	require.Equal(t, []string{"new.folder.fn"}, deployedNames(next(t, changes)), "folders that came later are watched too")

	require.NoError(t, os.Remove(filepath.Join(dir, "two.ts")))
	require.Equal(t, []string{"two"}, next(t, changes).Result.Removed)
	_, err := s.Resolve(t.Context(), "two")
	require.ErrorIs(t, err, functions.ErrUnknownFunction)
	require.Empty(t, changes)
}

func TestWatcherReportsMistakesAndGoesOn(t *testing.T) {
	t.Parallel()
	s := start(t, testdb.New(t), setup{})
	dir := t.TempDir()
	write(t, dir, map[string]string{"good.ts": "export default () => 1", "bad.ts": "\n  export default ("})
	changes := watch(t, s, dir, 0)

	first := next(t, changes)
	require.Equal(t, []string{"good"}, deployedNames(first))
	require.Len(t, first.Diagnostics, 1)
	require.Equal(t, "bad.ts", first.Diagnostics[0].File)
	require.Equal(t, 2, first.Diagnostics[0].Line)

	write(t, dir, map[string]string{"bad.ts": "export default () => 'mended'"})
	second := next(t, changes)
	require.Empty(t, second.Diagnostics)
	require.Equal(t, []string{"bad"}, deployedNames(second))
	require.Equal(t, `"mended"`, mustCall(t, s, "bad", "null"))

	write(t, dir, map[string]string{"bad.ts": "export default 5"})
	third := next(t, changes)
	require.Len(t, third.Diagnostics, 1)
	require.Equal(t, `"mended"`, mustCall(t, s, "bad", "null"), "what was live stays")

	write(t, dir, map[string]string{"bad.js": "export default 5"})
	fourth := next(t, changes)
	require.Contains(t, fourth.Diagnostics[0].Message, "too: rename one of them")
	require.Empty(t, fourth.Result.Removed, "a function with a mistake is not gone")
}

func TestWatcherDebounces(t *testing.T) {
	t.Parallel()
	s := start(t, testdb.New(t), setup{})
	dir := t.TempDir()
	write(t, dir, map[string]string{"fn.ts": "export default () => 0"})
	changes := watch(t, s, dir, time.Second)
	next(t, changes)
	for i := range 5 {
		write(t, dir, map[string]string{"fn.ts": fmt.Sprintf("export default () => %d", i)})
	}
	require.Len(t, next(t, changes).Result.Functions, 1)
	require.Equal(t, "4", mustCall(t, s, "fn", "null"), "the first change that is told is the last one made")
	require.Empty(t, changes)
}

func TestWatcherNeedsItsFolder(t *testing.T) {
	t.Parallel()
	s := start(t, testdb.New(t), setup{})
	_, err := functions.NewWatcher(functions.WatcherConfig{})
	require.Error(t, err)
	w, err := functions.NewWatcher(functions.WatcherConfig{Dir: filepath.Join(t.TempDir(), "gone"), Deploy: s.Deploy, OnChange: func(functions.Change) {}})
	require.NoError(t, err)
	require.ErrorIs(t, w.Start(t.Context()), os.ErrNotExist)
	require.NoError(t, w.Stop(t.Context()))
}
