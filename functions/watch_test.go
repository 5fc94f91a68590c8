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
func watch(t *testing.T, s instance, dir string, debounce time.Duration, had ...string) <-chan functions.Change {
	t.Helper()
	changes := make(chan functions.Change, 100)
	w, err := functions.NewWatcher(functions.WatcherConfig{
		Dir: dir, Debounce: debounce, Had: had, Deploy: s.Deploy, OnChange: func(change functions.Change) { changes <- change },
	})
	require.NoError(t, err)
	require.NoError(t, w.Start(t.Context()))
	t.Cleanup(func() { require.NoError(t, w.Stop(context.Background())) })

	return changes
}

func next(t *testing.T, changes <-chan functions.Change) functions.Change {
	t.Helper()
	change := receive(t, changes)
	require.NoError(t, change.Err)

	return change
}

func receive(t *testing.T, changes <-chan functions.Change) functions.Change {
	t.Helper()
	select {
	case change := <-changes:
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

// A folder may go and come back as another one, with other contents; what is made of it later is seen too.
func TestWatcherSurvivesItsFolder(t *testing.T) {
	t.Parallel()
	for name, replace := range map[string]func(dir string) error{
		"deleted": os.RemoveAll,
		"renamed": func(dir string) error { return os.Rename(dir, dir+".old") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, testdb.New(t), setup{})
			dir := filepath.Join(t.TempDir(), "functions")
			write(t, dir, map[string]string{"one.ts": "export default () => 1", "two.ts": "export default () => 2"})
			changes := watch(t, s, dir, 0)
			require.Equal(t, []string{"one", "two"}, deployedNames(next(t, changes)))

			require.NoError(t, replace(dir))
			require.ErrorIs(t, receive(t, changes).Err, os.ErrNotExist)
			require.Equal(t, "1", mustCall(t, s, "one", "null"), "a folder that is gone says nothing of its functions")

			write(t, dir, map[string]string{"one.ts": "export default () => 'again'"})
			back := next(t, changes)
			for len(back.Result.Removed) == 0 { // the folder was seen before the file was in it
				back = next(t, changes)
			}
			require.Equal(t, `"again"`, eventually(t, s, "one"))

			write(t, dir, map[string]string{"one.ts": "export default () => 'and again'", "sub/three.ts": "export default () => 3"})
			require.Equal(t, "3", eventually(t, s, "sub.three"))
			write(t, dir, map[string]string{"sub/three.ts": "export default () => 'three'"})
			require.Eventually(t, func() bool { return eventually(t, s, "sub.three") == `"three"` }, patience, 5*time.Millisecond)
		})
	}
}

// eventually calls a function as soon as there is one.
func eventually(t *testing.T, s instance, name string) (output string) {
	t.Helper()
	require.Eventually(t, func() (ok bool) {
		var err error
		output, err = call(t, s, name, "", "null", patience)
		return err == nil
	}, patience, 5*time.Millisecond)

	return output
}

// Editors write another file and rename it, and make others that are none of ours.
func TestWatcherSeesAtomicSaves(t *testing.T) {
	t.Parallel()
	s := start(t, testdb.New(t), setup{})
	dir := t.TempDir()
	write(t, dir, map[string]string{"fn.ts": "export default () => 1"})
	changes := watch(t, s, dir, 0)
	next(t, changes)
	for i := range 3 {
		write(t, dir, map[string]string{"fn.ts~": "(", ".fn.ts.swp": "(", "fn.ts.tmp": fmt.Sprintf("export default () => 'save %d'", i)})
		require.NoError(t, os.Rename(filepath.Join(dir, "fn.ts.tmp"), filepath.Join(dir, "fn.ts")))
		change := next(t, changes)
		require.Equal(t, []string{"fn"}, deployedNames(change))
		require.Empty(t, change.Diagnostics)
		require.Equal(t, fmt.Sprintf(`"save %d"`, i), mustCall(t, s, "fn", "null"))
	}
}

func TestWatcherFollowsALinkToItsFolder(t *testing.T) {
	t.Parallel()
	s := start(t, testdb.New(t), setup{})
	dir := t.TempDir()
	link := filepath.Join(t.TempDir(), "link")
	require.NoError(t, os.Symlink(dir, link))
	write(t, dir, map[string]string{"fn.ts": "export default () => 1"})
	changes := watch(t, s, link, 0)
	require.Equal(t, []string{"fn"}, deployedNames(next(t, changes)))
	write(t, dir, map[string]string{"fn.ts": "export default () => 2"})
	require.Equal(t, []string{"fn"}, deployedNames(next(t, changes)))
}

// What was deleted while nobody watched is removed, and nothing else is: not what was deployed in another way.
func TestWatcherRemovesWhatWentMeanwhile(t *testing.T) {
	t.Parallel()
	s := start(t, testdb.New(t), setup{})
	deploy(t, s, returns("one", "1"), returns("two", "2"), returns("other", "3"))
	dir := t.TempDir()
	write(t, dir, map[string]string{"one.ts": "export default () => 'one'"})
	first := next(t, watch(t, s, dir, 0, "one", "two", "unknown"))
	require.Equal(t, []string{"two"}, first.Result.Removed)
	require.Equal(t, []string{"one"}, deployedNames(first))
	require.Equal(t, []string{"one"}, first.Has)
	require.Equal(t, "3", mustCall(t, s, "other", "null"))
}
