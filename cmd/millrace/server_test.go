package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace"
	"github.com/millrace-dev/millrace/internal/apiclient"
	"github.com/millrace-dev/millrace/internal/testdb"
)

// installation is a real server on a real database, and its first key.
type installation struct {
	t        *testing.T
	database string
	app      *millrace.App
	key      string
}

func install(t *testing.T) *installation {
	t.Helper()
	i := &installation{t: t, database: testdb.New(t).URL}
	i.start("127.0.0.1:0")
	t.Cleanup(func() { i.stop() })

	made := execute(t, "", "keys", "create", "first", "--scope", "admin", "--database-url", i.database)
	require.Zero(t, made.code, made.stderr)
	i.key = strings.TrimSpace(made.stdout)
	return i
}

func (i *installation) start(addr string) {
	i.t.Helper()
	app, err := millrace.New(millrace.Config{
		DatabaseURL: i.database, Addr: addr, MaxConns: 6, DrainTimeout: time.Second, Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(i.t, err)
	require.NoError(i.t, app.Start(i.t.Context()))
	i.app = app
}

func (i *installation) stop() {
	require.NoError(i.t, i.app.Stop(context.WithoutCancel(i.t.Context())))
}

func (i *installation) url() string { return "http://" + i.app.Addr() }

func (i *installation) run(args ...string) result {
	i.t.Helper()
	return execute(i.t, "", append(args, "--url", i.url(), "--key", i.key)...)
}

// must is run, of a command that succeeds.
func (i *installation) must(args ...string) string {
	i.t.Helper()
	got := i.run(args...)
	require.Zero(i.t, got.code, "millrace %s: %s", strings.Join(args, " "), got.stderr)
	return got.stdout
}

const greetSource = `export default async function (input, ctx) {
  for (let i = 1; i <= 3; i++) {
    ctx.log("line " + i, { i });
    ctx.progress(i * 30, "step " + i);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return { greeting: "Hello, " + input.name };
}`

// The tests on a real server run one after the other: under the race detector the JavaScript engine takes all of a
// processor, and the time limits of its calls are those of production.

func TestJobsOnARealServer(t *testing.T) {
	i := install(t)
	dir := folder(t, map[string]string{
		"greet.ts":     greetSource,
		"bad/throw.js": "export const config = { retries: 0 };\nexport default async () => {\n  throw new Error('no luck');\n}",
	})
	require.Regexp(t, `(?m)^bad\.throw +new +[0-9a-f]{12}$`, i.must("deploy", dir))
	require.Contains(t, i.run("deploy", dir).stderr, "Nothing to deploy.")

	got := i.run("run", "greet", `{"name":"Ada"}`, "--follow")
	require.Zero(t, got.code, got.stderr)
	require.JSONEq(t, `{"greeting":"Hello, Ada"}`, got.stdout)
	for n := 1; n <= 3; n++ {
		require.Equal(t, 1, strings.Count(got.stderr, fmt.Sprintf("line %d {\"i\":%d}", n, n)), "each line once:\n%s", got.stderr)
	}

	got = i.run("run", "bad.throw", "--wait")
	require.Equal(t, exitFailed, got.code)
	require.Empty(t, got.stdout)
	require.Regexp(t, `job \d+ of bad\.throw failed after 1 attempt: exception: .*no luck`, got.stderr)
	require.Contains(t, got.stderr, "throw.js:3", "the stack names the user's own file and line")

	later := strings.TrimSpace(i.must("run", "greet", `{"name":"Bob"}`, "--delay", "1h", "--tag", "later"))
	require.Regexp(t, "(?m)^"+later+` +greet +scheduled`, i.must("jobs", "list", "--tag", "later"))
	require.Contains(t, i.must("jobs", "cancel", later), "cancelled")
	require.Equal(t, exitFailed, i.run("jobs", "get", later, "--wait").code)
	require.Contains(t, i.must("jobs", "retry", later), "greet")
	require.JSONEq(t, `{"greeting":"Hello, Bob"}`, string(i.waitFor(later).Output))
	require.Equal(t, 3, strings.Count(i.must("jobs", "logs", later), "line "))

	require.Contains(t, i.run("run", "nobody").stderr, "millrace deploy DIR")
	require.Contains(t, i.run("jobs", "get", "999999").stderr, "no such job")
}

func (i *installation) waitFor(id string) apiclient.Job {
	i.t.Helper()
	var job apiclient.Job
	require.NoError(i.t, json.Unmarshal([]byte(i.must("jobs", "get", id, "--wait", "--json")), &job))
	return job
}

func TestDeploysOnARealServer(t *testing.T) {
	i := install(t)
	version := func(n int) string { return fmt.Sprintf("export default async () => %d", n) }
	i.must("deploy", folder(t, map[string]string{"ff.js": version(1), "gg.js": version(1)}))
	require.Regexp(t, `(?m)^gg +removed`, i.must("deploy", folder(t, map[string]string{"ff.js": version(2)}), "--prune"))
	require.Equal(t, "2\n", i.must("run", "ff", "--wait"))
	require.Regexp(t, `^ff  [0-9a-f]{12} → [0-9a-f]{12}\n$`, i.must("functions", "rollback", "ff"))
	require.Equal(t, "1\n", i.must("run", "ff", "--wait"))
	require.Equal(t, 3, strings.Count(i.must("functions", "versions", "ff"), "\n"), "a header and two versions")

	broken := i.run("deploy", folder(t, map[string]string{"ff.js": version(3), "sub/broken.ts": "export default async () => {\n  return 1 +;\n}"}))
	require.Equal(t, exitFailed, broken.code)
	require.Contains(t, broken.stderr, "sub/broken.ts:2:13: ")
	require.Equal(t, "1\n", i.must("run", "ff", "--wait"), "all or nothing")
}

func TestAccessOnARealServer(t *testing.T) {
	i := install(t)
	made := i.run("keys", "create", "reader", "--scope", "jobs:read:*", "--json")
	var key struct{ ID, Key string }
	require.NoError(t, json.Unmarshal([]byte(made.stdout), &key), made.stderr)
	reader := func(args ...string) result {
		return execute(t, "", append(args, "--url", i.url(), "--key", key.Key)...)
	}
	require.Zero(t, reader("jobs", "list").code)
	refused := reader("keys", "list")
	require.Equal(t, exitFailed, refused.code)
	require.Contains(t, refused.stderr, "millrace keys create")
	require.Regexp(t, `(?m)^`+key.ID+` +reader +jobs:read:\*`, i.must("keys", "list"))
	i.must("keys", "revoke", key.ID)
	require.Contains(t, reader("jobs", "list").stderr, "The API key of --key is not accepted")
	require.Equal(t, 2, strings.Count(strings.TrimSpace(i.must("token", "--user", "ada", "--subscribe", "room:*")), "."))
	require.Zero(t, execute(t, "", "migrate", "status", "--database-url", i.database).code)
}

// TestTailOverARestart publishes while the server is away for the subscriber, and expects every message once.
func TestTailOverARestart(t *testing.T) {
	t.Parallel()
	i := install(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stdout := &syncedText{}
	var stderr syncedText
	done := make(chan int, 1)
	args := []string{"tail", "room:a", "--url", i.url(), "--key", i.key}
	i.must("publish", "room:a", `"before"`)
	go func() { done <- run(ctx, args, strings.NewReader(""), stdout, &stderr) }()

	sees := func(text string) {
		t.Helper()
		require.Eventually(t, func() bool { return strings.Contains(stdout.String(), text) }, time.Minute, 20*time.Millisecond,
			"%s\n%s", stdout, &stderr)
	}
	// The subscription is in place when a message arrives.
	n := 0
	require.Eventually(t, func() bool {
		n++
		i.must("publish", "room:a", fmt.Sprintf(`"hello %d"`, n))
		return strings.Contains(stdout.String(), "hello")
	}, time.Minute, 50*time.Millisecond)
	sees(fmt.Sprintf("hello %d", n))

	addr := i.app.Addr()
	i.stop()
	require.Eventually(t, func() bool { return strings.Contains(stderr.String(), "connection lost") }, time.Minute, 20*time.Millisecond)
	i.start("127.0.0.1:0") // at another address, so that the subscriber is still away
	for n := range 5 {
		i.must("publish", "room:a", fmt.Sprintf(`"missed %d"`, n))
	}
	i.stop()
	i.start(addr)
	sees(`"missed 4"`)
	cancel()
	require.Zero(t, <-done)
	for n := range 5 {
		require.Equal(t, 1, strings.Count(stdout.String(), fmt.Sprintf("missed %d", n)), stdout)
	}
	require.NotContains(t, stdout.String(), "before")
	require.NotContains(t, stderr.String(), "were missed")
}

func TestBatchOnARealServer(t *testing.T) {
	i := install(t)
	i.must("deploy", folder(t, map[string]string{"double.js": "export default async (n) => n * 2"}))
	client, err := apiclient.New(apiclient.Config{URL: i.url(), Key: i.key})
	require.NoError(t, err)
	defer client.Close()
	const jobs = 300
	items := func(yield func(apiclient.Submission, error) bool) {
		for n := range jobs {
			name := "double"
			if n == 7 {
				name = "nobody"
			}
			if !yield(apiclient.Submission{Function: name, Input: json.RawMessage(fmt.Sprint(n))}, nil) {
				return
			}
		}
	}
	ids := map[int]int64{}
	require.NoError(t, client.Batch(t.Context(), items, apiclient.BatchConfig{MaxItems: 64}, func(r apiclient.BatchResult) {
		if r.Index == 7 {
			require.True(t, apiclient.HasCode(r.Err, "unknown_function"), "%v", r.Err)
			return
		}
		require.NoError(t, r.Err)
		ids[r.Index] = r.ID
	}))
	require.Len(t, ids, jobs-1)
	for n, id := range ids {
		output, err := client.Result(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, fmt.Sprint(2*n), string(output))
	}
}

// syncedText is a writer that can be read meanwhile.
type syncedText struct {
	mu   sync.Mutex
	text strings.Builder
}

func (s *syncedText) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *syncedText) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}
