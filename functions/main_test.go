package functions_test

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/functions"
	"github.com/millrace-dev/millrace/internal/postgres"
	"github.com/millrace-dev/millrace/internal/testdb"
	"github.com/millrace-dev/millrace/jobs"
)

// patience is for what must happen, on a machine however busy.
const patience = 3 * time.Minute

func TestMain(m *testing.M) { testdb.Main(m) }

// world is what functions reach: it records what they published, enqueued, logged and reported.
type world struct {
	mu        sync.Mutex
	published []string
	enqueued  []enqueued
	lines     []string
	progress  []string
}

type enqueued struct {
	function, input string
	options         jobs.Options
}

func (w *world) Publish(_ context.Context, channel string, data []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.published = append(w.published, channel+" "+string(data))

	return nil
}

func (w *world) Enqueue(_ context.Context, function string, input json.RawMessage, options jobs.Options) (int64, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.enqueued = append(w.enqueued, enqueued{function, string(input), options})

	return int64(1<<53 + len(w.enqueued)), nil
}

func (w *world) Progress(percent float64, message string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.progress = append(w.progress, fmt.Sprint(percent, " ", message))
}

func (w *world) Log(level, message string, fields json.RawMessage) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lines = append(w.lines, level+" "+message+string(fields))
}

type instance struct {
	*functions.Service
	world *world
}

type setup struct {
	noListener bool
	noStart    bool
	js         functions.JSConfig
	before     func(s *functions.Service)
}

// start makes an instance on a database and stops it with the test.
func start(t testing.TB, db *testdb.DB, opts setup) instance {
	t.Helper()
	var listener *postgres.Listener
	if !opts.noListener {
		listener = postgres.NewListener(postgres.ListenerConfig{URL: db.URL})
	}

	opts.js.BuildTime, opts.js.BundleTime = patience, patience
	w := &world{}
	s, err := functions.New(functions.Config{Pool: db.Pool, Listener: listener, Publisher: w, Enqueuer: w, JS: opts.js})
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		require.NoError(t, s.Stop(ctx))
	})

	if opts.before != nil {
		opts.before(s)
	}

	if opts.noStart {
		return instance{s, w}
	}
	require.NoError(t, s.Start(t.Context()))
	if listener != nil {
		require.NoError(t, listener.Start(t.Context()))
		t.Cleanup(func() { require.NoError(t, listener.Stop(context.Background())) })
	}

	return instance{s, w}
}

// source is a function that stands in one file.
func source(name, text string) functions.Source {
	return functions.Source{Name: name, Entry: name + ".ts", Files: map[string][]byte{name + ".ts": []byte(text)}}
}

func returns(name, expression string) functions.Source {
	return source(name, "export default async (input, ctx) => ("+expression+")")
}

func deploy(t testing.TB, s instance, sources ...functions.Source) []functions.Deployed {
	t.Helper()
	result, err := s.Deploy(t.Context(), functions.Deployment{Functions: sources})
	require.NoError(t, err)

	return result.Functions
}

// call executes a function as a job would.
func call(t testing.TB, s instance, name, version, input string, timeout time.Duration) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	output, err := s.Execute(ctx, &jobs.Run{
		JobID: 1, Function: name, Version: version, Input: json.RawMessage(input), Attempt: 1, MaxAttempts: 5,
		Deadline: time.Now().Add(timeout), Report: s.world,
	})

	return string(output), err
}

func mustCall(t testing.TB, s instance, name, input string) string {
	t.Helper()
	output, err := call(t, s, name, "", input, patience)
	require.NoError(t, err)

	return output
}

func codeOf(t testing.TB, err error) string {
	t.Helper()
	var failure *jobs.Failure
	require.ErrorAs(t, err, &failure, "%v", err)

	return failure.Code
}
