package main

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

const deployRoute = "POST /v1/deployments"

func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	}
	return dir
}

const hello = "export default async function () { return 1 }\n"

func TestDeployShowsThePlanFirst(t *testing.T) {
	t.Parallel()
	a := newAPI(t, map[string]http.HandlerFunc{
		"GET /v1/functions": answerJSON(`{"functions":[{"name":"hello","runtime":"js"},{"name":"old","runtime":"js"},{"name":"built.in","runtime":"native"}]}`),
		deployRoute: answerJSON(`{"functions":[{"name":"hello","version":"aaa","changed":false,"previous":"aaa"},` +
			`{"name":"orders.charge","version":"bbb","changed":true,"previous":""},{"name":"x","version":"ddd","changed":true,"previous":"ccc"}],"removed":["old"]}`),
	})
	dir := folder(t, map[string]string{"hello.ts": hello, "orders/charge.js": hello})
	got := a.run(t, "", "deploy", dir, "--prune")
	require.Zero(t, got.code, got.stderr)
	for _, line := range []string{`hello +unchanged +aaa`, `orders\.charge +new +bbb`, `x +changed +ccc → ddd`, `old +removed +-`} {
		require.Regexp(t, "(?m)^"+line+"$", got.stdout)
	}
	require.Contains(t, got.stderr, "Deployed: 3 changes.")
	asked := a.asked()
	require.Len(t, asked, 3)
	require.Contains(t, asked[1], deployRoute+"?dry_run=true {")
	require.Contains(t, asked[1], `"name":"orders.charge"`)
	require.Contains(t, asked[1], `"remove":["old"]`, "functions of the server's own program stay")
	require.Contains(t, asked[2], deployRoute+" {")
}

func TestDeployDryRun(t *testing.T) {
	t.Parallel()
	a := newAPI(t, map[string]http.HandlerFunc{deployRoute: answerJSON(`{"functions":[{"name":"hello","version":"aaa","changed":true}]}`)})
	dir := folder(t, map[string]string{"hello.ts": hello})
	got := a.run(t, "", "deploy", dir, "--dry-run")
	require.Zero(t, got.code)
	require.Contains(t, got.stderr, "Nothing was changed")
	require.Len(t, a.asked(), 1)
	require.Contains(t, a.run(t, "", "deploy", dir, "--json").stdout, `"changed":true`)
}

func TestDeployNothing(t *testing.T) {
	t.Parallel()
	a := newAPI(t, map[string]http.HandlerFunc{deployRoute: answerJSON(`{"functions":[{"name":"hello","version":"aaa","changed":false}]}`)})
	got := a.run(t, "", "deploy", folder(t, map[string]string{"hello.ts": hello}))
	require.Zero(t, got.code)
	require.Contains(t, got.stderr, "Nothing to deploy.")
	require.Len(t, a.asked(), 1, "what would change nothing is not sent again")

	got = a.run(t, "", "deploy", t.TempDir())
	require.Equal(t, exitFailed, got.code)
	require.Contains(t, got.stderr, "there is no function in")
	require.Equal(t, exitUsage, a.run(t, "", "deploy", "/does/not/exist").code)
}

func TestDeployShowsMistakes(t *testing.T) {
	t.Parallel()
	a := newAPI(t, map[string]http.HandlerFunc{
		deployRoute: problem(http.StatusUnprocessableEntity,
			`"code":"build_failed","title":"The functions do not build","diagnostics":[{"file":"hello.ts","line":3,"column":7,"message":"Unexpected }"}]`),
	})
	got := a.run(t, "", "deploy", folder(t, map[string]string{"hello.ts": hello}))
	require.Equal(t, exitFailed, got.code)
	require.Contains(t, got.stderr, "hello.ts:3:7: Unexpected }\nmillrace: 1 mistake in ")

	got = a.run(t, "", "deploy", folder(t, map[string]string{"hello.ts": hello, "hello.js": hello}))
	require.Equal(t, exitFailed, got.code)
	require.Contains(t, got.stderr, "is the function hello too", "two files of one name are found before the server is asked")
}

func TestFunctions(t *testing.T) {
	t.Parallel()
	a := newAPI(t, map[string]http.HandlerFunc{
		"GET /v1/functions": answerJSON(`{"functions":[{"name":"hello","runtime":"js","version":"ccc","updated_at":"2026-01-03T00:00:00Z"}]}`),
		"GET /v1/functions/hello/versions": answerJSON(`{"versions":[{"version":"ccc","created_at":"2026-01-03T00:00:00Z"},` +
			`{"version":"bbb","live":true,"created_at":"2026-01-02T00:00:00Z"},{"version":"aaa","created_at":"2026-01-01T00:00:00Z"}]}`),
		"GET /v1/functions/new/versions":    answerJSON(`{"versions":[{"version":"aaa","live":true,"created_at":"2026-01-01T00:00:00Z"}]}`),
		"POST /v1/functions/hello/rollback": answerJSON(`{"name":"hello","version":"aaa"}`),
	})
	require.Regexp(t, `(?m)^hello +js +ccc +\d+ d ago +active$`, a.run(t, "", "functions", "list").stdout)
	require.Regexp(t, `(?m)^bbb +live +\d+ d ago$`, a.run(t, "", "functions", "versions", "hello").stdout)

	got := a.run(t, "", "functions", "rollback", "hello")
	require.Zero(t, got.code, got.stderr)
	require.Equal(t, "hello  bbb → aaa\n", got.stdout)
	asked := a.asked()
	require.Equal(t, `POST /v1/functions/hello/rollback {"version":"aaa"}`, asked[len(asked)-1], "the one before the live one, not the newest")

	got = a.run(t, "", "functions", "rollback", "new")
	require.Equal(t, exitFailed, got.code)
	require.Contains(t, got.stderr, "new has no version before aaa")
}

func TestSampleFolder(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "deep", "functions")
	made, err := ensureFolder(dir)
	require.NoError(t, err)
	require.True(t, made)
	deployment, err := readFolder(dir)
	require.NoError(t, err)
	require.Equal(t, "hello", deployment.Functions[0].Name)

	require.NoError(t, os.Remove(filepath.Join(dir, "hello.ts")))
	made, err = ensureFolder(dir)
	require.NoError(t, err)
	require.False(t, made, "an empty folder is the user's own")

	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, err = ensureFolder(file)
	require.ErrorContains(t, err, "is not a folder")
}

func TestDevKeyIsKept(t *testing.T) {
	t.Parallel()
	d := devCmd{DataDir: filepath.Join(t.TempDir(), "data")}
	first, err := d.key()
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(first), shortestKey)
	again, err := d.key()
	require.NoError(t, err)
	require.Equal(t, first, again)
	info, err := os.Stat(filepath.Join(d.DataDir, "key"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())

	_, err = (&devCmd{Key: "short"}).key()
	require.ErrorContains(t, err, "shorter than 16")
	given, err := (&devCmd{Key: "long enough for a key"}).key()
	require.NoError(t, err)
	require.Equal(t, "long enough for a key", given)
}
