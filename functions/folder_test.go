package functions_test

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/functions"
	"github.com/millrace-dev/millrace/internal/testdb"
)

// write puts files into a folder, making folders as needed.
func write(t testing.TB, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o750))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	}
}

func scan(t testing.TB, dir string) map[string][]string {
	t.Helper()
	deployment, err := functions.ScanFolder(dir)
	require.NoError(t, err)
	found := map[string][]string{}
	for _, f := range deployment.Functions {
		require.Contains(t, f.Files, f.Entry)
		found[f.Name] = slices.Sorted(maps.Keys(f.Files))
	}

	return found
}

func TestScanFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, map[string]string{
		"hello.js":                        "export default () => 1",
		"orders/charge.ts":                "import { rate } from '../_lib/rate'; import x from './charge.test.fixture.json'; export default () => rate + x",
		"orders/charge.test.ts":           "test",
		"orders/types.d.ts":               "declare const x: number",
		"_lib/rate.ts":                    "export const rate = 2",
		"_lib/deep/unused.ts":             "export default () => 1",
		".hidden/fn.ts":                   "export default () => 1",
		".env":                            "SECRET=1",
		"node_modules/pkg/fn.ts":          "export default () => 1",
		"README.md":                       "# read me",
		"broken.ts":                       "import './hello'; export default (",
		"orders/charge.test.fixture.json": "5",
	})
	found := scan(t, dir)
	require.Equal(t, []string{"broken", "hello", "orders.charge"}, slices.Sorted(maps.Keys(found)))
	require.Equal(t, []string{"hello.js"}, found["hello"])
	require.Equal(t, []string{"_lib/rate.ts", "orders/charge.test.fixture.json", "orders/charge.ts"}, found["orders.charge"])
	require.Contains(t, found["broken"], "hello.js", "one that cannot be read gets all files")
	for _, files := range found {
		require.NotContains(t, files, ".env")
	}
}

func TestScanFolderMistakes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, map[string]string{
		"a b.ts": "export default () => 1", "good.ts": "export default () => 1",
		"fn.ts": "export default () => 1", "fn.js": "export default () => 1",
	})
	deployment, err := functions.ScanFolder(dir)
	var wrong *functions.BuildError
	require.ErrorAs(t, err, &wrong)
	require.Len(t, wrong.Diagnostics, 2)
	require.Contains(t, err.Error(), `a b.ts: the name "a b" must be`)
	require.Contains(t, err.Error(), "fn.ts: fn.js is the function fn too")
	require.Len(t, deployment.Functions, 2)

	_, err = functions.ScanFolder(filepath.Join(dir, "gone"))
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestScanFolderStaysInside(t *testing.T) {
	t.Parallel()
	outside, dir := t.TempDir(), t.TempDir()
	write(t, outside, map[string]string{"secret.ts": "export default 'SECRET'", "dir/secret.ts": "export default 'SECRET'"})
	write(t, dir, map[string]string{
		"inside.ts": "export default () => 1",
		"fn.ts":     "import x from './link'; import y from './dir/secret'; import z from './same'; export default () => [x, y, z]",
	})
	for link, target := range map[string]string{
		"link.ts": filepath.Join(outside, "secret.ts"), "dir": filepath.Join(outside, "dir"), "same.ts": "inside.ts", "passwd.json": "/etc/passwd",
		"loop.ts": "loop.ts", "nowhere.ts": "nowhere-at-all.ts",
	} {
		require.NoError(t, os.Symlink(target, filepath.Join(dir, link)))
	}

	deployment, err := functions.ScanFolder(dir)
	require.NoError(t, err)
	for _, f := range deployment.Functions {
		require.Contains(t, []string{"fn", "inside", "same"}, f.Name)
		for name, data := range f.Files {
			require.NotContains(t, string(data), "SECRET", name)
			require.NotContains(t, string(data), "root:", name)
		}
	}

	s := start(t, testdb.New(t), setup{})
	_, err = s.Deploy(t.Context(), deployment)
	require.ErrorContains(t, err, "fn.ts:1:15:")
	require.ErrorContains(t, err, "no file link in the functions folder")
	require.ErrorContains(t, err, "no file dir/secret in the functions folder")
}

func TestPackagesAreBundled(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	write(t, root, map[string]string{
		"node_modules/counter/package.json":   `{"name":"counter","main":"main.js"}`,
		"node_modules/counter/main.js":        "let n = 0; exports.next = () => ++n",
		"node_modules/esm/package.json":       `{"name":"esm","type":"module","exports":{".":"./index.js","./sub":"./sub.js"}}`,
		"node_modules/esm/index.js":           "import { next } from 'counter'; export default function both() { return 'esm' + next() }; export const named = 7",
		"node_modules/esm/sub.js":             "export default 'sub'",
		"node_modules/@scope/fs/package.json": `{"name":"@scope/fs","main":"i.js"}`,
		"node_modules/@scope/fs/i.js":         "exports.read = () => require('fs').readFileSync('/etc/passwd')",
		"functions/fn.ts": `import { next } from "counter"; import both, { named } from "esm"; import sub from "esm/sub";
			export default () => [next(), both(), named, sub]`,
		"functions/none.ts": "import x from 'not-installed'; export default () => x",
	})
	dir := filepath.Join(root, "functions")
	deployment, err := functions.ScanFolder(dir)
	require.NoError(t, err)
	require.Equal(t, []string{"fn.ts", "node_modules/.packages.js", "node_modules/counter.js", "node_modules/esm.js", "node_modules/esm/sub.js"},
		slices.Sorted(maps.Keys(deployment.Functions[0].Files)))

	s := start(t, testdb.New(t), setup{})
	_, err = s.Deploy(t.Context(), deployment)
	require.ErrorContains(t, err, `none.ts:1:15: the package "not-installed" is not there: run npm install`)
	deploy(t, s, deployment.Functions[0])
	require.JSONEq(t, `[1,"esm2",7,"sub"]`, mustCall(t, s, "fn", "null"), "the packages share one counter")

	write(t, dir, map[string]string{"needs.ts": "import { read } from '@scope/fs'; export default () => read()"})
	_, err = functions.ScanFolder(dir)
	require.ErrorContains(t, err, "cannot run without Node.js")
	require.ErrorContains(t, err, `"fs"`)
}
