package process_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/functions/runtimes"
	"github.com/millrace-dev/millrace/functions/runtimes/process"
	"github.com/millrace-dev/millrace/jobs"
)

// The classical task: sleep, then say that it is done.
func TestSleepingTask(t *testing.T) {
	t.Parallel()
	r := newRunner(t, process.Config{})
	p := python(t, r, "import time\ndef handler(input, ctx):\n    time.sleep(input)\n    return '작업 완료'\n")
	output, err := call(t, r, p, "0.2", patience, nil)
	require.NoError(t, err)
	require.JSONEq(t, `"작업 완료"`, output)
}

// Two hundred calls meet on one process: each waits for the last of them.
func TestAsyncCallsShareAProcess(t *testing.T) {
	t.Parallel()
	r := newRunner(t, process.Config{})
	p := python(t, r, `
import asyncio, os
arrived, all_here = 0, None

async def handler(input, ctx):
    global arrived, all_here
    all_here = all_here or asyncio.Event()
    arrived += 1
    print("call", input)
    if arrived == 200:
        all_here.set()
    await all_here.wait()
    await ctx.publish("news", input)
    return [input, os.environ["HOME"]]
`)
	w := make([]world, 200)
	homes := sync.Map{}
	var wg sync.WaitGroup
	for i := range w {
		wg.Go(func() {
			output, err := call(t, r, p, fmt.Sprint(i), patience, &w[i])
			if err != nil {
				t.Errorf("call %d: %v", i, err)
				return
			}
			homes.Store(output[len(fmt.Sprint(i))+1:], true)
		})
	}
	wg.Wait()
	n := 0
	homes.Range(func(any, any) bool { n++; return true })
	require.Equal(t, 1, n, "one process has one home")
	for i := range w {
		require.Equal(t, []string{fmt.Sprint("info call ", i)}, w[i].log(), "what a call prints is its own")
		require.Equal(t, []string{fmt.Sprint("publish news ", i)}, w[i].asked)
	}
}

// Calls that block meet on the threads of one process.
func TestThreads(t *testing.T) {
	t.Parallel()
	r := newRunner(t, process.Config{})
	p := python(t, r, `
import threading
config = {"mode": "threads", "threads": 8}
barrier = threading.Barrier(8)

def handler(input, ctx):
    barrier.wait()
    print(input)
    return ctx.enqueue("other", input, delay="10m", max_attempts=2)
`)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			w := &world{}
			output, err := call(t, r, p, fmt.Sprint(i), patience, w)
			if err != nil || output != `"42"` {
				t.Errorf("call %d: %s %v", i, output, err)
			}
			if got := fmt.Sprint(w.log(), w.asked); got != fmt.Sprintf("[info %d] [enqueue other %d 10m0s 2]", i, i) {
				t.Errorf("call %d: %s", i, got)
			}
		})
	}
	wg.Wait()
}

// Calls of a `def` run at once in processes of their own: each waits for a file of the other.
func TestProcessesRunAtOnce(t *testing.T) {
	t.Parallel()
	r := newRunner(t, process.Config{})
	p := python(t, r, "import os\nconfig = {'processes': 2}\ndef handler(input, ctx):\n    ctx.progress(1)\n    n = 0\n    for i in range(input): n += i\n    return [n, os.environ['HOME']]\n")
	outputs := make([]string, 2)
	var wg sync.WaitGroup
	for i := range outputs {
		wg.Go(func() { outputs[i], _ = call(t, r, p, "3000000", patience, nil) })
	}
	wg.Wait()
	require.Contains(t, outputs[0], "4499998500000")
	require.Contains(t, outputs[1], "4499998500000")
	require.NotEqual(t, outputs[0], outputs[1])
}

func TestPythonFailures(t *testing.T) {
	t.Parallel()
	r := newRunner(t, process.Config{})
	p := python(t, r, `
import os, sys, datetime
class Declined(Exception):
    retryable = False

def handler(input, ctx):
    if input == "raise": raise ValueError("no such card")
    if input == "final": raise Declined("no money")
    if input == "nan": return {"x": float("nan")}
    if input == "date": return datetime.datetime.now()
    if input == "cycle":
        x = []; x.append(x); return x
    if input == "deep":
        def f(): return f()
        f()
    if input == "exit": sys.exit(3)
    if input == "die": os._exit(3)
    if input == "reserved": ctx.publish("jobs", 1)
    if input == "publish nan": ctx.publish("a", float("inf"))
    return "well"
`)
	for input, want := range map[string]struct{ code, text string }{
		"raise":       {jobs.CodeException, "ValueError: no such card"},
		"final":       {jobs.CodeException, "Declined: no money"},
		"nan":         {jobs.CodeInvalidOutput, "it holds NaN or an infinite number"},
		"date":        {jobs.CodeInvalidOutput, "Object of type datetime is not JSON serializable"},
		"cycle":       {jobs.CodeInvalidOutput, "Circular reference"},
		"deep":        {jobs.CodeException, "RecursionError"},
		"exit":        {jobs.CodeException, "SystemExit: 3"},
		"die":         {process.CodeProcessDied, "exit status 3"},
		"reserved":    {jobs.CodeException, "the channel is the platform's"},
		"publish nan": {jobs.CodeException, "publish: it holds NaN"},
	} {
		_, err := call(t, r, p, fmt.Sprintf("%q", input), patience, nil)
		f := failure(t, err)
		require.Equal(t, want.code, f.Code, input)
		require.Contains(t, f.Message, want.text, input)
		require.Equal(t, input != "final" && f.Code != jobs.CodeInvalidOutput, f.Retryable, input)
		if input == "raise" {
			require.Contains(t, f.Stack, `File "test/fn.py", line 7, in handler`)
			require.NotContains(t, f.Stack, "host.py")
		}
	}
	output, err := call(t, r, p, `"well"`, patience, nil)
	require.NoError(t, err)
	require.Equal(t, `"well"`, output)
}

func TestPythonBuild(t *testing.T) {
	t.Parallel()
	r := newRunner(t, process.Config{})
	for text, want := range map[string]string{
		"def handler(input, ctx:\n  pass":                           "test/fn.py:1:12: SyntaxError: '(' was never closed",
		"import nowhere_to_be_found\ndef handler(input, ctx): pass": "test/fn.py:1:1: ModuleNotFoundError: No module named 'nowhere_to_be_found'",
		"config = {}\n":              "test/fn.py:1:1: there is no function to run",
		"\ndef handler(input): pass": "test/fn.py:2:1: handler must take two arguments",
		"config = {\n  'timeout': 'soon',\n}\ndef handler(i, c): pass":              "test/fn.py:2:3: config.timeout must be a time",
		"config = {'max_attempts': 1000}\ndef handler(i, c): pass":                  "test/fn.py:1:11: config.maxAttempts must be",
		"config = {'x': float('nan')}\ndef handler(i, c): pass":                     "test/fn.py:1:1: config is not JSON",
		"config = {'retry': 1}\ndef handler(i, c): pass":                            "config.retry is no option",
		"config = {'mode': 'threads'}\nasync def handler(i, c): pass":               "config.mode cannot be threads",
		"config = {'python': '/bin/sh'}\ndef handler(i, c): pass":                   "config.python must be a name",
		"import os\nos._exit(4)\n":                                                  "loading the file ended its process",
		"open('/etc/shadow')\n":                                                     "test/fn.py:1:1: PermissionError",
		"config = {'memory': '5MB'}\ndef handler(i, c): pass":                       "config.memory must be at least 32 MiB",
		"raise ValueError('at once')\nconfig = {}\ndef handler(input, ctx): pass\n": "test/fn.py:1:1: ValueError: at once",
	} {
		_, err := build(t, r, "test/fn.py", files{"test/fn.py": text})
		var mistakes *runtimes.BuildError
		require.ErrorAs(t, err, &mistakes, text)
		require.Contains(t, mistakes.Error(), want, text)
	}

	artifact, err := build(t, r, "test/fn.py", files{"test/fn.py": "config = {'max_attempts': 2, 'network': True, 'concurrency_key': 'input.a', 'concurrency': 1}\nasync def handler(i, c): pass"})
	require.NoError(t, err)
	require.Equal(t, runtimes.Config{
		MaxAttempts: 2, Concurrency: 1, ConcurrencyKey: "input.a", Process: runtimes.ProcessConfig{Mode: runtimes.ModeAsync, Network: true},
	}, artifact.Config)
}

// Neighbours are part of the version: a change of one makes a new version, a change of another file does not.
func TestPythonNeighbours(t *testing.T) {
	t.Parallel()
	r := newRunner(t, process.Config{})
	all := files{
		"shop/order.py":   "from . import _prices\nfrom _shared import (\n  double as d,\n)\nimport lib.money\ndef handler(input, ctx):\n    return lib.money.text(d(_prices.of(input)))\n",
		"shop/_prices.py": "def of(name):\n    return len(name)\n",
		"_shared.py":      "def double(n):\n    return 2 * n\n",
		"lib/__init__.py": "",
		"lib/money.py":    "from .sign import SIGN\ndef text(n):\n    return f'{n} {SIGN}'\n",
		"lib/sign.py":     "SIGN = '₩'\n",
		"shop/other.py":   "raise Exception('not imported')\n",
		"json.py":         "raise Exception('not what import json means')\n",
	}
	p := prepare(t, r, "shop/order.py", all)
	output, err := call(t, r, p, `"pear"`, patience, nil)
	require.NoError(t, err)
	require.JSONEq(t, `"8 ₩"`, output)

	artifact, err := build(t, r, "shop/order.py", all)
	require.NoError(t, err)
	require.Equal(t, []string{"_shared.py", "lib/__init__.py", "lib/money.py", "lib/sign.py", "shop/_prices.py", "shop/order.py"}, artifact.Files)
}

// A `def` that is told to stop may clean up; its process goes on.
func TestCancelledPython(t *testing.T) {
	t.Parallel()
	r := newRunner(t, process.Config{})
	p := python(t, r, `
import time, os
config = {"processes": 1}
def handler(input, ctx):
    if input:
        try:
            time.sleep(600)
        finally:
            ctx.log("cleaned up")
    return os.environ["HOME"]
`)
	before, err := call(t, r, p, "0", patience, nil)
	require.NoError(t, err)
	w := &world{}
	_, err = call(t, r, p, "1", 100*time.Millisecond, w)
	f := failure(t, err)
	require.Equal(t, jobs.CodeTimeout, f.Code)
	after, err := call(t, r, p, "0", patience, nil)
	require.NoError(t, err)
	if before == after { // on a machine so busy that Grace was over, the process was ended instead
		require.Equal(t, []string{"info cleaned up"}, w.log())
	}
}
