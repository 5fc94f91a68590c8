package js_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/functions/runtimes"
	"github.com/millrace-dev/millrace/functions/runtimes/js"
	"github.com/millrace-dev/millrace/jobs"
)

func TestBudgetAdmits(t *testing.T) {
	t.Parallel()
	runner := newRunner(t, js.Config{MemoryLimit: 8 << 20, MaxMemory: 8 << 20, Budget: 16 << 20})
	program := prepare(t, runner, `export default async (n, ctx) => { await ctx.publish("c", n) }`)

	host := &recorder{delay: 20 * time.Millisecond}
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			_, err := invoke(t, runner, program, "1", host, patience)
			require.NoError(t, err)
		})
	}
	wg.Wait()
	require.Len(t, host.published, 10)
	require.Equal(t, 2, host.most, "two limits fit into the budget")

	slow := &recorder{delay: patience}
	ctx, cancel := context.WithCancel(t.Context())
	for range 2 {
		wg.Go(func() { _, _ = runner.Invoke(ctx, program, runtimes.Call{}, slow) })
	}
	require.Eventually(t, func() bool { return slow.busy() == 2 }, patience, time.Millisecond)
	_, err := invoke(t, runner, program, "1", &recorder{}, 50*time.Millisecond)
	require.ErrorIs(t, err, jobs.ErrNotBegun, "it is not the function that took too long")
	cancel()
	wg.Wait()
}

// A function that has more calls under way than there is memory for leaves room for other functions, and for the deploy
// that mends it.
func TestCrowdLeavesRoomForOthers(t *testing.T) {
	t.Parallel()
	runner := newRunner(t, js.Config{MemoryLimit: 8 << 20, MaxMemory: 8 << 20, Budget: 64 << 20})
	body := `export default async (n, ctx) => { await ctx.publish("c", n) }`
	greedy, other := prepareNamed(t, runner, "greedy", body), prepareNamed(t, runner, "other", body)

	slow := &recorder{delay: patience}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() { _, _ = runner.Invoke(ctx, greedy, runtimes.Call{}, slow) })
	}
	require.Eventually(t, func() bool { return slow.busy() == 6 }, patience, time.Millisecond)

	_, err := invoke(t, runner, other, "1", &recorder{}, patience)
	require.NoError(t, err)
	prepareNamed(t, runner, "greedy", body+"// mended")
	require.Equal(t, 6, slow.busy())
	cancel()
	wg.Wait()
}

// What a function makes the host keep lies outside the memory that its limit is about.
func TestWhatTheHostKeepsIsBounded(t *testing.T) {
	t.Parallel()
	runner := newRunner(t, js.Config{})
	for name, tt := range map[string]struct{ body, output string }{
		"timers of one who tampers": {
			`Map.prototype.set = function () { return this }; try { for (;;) setTimeout(() => {}, 1e9) } catch (e) { return e.message }`,
			`"at most 10000 timers may run at once"`,
		},
		"mistakes": {
			`const s = "x".repeat(2000), all = [];
			for (const f of [() => ctx.publish([s], 1), () => ctx.publish("forbidden" + s), () => ctx.enqueue("fn", 1, s),
				() => ctx.enqueue("fn", 1, {[s]: 1}), () => ctx.enqueue("fn", 1, {delay: s}), () => ctx.enqueue("fn", 1, {tags: s})]) {
				try { await f() } catch (e) { if (e.message.length > 300) all.push(e.message.slice(0, 300)) }
			}
			return all`, `[]`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			output, err := run(t, runner, tt.body)
			require.NoError(t, err)
			require.Equal(t, tt.output, output)
		})
	}
}

func TestLongTextsAreCut(t *testing.T) {
	t.Parallel()
	runner := newRunner(t, js.Config{})
	host := &recorder{}
	program := prepare(t, runner, `export default () => { console.log("é".repeat(1e5)); throw new Error("é".repeat(1e5)) }`)
	_, err := invoke(t, runner, program, "null", host, patience)
	require.Less(t, len(failure(t, err).Message), 65<<10)
	require.Contains(t, failure(t, err).Message, "éé…")
	require.Less(t, len(host.logged()[0]), 65<<10)
}
