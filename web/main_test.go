package web

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/millrace-dev/millrace/functions"
	"github.com/millrace-dev/millrace/functions/runtimes/native"
	"github.com/millrace-dev/millrace/internal/auth"
	"github.com/millrace-dev/millrace/internal/postgres"
	"github.com/millrace-dev/millrace/internal/testdb"
	"github.com/millrace-dev/millrace/jobs"
	"github.com/millrace-dev/millrace/jobs/callbacks"
	"github.com/millrace-dev/millrace/jobs/schedules"
	"github.com/millrace-dev/millrace/jobs/statistics"
	"github.com/millrace-dev/millrace/realtime"
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

const (
	devKey   = "the-key-of-these-tests"
	patience = time.Minute
	secret   = "postgres://admin:hunter2@db.internal" // what must never be seen outside
)

// env is a whole instance without the process: real database, real services, real sockets.
type env struct {
	t      testing.TB
	db     *testdb.DB
	store  *auth.Store
	jobs   *jobs.Service
	hub    *realtime.Hub
	server *Server
	http   *http.Client
	log    *logBuffer
}

// start makes an instance whose channels are in memory; change may adjust the configuration.
func start(t testing.TB, change ...func(*Config)) *env {
	t.Helper()
	return startWith(t, realtime.NewInMemory, change...)
}

// startShared makes one whose channels are in its database.
func startShared(t testing.TB, change ...func(*Config)) *env {
	t.Helper()
	return startWith(t, realtime.New, change...)
}

func startWith(t testing.TB, newHub func(realtime.Config) (*realtime.Hub, error), change ...func(*Config)) *env {
	t.Helper()
	config := Config{
		Addr: "127.0.0.1:0", Version: "test",
		UI: fstest.MapFS{
			"index.html":    {Data: []byte("<!doctype html><script type=module src=/assets/app.js></script>")},
			"assets/app.js": {Data: []byte("console.log('page')")},
		},
	}
	for _, f := range change {
		f(&config)
	}
	db := testdb.New(t)
	log := &logBuffer{}
	logger := slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	listener := postgres.NewListener(postgres.ListenerConfig{URL: db.URL, Logger: logger})
	e := &env{t: t, db: db, log: log, store: auth.NewStore(db.Pool, listener, logger)}
	lazy := &links{}
	fns, err := functions.New(functions.Config{Pool: db.Pool, Listener: listener, Publisher: lazy, Enqueuer: lazy, Logger: logger,
		JS: functions.JSConfig{BuildTime: patience, BundleTime: patience}})
	require.NoError(t, err)
	registerFunctions(t, fns)
	config.Statistics, err = statistics.New(statistics.Config{Pool: db.Pool, NodeID: "test-node", Logger: logger})
	require.NoError(t, err)
	e.jobs, err = jobs.New(jobs.Config{
		Pool: db.Pool, Listener: listener, Executor: fns, NodeID: "test-node", MaxInput: config.MaxInput,
		Deliver: lazy.deliver, Ended: config.Statistics.AttemptEnded, Logger: logger,
	})
	require.NoError(t, err)
	config.Schedules, err = schedules.New(schedules.Config{Pool: db.Pool, Jobs: e.jobs, Listener: listener, Logger: logger})
	require.NoError(t, err)
	config.Callbacks, err = callbacks.New(callbacks.Config{Pool: db.Pool, Listener: listener, Logger: logger})
	require.NoError(t, err)
	e.hub, err = newHub(realtime.Config{
		Pool: db.Pool, URL: db.URL, Listener: listener, NodeID: "test-node",
		Namespaces: append(realtime.DefaultNamespaces(),
			realtime.Namespace{Name: "job", Source: e.jobs}, realtime.Namespace{Name: "jobs", Source: e.jobs},
			realtime.Namespace{Name: "lobby", Ephemeral: true, Presence: true},
			realtime.Namespace{Name: "plaza", HistorySize: 10, HistoryTTL: time.Minute, Presence: true,
				Publish: realtime.RuleUser, HistoryRule: realtime.RuleUser, Subscribe: realtime.RuleUser, PresenceRule: realtime.RuleUser},
			realtime.Namespace{Name: "bytes", HistorySize: 10, HistoryTTL: time.Minute, Binary: true},
		),
		Authenticate: Authenticator(e.store, e.jobs), AuthorizeSubscription: SubscriptionAuthorizer(e.store),
		Logger: logger,
	})
	require.NoError(t, err)
	lazy.jobs, lazy.hub = e.jobs, e.hub
	e.store.OnRevoke(Revoker(e.hub))
	config.Jobs, config.Functions, config.Hub, config.Auth, config.Logger = e.jobs, fns, e.hub, e.store, logger
	e.server, err = New(config)
	require.NoError(t, err)
	for _, s := range []interface {
		Start(ctx context.Context) error
		Stop(ctx context.Context) error
	}{listener, e.store, fns, e.hub, config.Statistics, config.Schedules, config.Callbacks, e.jobs, e.server} {
		require.NoError(t, s.Start(t.Context()))
		t.Cleanup(func() {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			require.NoError(t, s.Stop(ctx))
		})
	}
	_, err = e.store.EnsureKey(t.Context(), devKey)
	require.NoError(t, err)
	transport := &http.Transport{}
	e.http = &http.Client{Transport: transport, Timeout: 2 * patience, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}
	t.Cleanup(transport.CloseIdleConnections)
	return e
}

// sibling is a second server on the same services, with routes of its own beside the table.
func (e *env) sibling(routes ...Route) *env {
	e.t.Helper()
	config := e.server.cfg
	config.Addr, config.Metrics = "127.0.0.1:0", nil
	server, err := New(config)
	require.NoError(e.t, err)
	require.NoError(e.t, server.with(routes...))
	require.NoError(e.t, server.Start(e.t.Context()))
	e.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		require.NoError(e.t, server.Stop(ctx))
	})
	side := *e
	side.server = server
	return &side
}

// registerFunctions are the functions that these tests call.
func registerFunctions(t testing.TB, fns *functions.Service) {
	t.Helper()
	for name, f := range map[string]functions.NativeFunc{
		"echo":          func(_ context.Context, in json.RawMessage) (json.RawMessage, error) { return in, nil },
		"orders.charge": func(_ context.Context, in json.RawMessage) (json.RawMessage, error) { return in, nil },
		"mail.send":     func(_ context.Context, in json.RawMessage) (json.RawMessage, error) { return in, nil },
		"fails":         func(context.Context, json.RawMessage) (json.RawMessage, error) { return nil, errors.New("it does") },
		"picture": native.Handle(func(context.Context, any) (jobs.Bytes, error) {
			return jobs.Bytes{ContentType: "image/svg+xml", Data: []byte("<svg>\x00\xff")}, nil
		}),
		"forever": func(ctx context.Context, _ json.RawMessage) (json.RawMessage, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		},
	} {
		require.NoError(t, fns.RegisterNative(name, f, jobs.Settings{MaxAttempts: 1}))
	}
}

// links joins what is made in a circle, as the App does.
type links struct {
	jobs *jobs.Service
	hub  *realtime.Hub
}

func (l *links) Publish(ctx context.Context, channel string, data []byte) error {
	_, err := l.hub.Publish(ctx, channel, data, realtime.PublishOptions{})
	return err
}

func (l *links) Enqueue(ctx context.Context, function string, input json.RawMessage, opts jobs.Options) (int64, error) {
	job, err := l.jobs.Submit(ctx, jobs.Submission{Function: function, Input: input, Options: opts})
	return job.ID, err
}

func (l *links) deliver(channel string, data []byte) { l.hub.Deliver(channel, data) }

// logBuffer keeps what was logged.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// key makes a key with these scopes.
func (e *env) key(scopes ...string) string {
	e.t.Helper()
	_, text, err := e.store.CreateKey(e.t.Context(), auth.KeyParams{Name: "test", Scopes: scopes})
	require.NoError(e.t, err)
	return text
}

// answer is a response with its body read.
type answer struct {
	status int
	header http.Header
	body   string
}

func (a answer) json(t *testing.T, into any) {
	t.Helper()
	require.NoError(t, json.Unmarshal([]byte(a.body), into), a.body)
}

func (a answer) problem(t *testing.T) Problem {
	t.Helper()
	require.Equal(t, contentProblem, a.header.Get("Content-Type"), a.body)
	var p Problem
	a.json(t, &p)
	return p
}

func (a answer) job(t *testing.T) jobs.Job {
	t.Helper()
	var job jobs.Job
	a.json(t, &job)
	return job
}

// do sends a request. Headers are pairs; key may be empty.
func (e *env) do(method, path, key, body string, headers ...string) answer {
	e.t.Helper()
	return e.send(method, path, key, strings.NewReader(body), headers...)
}

func (e *env) send(method, path, key string, body io.Reader, headers ...string) answer {
	e.t.Helper()
	request, err := http.NewRequestWithContext(e.t.Context(), method, "http://"+e.server.Addr()+path, body)
	require.NoError(e.t, err)
	if key != "" {
		request.Header.Set("Authorization", "Bearer "+key)
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := e.http.Do(request)
	require.NoError(e.t, err)
	defer func() { _ = response.Body.Close() }()
	data, err := io.ReadAll(response.Body)
	require.NoError(e.t, err)
	return answer{status: response.StatusCode, header: response.Header, body: string(data)}
}

// dial opens a socket for requests that no client would send.
func (e *env) dial() net.Conn {
	e.t.Helper()
	conn, err := net.Dial("tcp", e.server.Addr())
	require.NoError(e.t, err)
	e.t.Cleanup(func() { _ = conn.Close() })
	require.NoError(e.t, conn.SetDeadline(time.Now().Add(patience)))
	return conn
}

// raw sends bytes and reads until the server closes.
func (e *env) raw(request string) string {
	e.t.Helper()
	conn := e.dial()
	_, err := io.WriteString(conn, request)
	require.NoError(e.t, err)
	answer, err := io.ReadAll(conn)
	require.NoError(e.t, err, "the server closes by itself, and without a reset")
	_ = conn.Close()
	return string(answer)
}
