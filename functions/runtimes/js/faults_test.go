package js_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/functions/runtimes/js"
	"github.com/millrace-dev/millrace/jobs"
)

func TestFaults(t *testing.T) {
	t.Parallel()
	limit := int64(16)
	if js.RaceEnabled {
		limit = 6 // filled sooner
	}
	full := fmt.Sprintf("%d MiB", limit)
	runner := newRunner(t, js.Config{MemoryLimit: limit << 20})
	for name, tt := range map[string]struct{ body, code, message string }{
		"throws":             {`throw new TypeError("no " + input.n)`, jobs.CodeException, "TypeError: no 1"},
		"plain error":        {`throw new Error("boom")`, jobs.CodeException, "boom"},
		"throws text":        {`throw "just text"`, jobs.CodeException, "just text"},
		"throws null":        {`throw null`, jobs.CodeMemoryLimit, ""}, // as the engine does without memory for an error
		"throws undefined":   {`throw undefined`, jobs.CodeException, "undefined"},
		"throws an object":   {`throw {code: 7}`, jobs.CodeException, `{"code":7}`},
		"throws a symbol":    {`throw Symbol("s")`, jobs.CodeException, "Symbol(s)"},
		"throws a trap":      {`throw new Proxy({}, {get() { throw 1 }})`, jobs.CodeException, ""},
		"throws evil error":  {`const e = new Error(); Object.defineProperty(e, "message", {get() { throw 1 }}); throw e`, jobs.CodeException, "Error"},
		"throws in a timer":  {`await new Promise(() => setTimeout(() => { throw new Error("late") }, 1))`, jobs.CodeException, "late"},
		"throws in a task":   {`queueMicrotask(() => { throw new Error("task") }); await new Promise(() => {})`, jobs.CodeException, "task"},
		"returns BigInt":     {`return 1n`, jobs.CodeInvalidOutput, "BigInt"},
		"returns a symbol":   {`return Symbol()`, jobs.CodeInvalidOutput, "symbol"},
		"returns a function": {`return () => 1`, jobs.CodeInvalidOutput, "function"},
		"returns a cycle":    {`const a = {}; a.a = a; return a`, jobs.CodeInvalidOutput, "circular"},
		"evil toJSON":        {`return {toJSON() { throw new Error("no json") }}`, jobs.CodeInvalidOutput, "no json"},
		"never settles":      {`await new Promise(() => {})`, jobs.CodeStalled, "promise"},
		"cleared timer":      {`await new Promise(r => clearTimeout(setTimeout(r, 1000)))`, jobs.CodeStalled, "promise"},
		"recursion":          {`(function f() { f() })()`, jobs.CodeException, "stack overflow"},
		"deep json":          {`JSON.parse("[".repeat(1e5))`, jobs.CodeException, "stack overflow"},
		"array bomb":         {`const a = []; for (;;) a.push({x: a})`, jobs.CodeMemoryLimit, full},
		"string bomb":        {`const a = []; for (let i = 0;; i++) a.push("x".repeat(1e6) + i)`, jobs.CodeMemoryLimit, full},
		"typed array bomb":   {`const a = []; for (;;) a.push(new Uint8Array(1e6))`, jobs.CodeMemoryLimit, full},
		"one big array":      {`new Uint8Array(2 ** 30)`, jobs.CodeMemoryLimit, full},
		"global bomb":        {`globalThis.a = []; for (;;) a.push("x".repeat(100000) + a.length)`, jobs.CodeMemoryLimit, full},
		"normalize bomb":     {`"\u0344".repeat(4e6).normalize("NFKD").length`, jobs.CodeMemoryLimit, full},
		"thrown nothing":     {`const s = "\u0344".repeat(limit * 125000); s.normalize("NFKD")`, jobs.CodeMemoryLimit, full},
		"nothing in toJSON":  {`const s = "\u0344".repeat(limit * 75000); return {toJSON() { return s.normalize("NFKD") }}`, jobs.CodeMemoryLimit, full},
		"output bomb":        {`const a = []; for (let i = 0; i < 1e4; i++) a.push("0123456789".repeat(500)); return a`, jobs.CodeMemoryLimit, full},
		"promise bomb":       {`const a = []; for (;;) { a.push(new Promise(r => a.push(r, new Uint8Array(10000)))); await null }`, jobs.CodeMemoryLimit, full},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := run(t, runner, fmt.Sprintf("const limit = %d;\n", limit)+tt.body)
			f := failure(t, err)
			require.Equal(t, tt.code, f.Code, "%v", f)
			require.Contains(t, f.Message, tt.message)
		})
	}
}

func TestMemoryLimitIsTheFunctions(t *testing.T) {
	t.Parallel()
	runner := newRunner(t, js.Config{MemoryLimit: 16 << 20})
	body := `export default () => new Uint8Array(24 * 1024 * 1024).length`
	_, err := invoke(t, runner, prepare(t, runner, body), "null", &recorder{}, patience)
	require.Equal(t, jobs.CodeMemoryLimit, failure(t, err).Code)
	output, err := invoke(t, runner, prepare(t, runner, `export const config = {memory: "32MiB"};`+body), "null", &recorder{}, patience)
	require.NoError(t, err)
	require.Equal(t, "25165824", output)
}

func TestLoopsEnd(t *testing.T) {
	t.Parallel()
	runner := newRunner(t, js.Config{})
	for name, body := range map[string]string{
		"sync":                 `for (;;) {}`,
		"async":                `for (;;) await null`,
		"microtasks":           `const f = () => Promise.resolve().then(f); await f()`,
		"timers":               `for (;;) await new Promise(r => setTimeout(r, 1))`,
		"catches everything":   `for (;;) { try { for (;;) {} } catch {} }`,
		"finally":              `try { for (;;) {} } finally { for (;;) {} }`,
		"regexp":               `/^(a+)+$/.test("a".repeat(40) + "b")`,
		"logs":                 `for (;;) console.log("x")`,
		"publishes":            `for (;;) ctx.publish("c", 1)`,
		"waits":                `await new Promise(r => setTimeout(r, 1e9))`,
		"generator":            `function* g() { for (;;) yield 1 } for (const x of g()) {}`,
		"in toJSON":            `return {toJSON() { for (;;) {} }}`,
		"in a thenable":        `return {then() { for (;;) {} }}`,
		"in the error's stack": `const e = new Error(); Object.defineProperty(e, "message", {get() { for (;;) {} }}); throw e`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			program := prepare(t, runner, "export default async function (input, ctx) {\n"+body+"\n}")
			begin := time.Now()
			_, err := invoke(t, runner, program, `null`, &recorder{}, 200*time.Millisecond)
			require.Equal(t, jobs.CodeTimeout, failure(t, err).Code, "%v", err)
			require.Less(t, time.Since(begin), patience)
		})
	}
}
