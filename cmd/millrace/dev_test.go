package main

import (
	"bytes"
	"context"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/testdb"
)

func TestWelcome(t *testing.T) {
	t.Parallel()
	say := func(w welcome) string {
		var stdout bytes.Buffer
		require.NoError(t, w.print(&streams{out: &stdout}))
		return stdout.String()
	}
	w := welcome{url: "http://127.0.0.1:8080", login: "once", key: "it's a $key", program: "/src/my bin/millrace", folder: "/f",
		database: "postgres://u:p@127.0.0.1:5/d"}
	require.Contains(t, say(w), "Put a function into /f")

	w.routes = []string{"/ws/chat/:room"}
	require.Contains(t, say(w), "1 function from /f")
	require.Contains(t, say(w), "Connect a WebSocket to it: ws://127.0.0.1:8080/ws/chat/:room")

	w.functions = []string{"a.b"}
	require.Contains(t, say(w), "\n  millrace run a.b null --follow")
	require.Contains(t, say(w), "\n  export PATH='/src/my bin':\"$PATH\"\n")
	w.onPath = true
	require.NotContains(t, say(w), "PATH=")
	w.program = "/tmp/other"
	require.Contains(t, say(w), "\n  /tmp/other run a.b null --follow")

	w.functions = []string{"a.b", "hello"}
	text := say(w)
	require.Contains(t, text, "page       http://127.0.0.1:8080/#login=once")
	require.Contains(t, text, "database   postgres://u:p@127.0.0.1:5/d")
	require.Contains(t, text, `export MILLRACE_URL=http://127.0.0.1:8080 MILLRACE_KEY='it'\''s a $key'`)
	require.Contains(t, text, `curl -sS 'http://127.0.0.1:8080/v1/functions/hello/jobs?wait=10s' -H 'Authorization: Bearer it'\''s a $key' -d '{"name": "Ada"}'`)
}

// TestDev goes through an hour of development: a folder that is not there, a first call, a change, a mistake, Ctrl-C.
func TestDev(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "functions")
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	var stdout, stderr syncedText
	done := make(chan int, 1)
	args := []string{
		"dev", "--addr", "127.0.0.1:0", "--data-dir", t.TempDir(), "--functions", dir, "--database-url", testdb.New(t).URL,
	}
	go func() {
		done <- run(ctx, args, strings.NewReader(""), &stdout, &stderr)
	}()
	shows := func(where *syncedText, pattern string) []string {
		t.Helper()
		var found []string
		require.Eventually(t, func() bool {
			found = regexp.MustCompile(pattern).FindStringSubmatch(where.String())
			return found != nil
		}, time.Minute, 20*time.Millisecond, "%s in\n%s\n%s", pattern, &stdout, &stderr)
		return found
	}
	ready := shows(&stdout, `export MILLRACE_URL=(\S+) MILLRACE_KEY=(\S+)\n`)
	call := func(args ...string) result {
		return execute(t, "", append(args, "--url", ready[1], "--key", ready[2])...)
	}
	require.JSONEq(t, `{"greeting":"Hello, Ada!"}`, call("run", "hello", `{"name":"Ada"}`, "--wait").stdout)

	write := func(text string) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "hello.ts"), []byte(text), 0o600))
	}
	write("export default async () => 'changed'\n")
	shows(&stderr, `deployed hello  [0-9a-f]{12} → [0-9a-f]{12}`)
	require.Equal(t, "\"changed\"\n", call("run", "hello", "--wait").stdout)

	write("export default async () => {\n  let = ;\n}\n")
	shows(&stderr, `hello is not deployed, the earlier version stays live:\nhello\.ts:2:\d+: `)
	require.Equal(t, "\"changed\"\n", call("run", "hello", "--wait").stdout, "the last version that was good stays")

	interrupt()
	require.Zero(t, <-done, &stderr)
	require.Contains(t, stderr.String(), "Stopping")
}

func TestPortInUse(t *testing.T) {
	t.Parallel()
	taken, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = taken.Close() }()
	addr := taken.Addr().String()

	got := execute(t, "", "dev", "--addr", addr, "--data-dir", t.TempDir(), "--functions", t.TempDir())
	require.Equal(t, exitFailed, got.code)
	require.Contains(t, got.stderr, addr+" is in use: choose another with --addr (make run ADDR=…)")
	require.NotContains(t, got.stderr, "Starting a private Postgres")

	got = execute(t, "", "serve", "--addr", addr, "--database-url", testdb.New(t).URL)
	require.Equal(t, exitFailed, got.code)
	require.Contains(t, got.stderr, addr+" is in use: choose another with --addr")
}

func TestServeSaysWhereItIs(t *testing.T) {
	t.Parallel()
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	var stdout, stderr syncedText
	done := make(chan int, 1)
	args := []string{"serve", "--addr", "127.0.0.1:0", "--database-url", testdb.New(t).URL}
	go func() {
		done <- run(ctx, args, strings.NewReader(""), &stdout, &stderr)
	}()
	require.Eventually(t, func() bool {
		return regexp.MustCompile(`millrace serves http://127\.0\.0\.1:\d+\n(?s:.*)millrace deploy DIR`).MatchString(stderr.String())
	}, time.Minute, 20*time.Millisecond, "%s", &stderr)
	interrupt()
	require.Zero(t, <-done, &stderr)
}
