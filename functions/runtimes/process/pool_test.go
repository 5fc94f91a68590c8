package process_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/functions/runtimes"
	"github.com/millrace-dev/millrace/functions/runtimes/process"
	"github.com/millrace-dev/millrace/jobs"
)

const home = "import os\nconfig = {'processes': 1}\ndef handler(input, ctx):\n    return os.environ['HOME']\n"

// A process is warm for the next call, and replaced after MaxJobs of them.
func TestReplacedAfterMaxJobs(t *testing.T) {
	t.Parallel()
	r := newRunner(t, process.Config{MaxJobs: 3})
	p := python(t, r, home)
	homes := map[string]int{}
	for range 6 {
		output, err := call(t, r, p, "1", patience, nil)
		require.NoError(t, err)
		homes[output]++
	}
	require.Len(t, homes, 2)
	for _, n := range homes {
		require.Equal(t, 3, n)
	}
}

// A process that has grown to near its limit is replaced before it reaches that.
func TestReplacedWhenGrown(t *testing.T) {
	t.Parallel()
	r := newRunner(t, process.Config{MemoryLimit: 200 << 20})
	p := python(t, r, "import os\nconfig = {'processes': 1}\nkept = []\ndef handler(input, ctx):\n    kept.append(os.urandom(input << 20))\n    return len(kept)\n")
	output, err := call(t, r, p, "165", patience, nil)
	require.NoError(t, err)
	require.Equal(t, "1", output)
	output, err = call(t, r, p, "1", patience, nil)
	require.NoError(t, err)
	require.Equal(t, "1", output, "of a new process")
}

// A function whose process would not fit takes the place of one without calls; while that is busy it waits, and a call
// whose time is over by then has not begun.
func TestIdleProcessesMakeRoom(t *testing.T) {
	t.Parallel()
	r := newRunner(t, process.Config{MemoryLimit: 100 << 20, MaxMemory: 100 << 20, Budget: 100 << 20})
	first := python(t, r, "import time\nconfig = {'processes': 1}\ndef handler(input, ctx):\n    ctx.log('began')\n    time.sleep(input)\n")
	second := prepare(t, r, "test/fn.py", files{"test/fn.py": home + "\n# another version\n"})

	ctx, cancel := context.WithCancel(t.Context())
	w, ended := &world{}, make(chan error, 1)
	go func() {
		_, err := r.Invoke(ctx, first, callOf("600"), w)
		ended <- err
	}()
	require.Eventually(t, func() bool { return len(w.log()) > 0 }, patience, time.Millisecond)

	_, err := call(t, r, second, "1", 200*time.Millisecond, nil)
	require.ErrorIs(t, err, jobs.ErrNotBegun)

	cancel()
	require.Equal(t, jobs.CodeCancelled, failure(t, <-ended).Code)
	for range 2 { // the process without calls makes room, whichever it is
		for _, p := range []runtimes.Program{second, first} {
			_, err = call(t, r, p, "0", patience, nil)
			require.NoError(t, err)
		}
	}
}

// A process without calls is ended after IdleTime, and its folder goes with it.
func TestIdleTime(t *testing.T) {
	t.Parallel()
	r := newRunner(t, process.Config{IdleTime: time.Millisecond})
	p := python(t, r, home)
	output, err := call(t, r, p, "1", patience, nil)
	require.NoError(t, err)
	require.Eventually(t, func() bool { return process.Children(r) == 0 }, patience, 10*time.Millisecond)
	require.NoDirExists(t, output[1:len(output)-1])
	_, err = call(t, r, p, "1", patience, nil)
	require.NoError(t, err)
}

func TestClosed(t *testing.T) {
	t.Parallel()
	r := newRunner(t, process.Config{})
	p := python(t, r, "import time\ndef handler(input, ctx):\n    ctx.log('began')\n    time.sleep(600)\n")
	w, ended := &world{}, make(chan error, 1)
	go func() {
		_, err := r.Invoke(t.Context(), p, callOf("1"), w)
		ended <- err
	}()
	require.Eventually(t, func() bool { return len(w.log()) > 0 }, patience, time.Millisecond)
	require.NoError(t, r.Close(t.Context()))
	require.ErrorIs(t, <-ended, process.ErrClosed)
	_, err := r.Invoke(t.Context(), p, callOf("1"), w)
	require.ErrorIs(t, err, process.ErrClosed)
	require.NoError(t, r.Close(t.Context()))
}

func TestConfigMistakes(t *testing.T) {
	t.Parallel()
	_, err := process.New(process.Config{
		Sandbox: "maybe", MemoryLimit: 1, MaxFiles: -1, Env: map[string]string{"A=B": ""}, Python: "/no/such/python",
	})
	for _, want := range []string{"Sandbox must be", "MemoryLimit must be at least", "MaxFiles must not", `"A=B"`, "/no/such/python"} {
		require.ErrorContains(t, err, want)
	}
}
