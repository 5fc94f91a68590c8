//go:build linux

package process_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/functions/runtimes/process"
	"github.com/millrace-dev/millrace/jobs"
)

// A process that goes over to another group than the one that is ended is ended all the same.
func TestLeavingTheGroup(t *testing.T) {
	t.Parallel()
	r := newRunner(t, process.Config{})
	p := python(t, r, `
import os, time
def handler(input, ctx):
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)
        time.sleep(600)
    while os.getpgid(child) != child:
        time.sleep(0.001)
    os.setpgid(0, child)
    ctx.log("left")
    while True:
        try:
            time.sleep(600)
        except BaseException:
            pass
`)
	w := &world{}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := r.Invoke(ctx, p, callOf("1"), w)
		ended <- err
	}()

	select { // it may be refused to leave, or leave in vain
	case err := <-ended:
		require.Contains(t, failure(t, err).Message, "PermissionError")
	case <-time.After(patience):
		require.Fail(t, "the function neither left nor failed")
	case <-logged(w, "info left"):
		cancel()
		require.Equal(t, jobs.CodeCancelled, failure(t, <-ended).Code)
	}
	cancel()
}

// logged is closed when a line was logged.
func logged(w *world, line string) <-chan struct{} {
	found := make(chan struct{})
	go func() {
		for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
			if strings.Contains(strings.Join(w.log(), "\n"), line) {
				close(found)
				return
			}
		}
	}()

	return found
}

// What a process does to the file by which it says whose code runs costs this one no memory and no time.
func TestMarkerIsOnlyEightBytes(t *testing.T) {
	t.Parallel()
	r := newRunner(t, process.Unshut(process.Config{}))
	p := python(t, r, `
import asyncio, os
async def handler(input, ctx):
    marker = os.path.join(os.path.dirname(os.environ["HOME"]), "call")
    os.unlink(marker)
    os.mkfifo(marker)
    await asyncio.sleep(0.5)
    os._exit(1)
`)
	_, err := call(t, r, p, "1", patience, nil)
	require.Equal(t, process.CodeProcessDied, failure(t, err).Code)
}

// What a process leaves behind, unrecognisable and with its pipes, holds up neither the call nor Close.
func TestPipesLeftBehind(t *testing.T) {
	t.Parallel()
	r := newRunner(t, process.InGroup(process.Config{}))
	p := python(t, r, `
import os
def handler(input, ctx):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.execve("/bin/sleep", ["sleep", input], {})
        os._exit(0)
    os.wait()
    os._exit(1)
`)
	seconds := fmt.Sprintf("600.%d", os.Getpid())
	t.Cleanup(func() { end(t, seconds) })
	_, err := call(t, r, p, `"`+seconds+`"`, patience, nil)
	require.Equal(t, process.CodeProcessDied, failure(t, err).Code)
	require.NoError(t, r.Close(t.Context()))
}

// end ends the process whose command line has text.
func end(t *testing.T, text string) {
	t.Helper()
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		if command, _ := os.ReadFile(dir + "/cmdline"); strings.Contains(string(command), text) {
			pid, err := strconv.Atoi(filepath.Base(dir))
			require.NoError(t, err)
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

// Close does not wait for a function to load, nor for one that is being built.
func TestCloseWhileLoading(t *testing.T) {
	t.Parallel()
	const waits = "import os, time\nopen(os.environ['HOME'] + '/loading', 'w').close()\ntime.sleep(600)\ndef handler(input, ctx): pass\n"
	built := newRunner(t, process.Config{})
	building := make(chan error, 1)
	go func() {
		_, err := build(t, built, "fn.py", files{"fn.py": waits})
		building <- err
	}()
	require.Eventually(t, func() bool { return process.Wrote(built, "loading") > 0 }, patience, time.Millisecond)
	require.NoError(t, built.Close(t.Context()))
	require.ErrorIs(t, <-building, process.ErrClosed)
}

// A Node function finds nothing on its standard input, the protocol least of all.
func TestNodeHasNoInput(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("node"); err != nil {
		t.Skip("there is no node here")
	}
	r := newRunner(t, process.Config{})
	p := prepare(t, r, "fn.node.mjs", files{"fn.node.mjs": `import fs from "node:fs";
export default async () => [0, 1, 2, 3, 4].map((n) => fs.fstatSync(n)).map((s) => s.isFIFO() ? "pipe" : s.isCharacterDevice() ? "device" : "other");
`})
	output, err := call(t, r, p, "1", patience, nil)
	require.NoError(t, err)
	require.JSONEq(t, `["device","pipe","pipe","pipe","pipe"]`, output)
}

// The call after one that ended its process gets another process.
func TestCallAfterTheEnd(t *testing.T) {
	t.Parallel()
	r := newRunner(t, process.Config{})
	p := python(t, r, "import os\nconfig = {'processes': 1}\ndef handler(input, ctx): os._exit(input)\n")
	for range 20 {
		_, err := call(t, r, p, "3", patience, nil)
		require.Equal(t, process.CodeProcessDied, failure(t, err).Code)
	}
}
