package js_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/functions/runtimes"
	"github.com/millrace-dev/millrace/functions/runtimes/js"
	"github.com/millrace-dev/millrace/jobs"
)

func TestOperations(t *testing.T) {
	t.Parallel()
	runner := newRunner(t, js.Config{})
	program := prepare(t, runner, `export default async function (input, ctx) {
		ctx.progress(40, "on the way");
		ctx.log("hello", {a: 1});
		ctx.log.warn("careful");
		console.log("number", 1, {b: [2]}, new Map([[1, 2]]));
		const cycle = {}; cycle.self = cycle; console.error(cycle, 5n, Symbol("s"), undefined);
		await ctx.publish("room:1", {text: "é"});
		let refused; try { await ctx.publish("forbidden", 1) } catch (e) { refused = e.message }
		let wrong; try { await ctx.enqueue("x.y", 1, {colour: "red"}) } catch (e) { wrong = e.message }
		let big; try { await ctx.publish("room:1", 1n) } catch (e) { big = e.name }
		let percent; try { ctx.progress("much") } catch (e) { percent = e.name }
		const id = await ctx.enqueue("mail.send", {to: "a"}, {delay: "10m", queue: "mail", tags: ["abc"], runAt: undefined});
		return {id, refused, wrong, big, percent};
	}`)
	host := &recorder{}
	output, err := invoke(t, runner, program, "null", host, patience)
	require.NoError(t, err)
	require.JSONEq(t, `{"id":"1","refused":"publish to forbidden: not this channel","wrong":"enqueue x.y: there is no option \"colour\"","big":"TypeError","percent":"TypeError"}`, output)
	require.Equal(t, []string{"40 on the way"}, host.progress)
	require.Equal(t, []string{`room:1 {"text":"é"}`}, host.published)
	require.Equal(t, []runtimes.EnqueueRequest{{
		Function: "mail.send", Input: json.RawMessage(`{"to":"a"}`),
		Options: jobs.Options{Delay: 10 * time.Minute, Queue: "mail", Tags: []string{"abc"}},
	}}, host.enqueued)
	require.Equal(t, []string{
		`info hello{"a":1}`, `warn careful`, `info number 1 {"b":[2]} [[1,2]]`, `error {"self":"[circular]"} 5n Symbol(s) undefined`,
	}, host.logged())
}

func TestForgottenAwaitLosesNothing(t *testing.T) {
	t.Parallel()
	runner := newRunner(t, js.Config{})
	program := prepare(t, runner, `export default (input, ctx) => { ctx.publish("a", 1); ctx.publish("forbidden", 2); return "done" }`)
	host := &recorder{delay: 30 * time.Millisecond}
	output, err := invoke(t, runner, program, "null", host, patience)
	require.NoError(t, err)
	require.Equal(t, `"done"`, output)
	require.Equal(t, []string{"a 1"}, host.published)
	require.Equal(t, []string{"warn nobody awaited an operation that failed: publish to forbidden: not this channel"}, host.logged())
}

func TestOperationsInFlightAreBounded(t *testing.T) {
	t.Parallel()
	runner := newRunner(t, js.Config{})
	program := prepare(t, runner, `export default async (input, ctx) => {
		await Promise.all(Array.from({length: 200}, (_, i) => ctx.publish("c", i)));
	}`)
	host := &recorder{delay: time.Millisecond}
	_, err := invoke(t, runner, program, "null", host, patience)
	require.NoError(t, err)
	require.Len(t, host.published, 200)
	require.LessOrEqual(t, host.most, 64)
	require.Greater(t, host.most, 1)
}

func TestCancel(t *testing.T) {
	t.Parallel()
	runner := newRunner(t, js.Config{})
	program := prepare(t, runner, `export default async () => { for (;;) await null }`)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	_, err := runner.Invoke(ctx, program, runtimes.Call{}, &recorder{})
	require.Equal(t, jobs.CodeCancelled, failure(t, err).Code)
}

func TestCallsAreIsolated(t *testing.T) {
	t.Parallel()
	runner := newRunner(t, js.Config{})
	program := prepare(t, runner, `let n = 0; export default () => { globalThis.seen = (globalThis.seen ?? 0) + 1; return ++n + globalThis.seen }`)
	for range 3 {
		output, err := invoke(t, runner, program, "null", &recorder{}, patience)
		require.NoError(t, err)
		require.Equal(t, "2", output)
	}
}

func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	runner := newRunner(t, js.Config{})
	program := prepare(t, runner, `export default async (n, ctx) => { await new Promise(r => setTimeout(r, 20)); await ctx.publish("c", n); return n * 2 }`)
	var wg sync.WaitGroup
	calls := 200
	if js.RaceEnabled {
		calls = 50
	}
	errs := make([]error, calls)
	for i := range errs {
		wg.Go(func() {
			output, err := invoke(t, runner, program, fmt.Sprint(i), &recorder{}, patience)
			if err == nil && output != fmt.Sprint(i*2) {
				err = fmt.Errorf("%d gave %s", i, output)
			}
			errs[i] = err
		})
	}
	wg.Wait()
	for _, err := range errs {
		require.NoError(t, err)
	}
}

func TestClosed(t *testing.T) {
	t.Parallel()
	runner := newRunner(t, js.Config{})
	program := prepare(t, runner, `export default async () => { for (;;) await null }`)
	result := make(chan error, 1)
	host := &recorder{}
	begun := prepare(t, runner, `export default async (n, ctx) => { ctx.log("begun"); for (;;) await null }`)
	go func() {
		_, err := runner.Invoke(context.Background(), begun, runtimes.Call{}, host)
		result <- err
	}()
	require.Eventually(t, func() bool { return len(host.logged()) == 1 }, patience, time.Millisecond)
	require.NoError(t, runner.Close(t.Context()))
	require.ErrorIs(t, <-result, js.ErrClosed)
	_, err := runner.Invoke(t.Context(), program, runtimes.Call{}, host)
	require.ErrorIs(t, err, js.ErrClosed)
}

func residentMiB(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Skip("no /proc here")
	}
	var total, resident int
	_, err = fmt.Sscan(string(text), &total, &resident)
	require.NoError(t, err)

	return resident * os.Getpagesize() >> 20
}

// Not parallel: it measures the process.
func TestMemoryIsGivenBack(t *testing.T) { //nolint:paralleltest // see above
	if js.RaceEnabled {
		t.Skip("the race detector keeps memory of its own")
	}
	runner := newRunner(t, js.Config{})
	program := prepare(t, runner, `export default () => { const a = []; for (let i = 0; i < 30000; i++) a.push({i, s: "x" + i}); return a.length }`)
	call := func() {
		_, err := invoke(t, runner, program, "null", &recorder{}, patience)
		require.NoError(t, err)
	}
	for range 3 {
		call()
	}
	runtime.GC()
	before := residentMiB(t)
	for range 10 {
		call()
	}
	runtime.GC()
	require.Less(t, residentMiB(t)-before, 12, "ten calls of some 4 MiB each")
}

func BenchmarkNoop(b *testing.B) {
	runner := newRunner(b, js.Config{})
	program := prepare(b, runner, `export default async (input) => ({ok: true})`)
	host := &recorder{}
	for b.Loop() {
		if _, err := runner.Invoke(b.Context(), program, runtimes.Call{Input: json.RawMessage(`{"a":1}`)}, host); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkNoopParallel(b *testing.B) {
	runner := newRunner(b, js.Config{})
	program := prepare(b, runner, `export default async (input) => ({ok: true})`)
	host := &recorder{}
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := runner.Invoke(b.Context(), program, runtimes.Call{Input: json.RawMessage(`{"a":1}`)}, host); err != nil {
				b.Error(err)
			}
		}
	})
}
