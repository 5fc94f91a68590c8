package js

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The tests in this file are what every engine behind the border must do.

func newVM(t *testing.T, host hostFunc) vm {
	t.Helper()
	machine, err := quickJS{}.newVM(8<<20, host)
	require.NoError(t, err)
	t.Cleanup(machine.close)

	return machine
}

func evaluate(t *testing.T, machine vm, script string) error {
	t.Helper()
	code, err := quickJS{}.compile(script)
	require.NoError(t, err)

	return machine.load(code)
}

func thrown(t *testing.T, err error) *scriptError {
	t.Helper()
	e, ok := errors.AsType[*scriptError](err)
	require.True(t, ok, "%v", err)

	return e
}

func nothing([]any) (any, error) { return nil, nil }

func TestEngineClosesAtAnyTime(t *testing.T) {
	t.Parallel()
	machine, err := quickJS{}.newVM(8<<20, nothing)
	require.NoError(t, err)
	machine.close() // before anything was loaded or adopted
	machine.interrupt()
}

func TestEnginePassesValues(t *testing.T) {
	t.Parallel()
	var got []any
	machine := newVM(t, func(args []any) (any, error) {
		got = append(got, args...)
		if len(args) == 1 {
			return nil, errors.New("thrown by the host")
		}

		return "answer", nil
	})
	require.NoError(t, evaluate(t, machine, `globalThis.api = { f: (text) => {
		try { __millrace_host(1) } catch (e) { __millrace_host(text, 1, 0.5, true, e.message) }
	} }`))
	require.NoError(t, machine.adopt("api"))
	require.NoError(t, machine.call("f", "a\x00é😀"))
	require.Equal(t, []any{1, "a\x00é😀", 1, 0.5, true, "thrown by the host"}, got)
	require.Error(t, evaluate(t, machine, `api.f`), "what was adopted is out of reach")
}

// counter is a VM that is interrupted and does not care.
type counter struct {
	vm
	interrupts atomic.Int32
}

func (c *counter) interrupt() { c.interrupts.Add(1) }

// One interrupt is not enough: the engine forgets one that comes between two calls into it.
func TestWatchRepeatsItself(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var c counter
	stop := watch(ctx, &c)
	require.Eventually(t, func() bool { return c.interrupts.Load() >= 3 }, 10*time.Second, time.Millisecond)
	stop()
}

func TestEngineErrors(t *testing.T) {
	t.Parallel()
	_, err := quickJS{}.compile("let x = 1;\nlet x = (")
	e := thrown(t, err)
	require.Equal(t, "SyntaxError", e.Name)
	require.Equal(t, 2, e.Line)

	machine := newVM(t, nothing)
	e = thrown(t, evaluate(t, machine, "function f() {\n  throw new RangeError('far')\n}\nf()"))
	require.Equal(t, "RangeError: far", e.text())
	require.Contains(t, e.Stack, "at f (<eval>:2:")

	e = thrown(t, evaluate(t, machine, "new Uint8Array(1e9)"))
	require.True(t, e.outOfMemory(), "%+v", e)
}

func TestEngineIsInterrupted(t *testing.T) {
	t.Parallel()
	for _, script := range []string{"for (;;) {}", "const f = () => Promise.resolve().then(f); f()"} {
		machine := newVM(t, nothing)
		var wg sync.WaitGroup
		done := make(chan struct{})
		wg.Go(func() {
			tick := time.NewTicker(time.Millisecond)
			defer tick.Stop()
			for {
				select {
				case <-tick.C:
					machine.interrupt()
				case <-done:
					return
				}
			}
		})
		err := evaluate(t, machine, script)
		if err == nil {
			err = machine.drain()
		}
		require.True(t, thrown(t, err).interrupted(), "%v", err)
		close(done)
		wg.Wait()
	}
}

// The engine itself stops after about a million reactions.
func TestEngineDrainsToTheEnd(t *testing.T) {
	t.Parallel()
	reactions := 1<<20 + 10
	if RaceEnabled {
		t.Skip("the race detector makes a minute of it")
	}
	var got []any
	machine := newVM(t, func(args []any) (any, error) {
		got = args
		return nil, nil
	})
	require.NoError(t, evaluate(t, machine, fmt.Sprintf(
		`const host = __millrace_host; (async () => { let i = 0; while (i < %d) { await null; i++ } host(i) })()`, reactions)))
	require.NoError(t, machine.drain())
	require.Equal(t, []any{reactions}, got)
}
