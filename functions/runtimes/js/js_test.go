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

	"github.com/millrace-dev/millrace/functions/durable"
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
func (r *recorder) Steps() *durable.Run      { return nil }

func (r *recorder) UUID() string { return "00000000-0000-4000-8000-000000000000" }

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
