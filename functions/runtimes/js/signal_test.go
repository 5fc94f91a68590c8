package js_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/functions/runtimes"
	"github.com/millrace-dev/millrace/functions/runtimes/js"
	"github.com/millrace-dev/millrace/jobs"
)

// invokeSoft calls a function whose soft timeout is over after soft; 0 means that it has none.
func invokeSoft(t testing.TB, runner *js.Runner, body string, soft time.Duration) (string, error) {
	t.Helper()

	program := prepare(t, runner, "export default async function (input, ctx) {\n"+body+"\n}")

	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()

	call := runtimes.Call{JobID: "7", Function: "test.fn", Version: "v", Input: json.RawMessage("null"), Attempt: 1, MaxAttempts: 1}
	if soft != 0 {
		call.Soft = time.Now().Add(soft)
	}
	output, err := runner.Invoke(ctx, program, call, &recorder{})

	return string(output), err
}

func TestSignalTellsOfTheSoftTimeout(t *testing.T) {
	t.Parallel()
	runner := newRunner(t, js.Config{})

	for name, tc := range map[string]struct {
		soft       time.Duration
		body, want string
	}{
		"a loop sees it": {100 * time.Millisecond, `
			while (!ctx.signal.aborted);
			return [ctx.signal.reason.name, ctx.signal === ctx.signal]`, `["TimeoutError",true]`},
		"a wait hears of it": {time.Millisecond, `
			const event = await new Promise(resolve => ctx.signal.addEventListener("abort", resolve));
			return [event.type, event.target === ctx.signal, ctx.signal.aborted]`, `["abort",true,true]`},
		"onabort, and each listener once": {time.Millisecond, `
			const heard = [];
			const twice = () => heard.push("listener");
			ctx.signal.onabort = () => heard.push("onabort");
			ctx.signal.addEventListener("abort", twice);
			ctx.signal.addEventListener("abort", twice);
			await new Promise(resolve => ctx.signal.addEventListener("abort", resolve, {once: true}));
			return heard`, `["onabort","listener"]`},
		"who looks first and listens then is told": {-time.Second, `
			const before = ctx.signal.aborted;
			await new Promise(resolve => ctx.signal.addEventListener("abort", resolve));
			return before`, `true`},
		"and may catch it": {-time.Second, `
			try { ctx.signal.throwIfAborted() } catch (e) { return [e.name, e.message, e === ctx.signal.reason] }`,
			`["TimeoutError","the soft timeout of the attempt is over",true]`},
		"without one nothing happens": {0, `
			ctx.signal.addEventListener("abort", () => { throw new Error("never") });
			ctx.signal.throwIfAborted();
			await new Promise(resolve => setTimeout(resolve, 5));
			return [ctx.signal.aborted, ctx.signal instanceof AbortSignal]`, `[false,true]`},
		"nor long before it": {time.Hour, `return [ctx.signal.aborted, ctx.signal.reason === undefined]`, `[false,true]`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			output, err := invokeSoft(t, runner, tc.body, tc.soft)
			require.NoError(t, err)
			require.JSONEq(t, tc.want, output)
		})
	}
}

func TestThrowingTheSignalsReasonIsASoftTimeout(t *testing.T) {
	t.Parallel()
	runner := newRunner(t, js.Config{})

	for name, tc := range map[string]struct {
		soft       time.Duration
		body, code string
	}{
		"thrown":                    {-1, `ctx.signal.throwIfAborted()`, jobs.CodeSoftTimeout},
		"rejected":                  {1, `await new Promise((_, reject) => ctx.signal.addEventListener("abort", () => reject(ctx.signal.reason)))`, jobs.CodeSoftTimeout},
		"thrown by who listens":     {1, `ctx.signal.onabort = () => { throw ctx.signal.reason }; await new Promise(() => {})`, jobs.CodeSoftTimeout},
		"another error afterwards":  {-1, `ctx.signal.aborted; throw new Error("mine")`, jobs.CodeException},
		"one that looks the same":   {-1, `throw new DOMException("the soft timeout of the attempt is over", "TimeoutError")`, jobs.CodeException},
		"the reason before its day": {time.Hour, `throw ctx.signal.reason`, jobs.CodeException},
		"nobody listens any more": {time.Hour, `
			const f = () => {};
			ctx.signal.addEventListener("abort", f);
			ctx.signal.removeEventListener("abort", f);
			await new Promise(() => {})`, jobs.CodeStalled},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := invokeSoft(t, runner, tc.body, tc.soft)
			var failure *jobs.Failure
			require.ErrorAs(t, err, &failure)
			require.Equal(t, tc.code, failure.Code, failure.Message)
			require.True(t, failure.Retryable)
		})
	}
}

func TestAbortController(t *testing.T) {
	t.Parallel()
	runner := newRunner(t, js.Config{})
	output, err := run(t, runner, `
		const controller = new AbortController();
		const heard = [];
		controller.signal.addEventListener("abort", event => heard.push(event.type));
		controller.abort();
		controller.abort("again");
		let made; try { new AbortSignal() } catch (e) { made = e.name }
		let forced; try { controller.signal.abort(undefined, 1) } catch (e) { forced = e.name }
		return [heard, controller.signal.reason.name, AbortSignal.abort("why").reason, made, forced, ctx.signal.aborted]`)
	require.NoError(t, err)
	require.JSONEq(t, `[["abort"],"AbortError","why","TypeError","TypeError",false]`, output)
}
