package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/millrace-dev/millrace/functions/durable"
	"github.com/millrace-dev/millrace/functions/runtimes"
	"github.com/millrace-dev/millrace/functions/runtimes/js"
)

// function is functions/codecount.ts, built and called as the server does.
type function struct {
	runner  *js.Runner
	program runtimes.Program
}

// alone is the host of a function that asks for nothing.
type alone struct{ runtimes.Host }

// Steps is nil: nothing durable is done.
func (alone) Steps() *durable.Run { return nil }

func newFunction(t *testing.T) function {
	t.Helper()
	code, err := os.ReadFile("functions/codecount.ts")
	require.NoError(t, err)
	runner, err := js.New(js.Config{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, runner.Close(context.WithoutCancel(t.Context()))) })
	artifact, err := runner.Build(t.Context(), runtimes.Source{
		Name: functionName, Entry: "codecount.ts", Files: map[string][]byte{"codecount.ts": code},
	})
	require.NoError(t, err)
	program, err := runner.Prepare(t.Context(), runtimes.Version{
		Function: functionName, Entry: "codecount.ts", Code: artifact.Code, SourceMap: artifact.SourceMap, Config: artifact.Config,
	})
	require.NoError(t, err)
	return function{runner: runner, program: program}
}

// count goes the whole way of a file: to disk, into an input, through the function, back from its output.
func (f function) count(t require.TestingT, ctx context.Context, dir, content string) count {
	require.NoError(t, os.WriteFile(filepath.Join(dir, "x.go"), []byte(content), 0o600))
	input, err := readInput(dir, "x.go")
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	output, err := f.runner.Invoke(ctx, f.program, runtimes.Call{Input: input, Function: functionName, Attempt: 1, MaxAttempts: 1}, alone{})
	require.NoError(t, err)
	var c count
	require.NoError(t, json.Unmarshal(output, &c))
	return c
}

func TestFunctionCounts(t *testing.T) {
	f := newFunction(t)
	got := f.count(t, t.Context(), t.TempDir(), strings.Join([]string{
		"package main // not me", "", "/* nor", "me */ func größe(a, constructor, __proto__ int) string {",
		"\treturn \"no \\\" me\" + `nor", "me` + string('\\'') + a1 + 0x1F + 1e9 + a1 }",
	}, "\n"))
	require.Equal(t, count{Path: "x.go", Lines: 5, Words: 34, Identifiers: map[string]int{
		"main": 1, "größe": 1, "a": 1, "constructor": 1, "__proto__": 1, "int": 1, "string": 2, "a1": 2,
	}}, got)
}

// TestBothCountsAgree lets two implementations with nothing in common meet on the texts that are hardest for them:
// quotes, escapes and comments that are not closed, bytes that are no UTF-8, NULs, pairs of surrogates.
func TestBothCountsAgree(t *testing.T) {
	f := newFunction(t)
	dir := t.TempDir()
	pieces := []string{
		"/", "*", "//", "/*", "*/", "\"", "'", "`", "\\", "\n", "\r\n", " ", "\t", "\v", "\f", "\x00", "\u00a0", "\u2028", "\ufeff",
		"a", "Z9", "_", "0", "0x1f", "1e9", "x.y", "func", "range", "constructor", "__proto__", "é", "世界", "😀", "\xff", "\xc3", "\xe4\xb8", "\xed\xa0\x80",
	}
	rapid.Check(t, func(t *rapid.T) {
		content := strings.Join(rapid.SliceOfN(rapid.SampledFrom(pieces), 0, 40).Draw(t, "pieces"), "")
		require.NoError(t, compare(f.count(t, context.Background(), dir, content), countSource("x.go", []byte(content))), "%q", content)
	})
}

func TestLargeSourceFitsTheFunctionsMemory(t *testing.T) {
	if raceDetector {
		t.Skip("the engine, which is C turned into Go, takes minutes for 3 MB under the race detector")
	}
	f := newFunction(t)
	content := strings.Repeat("\tcase OpAMD64ADDQconst: return rewrite(v, \"x\", 0x12) // line\n", 50_000)
	require.Greater(t, len(content), 3_000_000, "the toolchain's largest file has 3 MB")
	require.NoError(t, compare(f.count(t, t.Context(), t.TempDir(), content), countSource("x.go", []byte(content))))
}

func TestDifferencesAreFoundAndNamed(t *testing.T) {
	want := map[string]count{
		"a.go": {Path: "a.go", Lines: 1, Words: 2, Identifiers: map[string]int{"x": 1}},
		"b.go": {Path: "b.go", Lines: 1, Words: 2, Identifiers: map[string]int{"x": 1}},
	}
	right := func() map[string]count {
		counts := map[string]count{}
		for path, c := range want {
			c.Identifiers = map[string]int{"x": 1}
			counts[path] = c
		}
		return counts
	}
	require.NoError(t, verify(&outcome{counts: right()}, want))

	for name, spoil := range map[string]func(*outcome){
		"b.go: the job counted 2 lines":            func(o *outcome) { c := o.counts["b.go"]; c.Lines++; o.counts["b.go"] = c },
		`b.go: the job saw the identifier "x" 2`:   func(o *outcome) { o.counts["b.go"].Identifiers["x"]++ },
		`b.go: the job saw the identifier "y" 1`:   func(o *outcome) { o.counts["b.go"].Identifiers["y"]++ },
		`b.go: the job saw the identifier "x" 0`:   func(o *outcome) { delete(o.counts["b.go"].Identifiers, "x") },
		"b.go: no job reported":                    func(o *outcome) { delete(o.counts, "b.go") },
		"b.go: the job counted a.go":               func(o *outcome) { o.counts["b.go"] = o.counts["a.go"] },
		"a.go: boom":                               func(o *outcome) { delete(o.counts, "a.go"); o.failures["a.go"] = os.ErrDeadlineExceeded },
		"the totals differ: jobs counted 1 files,": func(o *outcome) { delete(o.counts, "a.go") },
	} {
		o := &outcome{counts: right(), failures: map[string]error{}}
		spoil(o)
		require.ErrorContains(t, verify(o, want), strings.Replace(name, "boom", "i/o timeout", 1))
	}
}

func TestSourcesAreRegularGoFiles(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "b", "not_a_file.go"), 0o755))
	for _, name := range []string{"b/x.go", "a.go", "a.txt"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, filepath.FromSlash(name)), nil, 0o600))
	}
	require.NoError(t, os.Symlink("a.go", filepath.Join(dir, "link.go")))
	paths, err := findSources(dir)
	require.NoError(t, err)
	require.Equal(t, []string{"a.go", "b/x.go"}, paths)

	_, err = findSources(t.TempDir())
	require.ErrorContains(t, err, "no .go file")
}
