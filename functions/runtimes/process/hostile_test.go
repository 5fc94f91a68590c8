//go:build linux

package process_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/functions/runtimes/process"
	"github.com/millrace-dev/millrace/jobs"
)

// left counts the processes whose command line or environment has text.
func left(text string) int {
	n := 0
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		command, _ := os.ReadFile(dir + "/cmdline")
		environment, _ := os.ReadFile(dir + "/environ")
		if strings.Contains(string(command), text) || strings.Contains(string(environment), text) {
			n++
		}
	}

	return n
}

func gone(t *testing.T, text string) {
	t.Helper()
	require.Eventually(t, func() bool { return left(text) == 0 }, patience, 10*time.Millisecond, "nothing is left running")
}

// What a function does to itself and the machine ends with a message that names the limit and how to change it, and
// leaves nothing behind.
func TestHostile(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		code   string // the body of handler
		limit  time.Duration
		failed string
		says   string
	}{
		"endless loop": {"while True: pass", 3 * time.Second, jobs.CodeTimeout, "config.timeout"},
		"loop that swallows": {"while True:\n        try:\n            for _ in iter(int, 1): pass\n        except BaseException: pass",
			3 * time.Second, jobs.CodeTimeout, "its process was ended"},
		"catastrophic regex": {"import re; re.match(r'(a+)+$', 'a' * 60 + 'b')", 3 * time.Second, jobs.CodeTimeout, "config.timeout"},
		"memory bomb":        {"x = []\n    while True: x.append(bytearray(1 << 20))", patience, jobs.CodeMemoryLimit, "config.memory"},
		"memory in children": {"import os, time\n    for i in range(3):\n        if os.fork() == 0:\n            x = os.urandom(60 << 20); time.sleep(600)\n    time.sleep(600)",
			patience, jobs.CodeMemoryLimit, "in 4 processes (config.memory"},
		"fork bomb":    {"import os\n    while True: os.fork()", patience, process.CodeProcessLimit, "Config.MaxProcesses"},
		"output flood": {"while True: print('x' * 10000)", patience, process.CodeOutputLimit, "Config.MaxOutput"},
		"shadow":       {"open('/etc/shadow').read()", patience, jobs.CodeException, "PermissionError"},
		"parent's environment": {"import glob\n    for f in glob.glob('/proc/*/environ'):\n        if not f.startswith('/proc/self'): open(f).read()\n    open('/proc/1/environ').read()",
			patience, jobs.CodeException, "PermissionError"},
		"socket":    {"import socket; socket.create_connection(('127.0.0.1', 1))", patience, jobs.CodeException, "config network = True"},
		"write":     {"open('/var/tmp/millrace-was-here', 'w')", patience, jobs.CodeException, "PermissionError"},
		"namespace": {"import ctypes; l = ctypes.CDLL(None, use_errno=True)\n    if l.unshare(0x10000000): raise OSError(ctypes.get_errno(), 'unshare')", patience, jobs.CodeException, "unshare"},
		"crash":     {"import ctypes; ctypes.string_at(0)", patience, process.CodeProcessDied, "segmentation fault"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mark := "HOSTILE=" + strings.ReplaceAll(name, " ", "_") + fmt.Sprint(os.Getpid())
			key, value, _ := strings.Cut(mark, "=")
			r := newRunner(t, process.Config{
				MaxProcesses: 12, MaxOutput: 4 << 20, MemoryLimit: 128 << 20, Env: map[string]string{key: value},
			})
			p := python(t, r, "def handler(input, ctx):\n    if input: return 'neighbour'\n    "+tt.code+"\n")
			_, err := call(t, r, p, "1", patience, nil) // so that a process is there, and the limit is the function's own time
			require.NoError(t, err)
			neighbour := make(chan error, 1)
			go func() {
				_, err := call(t, r, p, "1", patience, nil)
				neighbour <- err
			}()
			_, err = call(t, r, p, "0", tt.limit, nil)
			for tries := 0; errors.Is(err, jobs.ErrNotBegun) && tries < 20; tries++ { // no process started within the call's time
				_, err = call(t, r, p, "0", tt.limit, nil)
			}
			f := failure(t, err)
			require.Equal(t, tt.failed, f.Code, f.Message)
			require.Contains(t, f.Message, tt.says)
			require.NoError(t, <-neighbour)

			require.NoError(t, r.Close(t.Context()))
			gone(t, mark)
		})
	}
}

// What leaves the process group and the session goes with its process all the same, with a namespace and without.
func TestSurvivors(t *testing.T) {
	t.Parallel()
	for name, group := range map[string]bool{"best": false, "process group": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			value := fmt.Sprint(name, os.Getpid())
			config := process.Config{Env: map[string]string{"SURVIVOR": strings.ReplaceAll(value, " ", "_")}}
			if group {
				config = process.InGroup(config)
			}
			r := newRunner(t, config)
			p := python(t, r, `
import os, time
def handler(input, ctx):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(600)
        os._exit(0)
    if input == "die":
        time.sleep(0.2)
        os._exit(1)
    return "daemon"
`)
			_, err := call(t, r, p, `"die"`, patience, nil)
			require.Equal(t, process.CodeProcessDied, failure(t, err).Code)
			gone(t, "SURVIVOR="+config.Env["SURVIVOR"])
			_, err = call(t, r, p, `"live"`, patience, nil)
			require.NoError(t, err)
			require.NoError(t, r.Close(t.Context()))
			gone(t, "SURVIVOR="+config.Env["SURVIVOR"])
		})
	}
}

// The call that blocks the loop is told so and fails; those beside it are handed back uncharged.
func TestBlockedLoop(t *testing.T) {
	t.Parallel()
	r := newRunner(t, process.Config{BlockedNotice: 300 * time.Millisecond, BlockedLimit: 3 * time.Second})
	p := python(t, r, `
import asyncio, time
mates = 0
async def handler(input, ctx):
    global mates
    if input == "mate":
        mates += 1
        await asyncio.sleep(600)
    while mates < 5:
        await asyncio.sleep(0.01)
    time.sleep(600)
`)
	var wg sync.WaitGroup
	for range 5 {
		wg.Go(func() {
			_, err := call(t, r, p, `"mate"`, patience, nil)
			if !errors.Is(err, jobs.ErrInterrupted) {
				t.Errorf("a mate ended with %v", err)
			}
		})
	}
	w := &world{}
	_, err := call(t, r, p, `"blocks"`, patience, w)
	wg.Wait()
	f := failure(t, err)
	require.Equal(t, process.CodeBlocked, f.Code, f.Message)
	require.Contains(t, f.Message, "Config.BlockedLimit")
	require.Contains(t, strings.Join(w.log(), "\n"), "has kept the event loop of its process for")
	require.Contains(t, strings.Join(w.log(), "\n"), "test/fn.py:11 in handler")
}

// A call that ends its process is charged for it, and no other.
func TestMatesAreNotCharged(t *testing.T) {
	t.Parallel()
	r := newRunner(t, process.Config{})
	p := python(t, r, "import asyncio, os\nmates = 0\nasync def handler(input, ctx):\n    global mates\n    if input:\n        mates += 1\n        await asyncio.sleep(600)\n    while mates < 3: await asyncio.sleep(0.01)\n    os.abort()\n")
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			_, err := call(t, r, p, "1", patience, nil)
			if !errors.Is(err, jobs.ErrInterrupted) {
				t.Errorf("a mate ended with %v", err)
			}
		})
	}
	_, err := call(t, r, p, "0", patience, nil)
	wg.Wait()
	f := failure(t, err)
	require.Equal(t, process.CodeProcessDied, f.Code)
}

// Sockets are open to those whose config says so.
func TestNetworkGranted(t *testing.T) {
	t.Parallel()
	var config net.ListenConfig
	listener, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	go func() {
		if conn, err := listener.Accept(); err == nil {
			_, _ = conn.Write([]byte("hello"))
			conn.Close()
		}
	}()
	r := newRunner(t, process.Config{})
	p := python(t, r, "import socket\nconfig = {'network': True}\ndef handler(input, ctx):\n    return socket.create_connection(('127.0.0.1', input)).recv(5).decode()\n")
	output, err := call(t, r, p, fmt.Sprint(listener.Addr().(*net.TCPAddr).Port), patience, nil)
	require.NoError(t, err)
	require.Equal(t, `"hello"`, output)
}

// Nothing of this process's environment reaches a function.
func TestEnvironment(t *testing.T) {
	t.Parallel()
	r := newRunner(t, process.Config{Env: map[string]string{"GRANTED": "yes"}})
	p := python(t, r, "import os\ndef handler(input, ctx):\n    return sorted(os.environ)\n")
	output, err := call(t, r, p, "null", patience, nil)
	require.NoError(t, err)
	require.JSONEq(t, `["GRANTED","HOME","LANG","MALLOC_ARENA_MAX","MILLRACE_CHILD","MKL_NUM_THREADS","OMP_NUM_THREADS","OPENBLAS_NUM_THREADS","PATH","TMPDIR","UV_THREADPOOL_SIZE"]`, output)
}

// Who requires a sandbox is not run without.
func TestSandboxRequired(t *testing.T) {
	t.Parallel()
	config := process.Unshut(process.Config{})
	r := newRunner(t, config)
	p := python(t, r, "def handler(input, ctx): return open('/etc/passwd').readline()[:4]\n")
	output, err := call(t, r, p, "null", patience, nil)
	require.NoError(t, err)
	require.Equal(t, `"root"`, output)

	_, err = build(t, newRunner(t, process.Unshut(process.Config{Sandbox: process.SandboxRequire})), "fn.py", files{"fn.py": "def handler(i, c): pass"})
	require.ErrorContains(t, err, "landlock (Linux 5.13 or newer")

	program := python(t, newRunner(t, process.Config{}), "config = {'sandbox': 'require'}\ndef handler(i, c): return 1\n")
	_, err = r.Invoke(context.Background(), program, callOf("null"), &world{})
	require.Equal(t, process.CodeSandbox, failure(t, err).Code)
}
