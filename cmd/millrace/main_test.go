package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/millrace-dev/millrace/internal/testdb"
)

func TestMain(m *testing.M) {
	testdb.Main(m,
		// fasthttp keeps a clock for the process, and a sleeping goroutine a server for up to ten seconds.
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"),
		// centrifuge never closes its metrics exporter, and leaves a channel a second after its last subscriber.
		goleak.IgnoreTopFunction("github.com/FZambia/eagle.(*Eagle).aggregate"),
		goleak.IgnoreAnyFunction("github.com/centrifugal/centrifuge/internal/dissolve.(*Dissolver).runWorker"),
	)
}

// result is what a run of the program left behind.
type result struct {
	code           int
	stdout, stderr string
}

// millrace runs the program in this process.
func execute(t *testing.T, stdin string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	return executeContext(ctx, stdin, args...)
}

func executeContext(ctx context.Context, stdin string, args ...string) result {
	var stdout, stderr bytes.Buffer
	code := run(ctx, args, strings.NewReader(stdin), &stdout, &stderr)
	return result{code: code, stdout: stdout.String(), stderr: stderr.String()}
}

// api answers requests by "METHOD /path" and keeps what it was asked.
type api struct {
	url string

	mu       sync.Mutex
	requests []string // "METHOD /path?query body"
}

func newAPI(t *testing.T, routes map[string]http.HandlerFunc) *api {
	t.Helper()
	a := &api{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		a.mu.Lock()
		a.requests = append(a.requests, strings.TrimSpace(r.Method+" "+r.RequestURI+" "+string(body)))
		a.mu.Unlock()
		if r.Header.Get("Authorization") != "Bearer test-key" {
			problem(http.StatusUnauthorized, `"code":"unauthenticated","title":"No valid credential"`)(w, r)
			return
		}
		if handler := routes[r.Method+" "+r.URL.Path]; handler != nil {
			handler(w, r)
			return
		}
		problem(http.StatusNotFound, `"code":"not_found","title":"There is nothing here","hint":"Look elsewhere."`)(w, r)
	}))
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	a.url = server.URL
	return a
}

// run runs the program against this server.
func (a *api) run(t *testing.T, stdin string, args ...string) result {
	t.Helper()
	return execute(t, stdin, append(args, "--url", a.url, "--key", "test-key")...)
}

func (a *api) asked() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]string(nil), a.requests...)
}

func text(contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		_, _ = io.WriteString(w, body)
	}
}

func answerJSON(body string) http.HandlerFunc { return text("application/json", body) }

func problem(status int, fields string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, "{"+fields+"}")
	}
}

func TestHelp(t *testing.T) {
	t.Parallel()
	top := execute(t, "", "--help")
	require.Zero(t, top.code)
	require.Empty(t, top.stderr)
	for _, command := range []string{"dev", "serve", "migrate", "deploy", "functions", "run", "jobs", "tail", "publish", "keys", "token", "version"} {
		require.Contains(t, top.stdout, command)
		sub := execute(t, "", command, "--help")
		require.Zero(t, sub.code, command)
		require.Contains(t, sub.stdout, "Usage: millrace "+command)
		require.Empty(t, sub.stderr, command)
	}
	require.Contains(t, execute(t, "", "run", "--help").stdout, "$MILLRACE_KEY")
}

func TestUsageErrors(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"nothing":           {nil, "millrace --help"},
		"unknown command":   {[]string{"rnu"}, "rnu"},
		"unknown flag":      {[]string{"run", "hello", "--fast"}, "millrace run --help"},
		"missing argument":  {[]string{"run"}, "<function>"},
		"missing sub":       {[]string{"jobs"}, "millrace jobs --help"},
		"bad job id":        {[]string{"jobs", "get", "abc"}, "is not a job id"},
		"half a job id":     {[]string{"jobs", "cancel", "12x"}, "is not a job id"},
		"zero job id":       {[]string{"jobs", "cancel", "0"}, "is not a job id"},
		"bad state":         {[]string{"jobs", "list", "--state", "done"}, "queued"},
		"short limit":       {[]string{"jobs", "list", "-n-1"}, "must not be negative"},
		"bad limit":         {[]string{"jobs", "list", "--limit=-1"}, "must not be negative"},
		"bad input":         {[]string{"run", "hello", "{a:1}"}, "the input is not JSON: invalid character 'a'"},
		"help of its own":   {[]string{"channels", "history", "a", "--after", "x"}, "See \"millrace channels history --help\""},
		"two inputs":        {[]string{"run", "hello", `{} {}`}, "the input is not JSON"},
		"missing file":      {[]string{"run", "hello", "@/does/not/exist"}, "read the file after @"},
		"delay and run-at":  {[]string{"run", "hello", "--delay", "1s", "--run-at", "2030-01-01T00:00:00Z"}, "can't be used together"},
		"bad duration":      {[]string{"run", "hello", "--delay", "soon"}, "--delay"},
		"bad address":       {[]string{"jobs", "list", "--url", "localhost:80"}, "is not an http or https URL: write http://localhost:80"},
		"no scope":          {[]string{"keys", "create", "ci"}, "--scope"},
		"negative history":  {[]string{"tail", "room:a", "--history=-1"}, "must not be negative"},
		"a pattern":         {[]string{"tail", "room:a", "room:*"}, `"room:*" is a pattern, which only keys and tokens take: name each channel in full; ` + "`millrace channels list room:`"},
		"every channel":     {[]string{"tail", "*"}, "`millrace channels list` shows"},
		"publish a pattern": {[]string{"publish", "room:*", "1"}, "is a pattern"},
		"history of all":    {[]string{"channels", "history", "*"}, "is a pattern"},
		"presence of all":   {[]string{"channels", "presence", "*"}, "is a pattern"},
		"empty channel":     {[]string{"tail", ""}, "the name of the channel is empty"},
		"half a tag":        {[]string{"publish", "room:a", "1", "--tag", "kind"}, "is not NAME:VALUE"},
		"epoch alone":       {[]string{"publish", "room:a", "1", "--version-epoch", "a"}, "give both"},
		"no channel":        {[]string{"tail"}, "<channel>"},
		"down without aim":  {[]string{"migrate", "down", "--database-url", "postgres://x"}, "--to"},
		"message not JSON":  {[]string{"publish", "room:a", "hello"}, "not JSON"},
		"unsupported level": {[]string{"serve", "--database-url", "postgres://x", "--log-level", "loud"}, "--log-level"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := execute(t, "", c.args...)
			require.Equal(t, exitUsage, got.code, got.stderr)
			require.Contains(t, got.stderr, c.want)
			require.Contains(t, got.stderr, "--help")
			require.Empty(t, got.stdout)
		})
	}
}

func TestServerThatIsNotThere(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	got := execute(t, "", "jobs", "list", "--url", server.URL)
	require.Equal(t, exitFailed, got.code)
	require.Contains(t, got.stderr, "connection refused at "+server.URL+": is the server running? Start it with `millrace dev`")
}

func TestVersion(t *testing.T) {
	t.Parallel()
	require.Contains(t, execute(t, "", "version").stdout, "millrace ")
	require.Contains(t, execute(t, "", "version", "--json").stdout, `"go":"go1.`)
}
