package js_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/millrace-dev/millrace/functions/runtimes"
	"github.com/millrace-dev/millrace/functions/runtimes/js"
	"github.com/millrace-dev/millrace/jobs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is for what must happen, on a machine however busy.
const patience = 3 * time.Minute

// recorder is a Host that writes down what it is asked for.
type recorder struct {
	mu        sync.Mutex
	lines     []string
	progress  []string
	published []string
	enqueued  []runtimes.EnqueueRequest
	inFlight  int
	most      int
	delay     time.Duration
}

func (r *recorder) notef(list *[]string, format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	*list = append(*list, fmt.Sprintf(format, args...))
}

func (r *recorder) Progress(percent float64, message string) {
	r.notef(&r.progress, "%v %s", percent, message)
}

func (r *recorder) Log(level, message string, fields json.RawMessage) {
	r.notef(&r.lines, "%s %s%s", level, message, fields)
}

func (r *recorder) Publish(ctx context.Context, channel string, data json.RawMessage) error {
	r.mu.Lock()
	r.inFlight++
	r.most = max(r.most, r.inFlight)
	r.mu.Unlock()

	select {
	case <-time.After(r.delay):
	case <-ctx.Done():
	}

	r.mu.Lock()
	r.inFlight--
	r.mu.Unlock()

	if channel == "forbidden" {
		return errors.New("not this channel")
	}
	r.notef(&r.published, "%s %s", channel, data)

	return nil
}

func (r *recorder) Enqueue(_ context.Context, request runtimes.EnqueueRequest) (string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.enqueued = append(r.enqueued, request)

	return fmt.Sprint(len(r.enqueued)), nil
}

func (r *recorder) Now() time.Time           { return time.Unix(1_700_000_000, 0) }
func (r *recorder) Random() float64          { return 0.25 }
func (r *recorder) RandomBytes(n int) []byte { return make([]byte, n) }
func (r *recorder) UUID() string             { return "00000000-0000-4000-8000-000000000000" }

// busy is how many operations are under way.
func (r *recorder) busy() int {
	r.mu.Lock()
	defer r.mu.Unlock()

	return r.inFlight
}

func (r *recorder) logged() []string {
	r.mu.Lock()
	defer r.mu.Unlock()

	return r.lines
}

func newRunner(t testing.TB, config js.Config) *js.Runner {
	t.Helper()
	if config.BuildTime == 0 {
		config.BuildTime = patience
	}
	if config.BundleTime == 0 {
		config.BundleTime = patience
	}
	runner, err := js.New(config)
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		require.NoError(t, runner.Close(ctx))
	})

	return runner
}

func files(text string) map[string][]byte { return map[string][]byte{"test/fn.ts": []byte(text)} }

func source(text string) runtimes.Source {
	return runtimes.Source{Name: "test.fn", Entry: "test/fn.ts", Files: files(text)}
}

func build(t testing.TB, runner *js.Runner, text string) (runtimes.Artifact, error) {
	t.Helper()
	return runner.Build(t.Context(), source(text))
}

// prepare builds and compiles a function.
func prepare(t testing.TB, runner *js.Runner, text string) runtimes.Program {
	t.Helper()
	return prepareNamed(t, runner, "test.fn", text)
}

func prepareNamed(t testing.TB, runner *js.Runner, name, text string) runtimes.Program {
	t.Helper()
	artifact, err := build(t, runner, text)
	require.NoError(t, err)
	program, err := runner.Prepare(t.Context(), runtimes.Version{
		Function: name, ID: "v", Entry: "test/fn.ts",
		Code: artifact.Code, SourceMap: artifact.SourceMap, Config: artifact.Config,
	})
	require.NoError(t, err)

	return program
}

func invoke(t testing.TB, runner *js.Runner, program runtimes.Program, input string, host runtimes.Host, timeout time.Duration) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	output, err := runner.Invoke(ctx, program, runtimes.Call{
		JobID: "7", Function: "test.fn", Version: "v", Input: json.RawMessage(input), Attempt: 1, MaxAttempts: 5,
		Deadline: time.Unix(1_800_000_000, 0),
	}, host)

	return string(output), err
}

// run builds a function whose body is given and calls it.
func run(t testing.TB, runner *js.Runner, body string) (string, error) {
	t.Helper()
	program := prepare(t, runner, "export default async function (input, ctx) {\n"+body+"\n}")

	return invoke(t, runner, program, `{"n":1}`, &recorder{}, patience)
}

func failure(t testing.TB, err error) *jobs.Failure {
	t.Helper()
	var f *jobs.Failure
	require.ErrorAs(t, err, &f, "%v", err)

	return f
}

func TestValues(t *testing.T) {
	t.Parallel()
	runner := newRunner(t, js.Config{})
	for body, want := range map[string]string{
		`return input.n + 1`:                          `2`,
		`return`:                                      `null`,
		`return NaN`:                                  `null`,
		`return {a: undefined, b: [undefined]}`:       `{"b":[null]}`,
		`return new Date(0)`:                          `"1970-01-01T00:00:00.000Z"`,
		`return ctx.jobId + ctx.attempt`:              `"71"`,
		`return ctx.maxAttempts`:                      `5`,
		`return ctx.deadline.getTime()`:               `1800000000000`,
		`return ctx.now().getTime()`:                  `1700000000000`,
		`return ctx.random()`:                         `0.25`,
		`return ctx.uuid() === crypto.randomUUID()`:   `true`,
		`return atob(btoa("h\xe9llo"))`:               `"héllo"`,
		`return btoa("a") + btoa("ab") + btoa("abc")`: `"YQ==YWI=YWJj"`,
		`return new TextDecoder().decode(new TextEncoder().encode("aé€😀\ud800"))`:                                                                               `"aé€😀�"`,
		`return [...new TextEncoder().encode("é😀")]`:                                                                                                            `[195,169,240,159,152,128]`,
		`return new TextDecoder().decode(new Uint8Array([0xef,0xbb,0xbf,65,0xff,0xe2,0x82,66]))`:                                                                `"A��B"`,
		`try { new TextDecoder("utf-8",{fatal:true}).decode(new Uint8Array([255])) } catch(e) { return e.name }`:                                                `"TypeError"`,
		`return structuredClone(new Map([[1,new Set([2])]])).get(1).has(2)`:                                                                                     `true`,
		`const a = {d: new Date(5), b: new Uint8Array([1,2])}; a.self = a; const c = structuredClone(a); return [c.self === c, c !== a, c.d.getTime(), c.b[1]]`: `[true,true,5,2]`,
		`try { structuredClone(() => 1) } catch (e) { return e.name }`:                                                                                          `"DataCloneError"`,
		`return await new Promise(r => setTimeout(r, 5, "late"))`:                                                                                               `"late"`,
		`let n = 0; return await new Promise(r => { const i = setInterval(() => { if (++n === 3) { clearInterval(i); r(n) } }, 1) })`:                           `3`,
		`const t = setTimeout(() => { throw 1 }, 1); clearTimeout(t); await new Promise(r => setTimeout(r, 20)); return 1`:                                      `1`,
		`let s = ""; queueMicrotask(() => s += "b"); s += "a"; await null; return s`:                                                                            `"ab"`,
		`return crypto.getRandomValues(new Uint16Array(3)).length`:                                                                                              `3`,
		`return typeof process + typeof fetch + typeof __millrace_host`:                                                                                         `"undefinedundefinedundefined"`,
		`const {x = 5 as number}: {x?: number} = {}; return x satisfies number`:                                                                                 `5`,
		`atob = 5; return atob + typeof btoa`:                                                                                                                   `"5function"`,
		`JSON.stringify = () => "hacked"; Promise.prototype.then = null; return {ok: 1}`:                                                                        `{"ok":1}`,
	} {
		got, err := run(t, runner, body)
		require.NoError(t, err, body)
		require.JSONEq(t, want, got, body)
	}
}

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
		"normalize bomb":     {`"\u0344".repeat(2e6).normalize("NFKD").length`, jobs.CodeMemoryLimit, full},
		"output bomb":        {`const a = []; for (let i = 0; i < 1e4; i++) a.push("0123456789".repeat(500)); return a`, jobs.CodeMemoryLimit, full},
		"promise bomb":       {`const a = []; for (;;) { a.push(new Promise(r => a.push(r, new Uint8Array(10000)))); await null }`, jobs.CodeMemoryLimit, full},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := run(t, runner, tt.body)
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
