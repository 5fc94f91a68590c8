package intruder_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/millrace-dev/millrace"
	"github.com/millrace-dev/millrace/internal/testdb"
)

func TestMain(m *testing.M) {
	testdb.Main(m,
		// Of libraries, which end or keep them by themselves: the clock of the Date header, the pool's cleaner that
		// sleeps for 10 s, centrifuge's metrics and its queue of tasks.
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"),
		goleak.IgnoreTopFunction("github.com/FZambia/eagle.(*Eagle).aggregate"),
		goleak.IgnoreAnyFunction("github.com/centrifugal/centrifuge/internal/dissolve.(*Dissolver).runWorker"),
	)
}

const adminKey = "the-key-of-somebody-who-may-do-everything"

// server is a whole instance on a database of its own.
type server struct {
	db     *testdb.DB
	url    string
	client *http.Client
	log    *lockedText
}

// start runs an instance whose jobs nobody works on: what they hold stays where it is. Before it come the statements.
func start(t *testing.T, before ...string) *server {
	t.Helper()
	s := &server{db: testdb.New(t), log: &lockedText{}}
	for _, sql := range before {
		_, err := s.db.Pool.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	app, err := millrace.New(millrace.Config{
		DatabaseURL: s.db.URL, Addr: "127.0.0.1:0", MaxConns: 6, Queues: map[string]int{"nobody": 1},
		Logger: slog.New(slog.NewTextHandler(s.log, nil)),
	})
	require.NoError(t, err)
	millrace.Handle(app, "echo", func(_ context.Context, in json.RawMessage) (json.RawMessage, error) { return in, nil })
	require.NoError(t, app.Start(t.Context()))
	t.Cleanup(func() { require.NoError(t, app.Stop(context.Background())) })
	_, err = app.Auth().EnsureKey(t.Context(), adminKey)
	require.NoError(t, err)
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	s.url, s.client = "http://"+app.Addr(), &http.Client{Transport: transport, Timeout: time.Minute}
	return s
}

// answer is a response with its body read, and what it answers.
type answer struct {
	asked  string
	status int
	header http.Header
	body   string
}

// send makes a request; headers are pairs.
func (s *server) send(t *testing.T, method, path, body string, headers ...string) answer {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, s.url+path, strings.NewReader(body))
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer "+adminKey)
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := s.client.Do(request)
	require.NoError(t, err)
	defer func() { _ = response.Body.Close() }()
	data, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return answer{fmt.Sprintf("%s %s %.300q", method, path, body), response.StatusCode, response.Header, string(data)}
}

// internals are texts that only the inside of the server knows.
var internals = []string{"goroutine ", ".go:", "SQLSTATE", "pgx", "ERROR:", "river_job", "search_path", "select ", "insert into"}

// problem is what an answer of refusal says.
type problem struct {
	Status int    `json:"status"`
	Code   string `json:"code"`
	Title  string `json:"title"`
	Detail string `json:"detail"`
	Errors []struct {
		Field   string `json:"field"`
		Message string `json:"message"`
	} `json:"errors"`
}

// refused wants a problem document of this status that tells nothing of the inside. about is a text that it holds: the
// name of a field, or a limit.
func (a answer) refused(t *testing.T, status int, about string) {
	t.Helper()
	require.Equal(t, status, a.status, "%s: %s", a.asked, a.body)
	require.Equal(t, "application/problem+json", a.header.Get("Content-Type"), a.asked)
	var p problem
	require.NoError(t, json.Unmarshal([]byte(a.body), &p), a.body)
	require.Equal(t, status, p.Status)
	require.NotEmpty(t, p.Code)
	require.NotEmpty(t, p.Title)
	require.Contains(t, a.body, about, a.asked)
	a.tellsNothing(t)
}

func (a answer) tellsNothing(t *testing.T) {
	t.Helper()
	require.Less(t, a.status, http.StatusInternalServerError, "%s: %s", a.asked, a.body)
	for _, text := range internals {
		require.NotContains(t, a.body, text, a.asked)
	}
	require.Less(t, len(a.body), 16<<10, "what was sent does not come back whole: %s", a.asked)
}

// holds is what the database has of what users make.
func (s *server) holds(t *testing.T) (n int) {
	t.Helper()
	const rows = `select (select count(*) from millrace.river_job) + (select count(*) from millrace.schedule)
		+ (select count(*) from millrace.idempotency) + (select count(*) from millrace.job_unique)
		+ (select count(*) from millrace.queue_state) + (select count(*) from millrace.message)`
	require.NoError(t, s.db.Pool.QueryRow(t.Context(), rows).Scan(&n))
	return n
}

// quiet wants no error of the server's own in its log.
func (s *server) quiet(t *testing.T) {
	t.Helper()
	require.NotContains(t, s.log.String(), "level=ERROR")
	require.NotContains(t, s.log.String(), "panic")
}

// lockedText takes a log while a test reads it.
type lockedText struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lockedText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lockedText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
