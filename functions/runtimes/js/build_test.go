package js_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/functions/runtimes"
	"github.com/millrace-dev/millrace/functions/runtimes/js"
	"github.com/millrace-dev/millrace/jobs"
)

// use keeps the import of x, which would go as a type does if nobody used it.
func use(text string) string {
	if strings.HasPrefix(text, "import x ") {
		return "console.log(x)\n"
	}

	return ""
}

func mistakes(t *testing.T, err error) []runtimes.Diagnostic {
	t.Helper()
	var wrong *runtimes.BuildError
	require.ErrorAs(t, err, &wrong, "%v", err)
	require.NotEmpty(t, wrong.Diagnostics)

	return wrong.Diagnostics
}

const fine = "export default () => 1"

func TestMistakesHavePositions(t *testing.T) {
	t.Parallel()
	runner := newRunner(t, js.Config{})
	for name, tt := range map[string]struct{ text, want string }{
		"syntax":            {"const a = 1\nexport default (x => {", "test/fn.ts:2:23: Unexpected end of file"},
		"typescript":        {"\nlet x: = 1\n" + fine, `test/fn.ts:2:8: Unexpected "="`},
		"no default":        {"export const x = 1", "test/fn.ts:1:1: there is no function to run"},
		"default value":     {"export default 5", "test/fn.ts:1:1: there is no function to run"},
		"top level throws":  {fine + "\n\nfunction boom() {\n  throw new Error('no')\n}\nboom()", "test/fn.ts:4:13: no"},
		"unknown name":      {fine + "\nfoo()", "test/fn.ts:2:1: ReferenceError: 'foo' is not defined"},
		"top level await":   {"await 1\n" + fine, "test/fn.ts:1:1: Top-level await"},
		"top level eats":    {fine + "\nglobalThis.a = []; for (;;) a.push(new Uint8Array(1e6))", "64 MiB of memory"},
		"config, every one": {fine + "\nexport const config = {retries: -1, queu: 'x', timeout: 'soon', memory: '1TB'}", "test/fn.ts:2:1: config.timeout must be"},
		"config is text":    {"export const config = 'fast';" + fine, "config must be an object"},
		"twice":             {"export const config = {retries: 1, maxAttempts: 2};" + fine, "keep one"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := build(t, runner, tt.text)
			mistakes(t, err)
			require.Contains(t, err.Error(), tt.want)
		})
	}
}

func TestTopLevelMustEnd(t *testing.T) {
	t.Parallel()
	runner := newRunner(t, js.Config{BuildTime: 100 * time.Millisecond})
	for _, loop := range []string{"for (;;) {}", "export const config = {get queue() { for (;;) {} }}"} {
		_, err := build(t, runner, fine+"\n"+loop)
		mistakes(t, err)
		require.Contains(t, err.Error(), "takes more than 100ms")
	}
}

func TestEveryConfigMistakeIsReported(t *testing.T) {
	t.Parallel()
	runner := newRunner(t, js.Config{})
	_, err := build(t, runner, fine+"\n\nexport const config = {priority: 9, retries: 1.5, queue: 'A B', timeout: () => 1, backoff: {factor: 0, x: 1}}")
	list := mistakes(t, err)
	require.Len(t, list, 6)
	for _, d := range list {
		require.Equal(t, 3, d.Line, d)
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	runner := newRunner(t, js.Config{})
	artifact, err := build(t, runner, `
		const minute = 60_000;
		export const config = {queue: "mail", priority: 1, retries: 3, timeout: 2 * minute, backoff: {first: "2s", max: "1m", factor: 3}, memory: "32MiB"};
		`+fine)
	require.NoError(t, err)
	require.Equal(t, runtimes.Config{
		Queue: "mail", Priority: 1, MaxAttempts: 4, Timeout: 120_000, Memory: 32 << 20,
		Backoff: jobs.Backoff{First: 2 * time.Second, Max: time.Minute, Factor: 3},
	}, artifact.Config)
	require.Equal(t, jobs.Settings{
		Version: "v", Queue: "mail", Priority: 1, MaxAttempts: 4, Timeout: 2 * time.Minute,
		Backoff: jobs.Backoff{First: 2 * time.Second, Max: time.Minute, Factor: 3},
	}, artifact.Config.Settings("v"))
}

func TestImports(t *testing.T) {
	t.Parallel()
	runner := newRunner(t, js.Config{})
	source := runtimes.Source{Name: "a.main", Entry: "a/main.ts", Files: map[string][]byte{
		"a/main.ts": []byte(`
			import { one } from "./lib/one.js"; // the TypeScript way to name one.ts
			import data from "../data.json";
			import text from "../note.txt";
			import folder from "../folder";
			import pkg from "pkg/sub";
			import type { Gone } from "./types-only";
			export default () => [one, data.two, text, folder, pkg];`),
		"a/lib/one.ts":            []byte(`export const one: number = 1`),
		"data.json":               []byte(`{"two": 2}`),
		"note.txt":                []byte(`three`),
		"folder/index.ts":         []byte(`export default 4`),
		"node_modules/pkg/sub.js": []byte(`module.exports = 5`),
		"unused.ts":               []byte(`this is ( no typescript`),
	}}
	artifact, err := runner.Build(t.Context(), source)
	require.NoError(t, err)
	require.Equal(t, []string{"a/lib/one.ts", "a/main.ts", "data.json", "folder/index.ts", "node_modules/pkg/sub.js", "note.txt"}, artifact.Files)

	program, err := runner.Prepare(t.Context(), runtimes.Version{Function: "a.main", Code: artifact.Code, SourceMap: artifact.SourceMap})
	require.NoError(t, err)
	got, err := invoke(t, runner, program, "null", &recorder{}, patience)
	require.NoError(t, err)
	require.JSONEq(t, `[1,2,"three",4,5]`, got)
}

// The server's disk must not be seen, whichever way a source asks for it. The files asked for exist.
func TestNothingIsReadFromTheDisk(t *testing.T) {
	t.Parallel()
	runner := newRunner(t, js.Config{})
	dir := t.TempDir()
	for _, name := range []string{"secret.ts", "secret.json", "secret.js.map"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(`{"version":3,"sources":["stolen"],"mappings":"AAAA","sourcesContent":["SECRET"]}`), 0o600))
	}
	secret := filepath.Join(dir, "secret")
	up := strings.Repeat("../", 40)

	for name, tt := range map[string]struct{ text, want string }{
		"relative":       {`import x from "` + up + `etc/passwd"`, "leads outside"},
		"relative real":  {`import x from "` + up + secret[1:] + `.json"`, "leads outside"},
		"absolute":       {`import x from "/etc/passwd"`, "absolute path"},
		"absolute real":  {`import x from "` + secret + `.json"`, "absolute path"},
		"windows":        {`import x from "C:\\secret.json"`, "absolute path"},
		"fs":             {`import x from "fs"`, "a module of Node.js"},
		"node:fs":        {`import x from "node:fs"`, "a module of Node.js"},
		"require":        {`const x = require("fs")`, "a module of Node.js"},
		"file URL":       {`import x from "file://` + secret + `.json"`, "a URL"},
		"https URL":      {`import x from "https://example.com/x.js"`, "a URL"},
		"data URL":       {`import x from "data:text/javascript,export default 1"`, "a URL"},
		"dynamic":        {`import("/etc/passwd")`, "absolute path"},
		"in try":         {`try { require("/etc/passwd") } catch {}`, "absolute path"},
		"package":        {`import x from "left-pad"`, "npm install"},
		"export from":    {`export * from "` + up + `etc/passwd"`, "leads outside"},
		"attribute":      {`import x from "/etc/passwd" with { type: "text" }`, "absolute path"},
		"pattern":        {`const n = "x"; import("` + up + dir[1:] + `/" + n)`, "must name its file"},
		"pattern empty":  {`const n = "x"; import("` + up + `etc/" + n + ".ts")`, "must name its file"},
		"pattern no dir": {`const n = "x"; import("` + up + `nowhere/" + n)`, "must name its file"},
		"pattern text":   {"const n = 'x'; import(`" + up + dir[1:] + "/${n}.json`)", "must name its file"},
		"require glob":   {`const n = "x"; require("` + up + dir[1:] + `/" + n)`, "must name its file"},
		"unnamed":        {`const n = "x"; import(n)`, "must name its file"},
		"source map":     {"//# sourceMappingURL=file://" + secret + ".js.map", "must be inline"},
		"source map 2":   {"/*@ sourceMappingURL=FILE://localhost" + secret + ".js.map */", "must be inline"},
		"missing":        {"import x from './gone'", "no file test/gone"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := build(t, runner, fine+"\n"+tt.text+"\n"+use(tt.text))
			list := mistakes(t, err)
			require.Contains(t, err.Error(), tt.want)
			require.NotContains(t, err.Error(), "SECRET")
			require.Len(t, list, 1, "a second diagnostic would tell what is on the disk")
			if !strings.Contains(tt.text, "secret.") {
				require.NotContains(t, list[0].Message, "secret.", "names on the disk")
			}
			require.Equal(t, "test/fn.ts", list[0].File)
		})
	}

	t.Run("relative source map", func(t *testing.T) {
		t.Parallel()
		artifact, err := build(t, runner, fine+"\n//# sourceMappingURL="+up+secret[1:]+".js.map\n")
		require.NoError(t, err)
		require.NotContains(t, string(artifact.SourceMap)+string(artifact.Code), "stolen")
	})
}

func TestStacksNameTheUsersFiles(t *testing.T) {
	t.Parallel()
	runner := newRunner(t, js.Config{})
	source := runtimes.Source{Name: "a.b", Entry: "a/b.ts", Files: map[string][]byte{
		"a/b.ts": []byte("import { deep } from './lib'\n\ninterface Input { n: number }\n\nexport default async function handler(input: Input, ctx) {\n" +
			"  await null\n  try {\n    deep(input.n)\n  } catch (cause) {\n    console.error(cause)\n    throw new Error('outer', { cause })\n  }\n}\n"),
		"a/lib.ts": []byte("type T = number\n\nexport function deep(n: T): T {\n  return (n as any).no.such\n}\n"),
	}}
	artifact, err := runner.Build(t.Context(), source)
	require.NoError(t, err)
	program, err := runner.Prepare(t.Context(), runtimes.Version{Function: "a.b", Code: artifact.Code, SourceMap: artifact.SourceMap})
	require.NoError(t, err)

	host := &recorder{}
	_, err = invoke(t, runner, program, `{"n":1}`, host, patience)
	f := failure(t, err)
	require.Equal(t, "outer", f.Message)
	require.Contains(t, f.Stack, "at handler (a/b.ts:11:", f.Stack)
	require.Contains(t, f.Stack, "caused by TypeError: cannot read property 'such' of undefined\n    at deep (a/lib.ts:4:", f.Stack)
	require.NotContains(t, f.Stack, "<eval>")
	require.NotContains(t, f.Stack, "run (")
	require.Contains(t, host.logged()[0], "at deep (a/lib.ts:4:")
}
