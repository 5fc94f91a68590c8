package process_test

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/functions/durable"
	"github.com/millrace-dev/millrace/functions/runtimes"
	"github.com/millrace-dev/millrace/functions/runtimes/process"
	"github.com/millrace-dev/millrace/jobs"
)

// patience is for what must happen, on a machine however busy.
const patience = 3 * time.Minute

// world is the host of a call: it records what the function asked of it.
type world struct {
	mu       sync.Mutex
	lines    []string
	progress []string
	asked    []string
}

var _ runtimes.Host = (*world)(nil)

func (w *world) Progress(percent float64, message string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.progress = append(w.progress, fmt.Sprint(percent, " ", message))
}

func (w *world) Log(level, message string, fields json.RawMessage) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.lines) < 10_000 {
		w.lines = append(w.lines, level+" "+message+string(fields))
	}
}

func (w *world) Publish(_ context.Context, channel string, data json.RawMessage) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked = append(w.asked, "publish "+channel+" "+string(data))
	if channel == "jobs" {
		return fmt.Errorf("the channel is the platform's")
	}

	return nil
}

func (w *world) Enqueue(_ context.Context, request runtimes.EnqueueRequest) (string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked = append(w.asked, fmt.Sprint("enqueue ", request.Function, " ", string(request.Input), " ", request.Options.Delay, " ", request.Options.MaxAttempts))

	return "42", nil
}

func (w *world) Now() time.Time           { return time.Unix(1, 0) }
func (w *world) Random() float64          { return 0.5 }
func (w *world) RandomBytes(n int) []byte { return make([]byte, n) }
func (w *world) UUID() string             { return "uuid" }
func (w *world) Steps() *durable.Run      { return nil }

func (w *world) log() []string {
	w.mu.Lock()
	defer w.mu.Unlock()

	return append([]string{}, w.lines...)
}

func newRunner(t testing.TB, config process.Config) *process.Runner {
	t.Helper()
	if config.StartTime == 0 {
		config.StartTime = patience
	}
	r, err := process.New(config)
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		require.NoError(t, r.Close(ctx))
	})

	return r
}

// files are by name; the first argument of python, node and command is the entry.
type files map[string]string

func build(t testing.TB, r *process.Runner, entry string, all files) (runtimes.Artifact, error) {
	t.Helper()
	language, _ := process.LanguageOf(entry)
	source := runtimes.Source{Name: "test.fn", Runtime: language, Entry: entry, Files: map[string][]byte{}}
	for name, text := range all {
		source.Files[name] = []byte(text)
	}

	return r.Build(t.Context(), source)
}

// prepare builds a function and makes it ready to be called.
func prepare(t testing.TB, r *process.Runner, entry string, all files) runtimes.Program {
	t.Helper()
	artifact, err := build(t, r, entry, all)
	require.NoError(t, err)
	p, err := r.Prepare(t.Context(), runtimes.Version{
		Function: "test.fn", ID: fmt.Sprintf("%x", len(artifact.Code)), Entry: entry, Code: artifact.Code, Config: artifact.Config,
	})
	require.NoError(t, err)

	return p
}

func python(t testing.TB, r *process.Runner, text string) runtimes.Program {
	t.Helper()
	return prepare(t, r, "test/fn.py", files{"test/fn.py": text})
}

// call calls a function with time for it, and a world of its own unless one is given.
func call(t testing.TB, r *process.Runner, p runtimes.Program, input string, limit time.Duration, w *world) (string, error) {
	t.Helper()
	if w == nil {
		w = &world{}
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	deadline, _ := ctx.Deadline()
	output, err := r.Invoke(ctx, p, runtimes.Call{
		JobID: "7", Function: "test.fn", Input: json.RawMessage(input), Attempt: 2, MaxAttempts: 3, Deadline: deadline,
		Event: json.RawMessage(`{"kind":"test"}`),
	}, w)

	return string(output), err
}

func failure(t testing.TB, err error) *jobs.Failure {
	t.Helper()
	var f *jobs.Failure
	require.ErrorAs(t, err, &f)

	return f
}

func TestPythonFunction(t *testing.T) {
	t.Parallel()
	r := newRunner(t, process.Config{})
	p := python(t, r, `
config = {"timeout": "30s", "max_attempts": 3}

def handler(input, ctx):
    print("hello", input["name"])
    ctx.progress(50, "half")
    return {"hello": input["name"], "attempt": ctx.attempt, "job": ctx.job_id, "event": ctx.event}
`)
	w := &world{}
	output, err := call(t, r, p, `{"name":"세계"}`, patience, w)
	require.NoError(t, err)
	require.JSONEq(t, `{"hello":"세계","attempt":2,"job":"7","event":{"kind":"test"}}`, output)
	require.Equal(t, []string{"info hello 세계"}, w.log())
	require.Equal(t, []string{"50 half"}, w.progress)
}
