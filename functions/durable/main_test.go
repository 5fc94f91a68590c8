package durable_test

import (
	"context"
	"encoding/json"
	"errors"
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

// node is one instance: functions, jobs, and what functions published, which stands for their effects.
type node struct {
	t         testing.TB
	db        *testdb.DB
	Functions *functions.Service
	Jobs      *jobs.Service
	listener  *postgres.Listener
	world     *world
	once      sync.Once
}

// world is where effects are seen. It outlives the nodes.
type world struct {
	mu      sync.Mutex
	effects []string
	refused int
}

func (w *world) did(effect string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.effects = append(w.effects, effect)
}

// publish fails twice for the channel "flaky", which is no effect otherwise.
func (w *world) publish(channel string) error {
	if channel != "flaky" {
		w.did(channel)

		return nil
	}

	w.mu.Lock()
	defer w.mu.Unlock()

	if w.refused++; w.refused <= 2 {
		return errFlaky
	}

	return nil
}

var errFlaky = errors.New("503")

func (w *world) all() []string {
	w.mu.Lock()
	defer w.mu.Unlock()

	return append([]string{}, w.effects...)
}

// Publish is an effect of a function: ctx.publish(name, …).
func (n *node) Publish(_ context.Context, channel string, _ []byte) error {
	return n.world.publish(channel)
}

// Enqueue submits a job.
func (n *node) Enqueue(ctx context.Context, function string, input json.RawMessage, options jobs.Options) (int64, error) {
	job, err := n.Jobs.Submit(ctx, jobs.Submission{Function: function, Input: input, Options: options})

	return job.ID, err
}

type setup struct {
	queues   map[string]int
	natives  func(*functions.Service)
	executor func(jobs.Executor) jobs.Executor
	world    *world
}

var nodes struct {
	sync.Mutex
	n int
}

// start makes an instance on a database; it stops with the test, or before.
func start(t testing.TB, db *testdb.DB, opts setup) *node {
	t.Helper()

	nodes.Lock()
	nodes.n++
	name := fmt.Sprintf("node%d", nodes.n)
	nodes.Unlock()

	n := &node{t: t, db: db, world: opts.world, listener: postgres.NewListener(postgres.ListenerConfig{URL: db.URL})}
	if n.world == nil {
		n.world = &world{}
	}

	var err error
	n.Functions, err = functions.New(functions.Config{
		Pool: db.Pool, Publisher: n, Enqueuer: n, JS: functions.JSConfig{BuildTime: patience, BundleTime: patience},
	})
	require.NoError(t, err)

	if opts.natives != nil {
		opts.natives(n.Functions)
	}

	var executor jobs.Executor = n.Functions
	if opts.executor != nil {
		executor = opts.executor(executor)
	}

	n.Jobs, err = jobs.New(jobs.Config{
		Pool: db.Pool, Listener: n.listener, Executor: executor, NodeID: name, Queues: opts.queues,
	})
	require.NoError(t, err)
	require.NoError(t, n.listener.Start(t.Context()))
	require.NoError(t, n.Functions.Start(t.Context()))
	require.NoError(t, n.Jobs.Start(t.Context()))
	t.Cleanup(n.stop)

	return n
}

// stop drains the instance.
func (n *node) stop() {
	n.once.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		require.NoError(n.t, n.Jobs.Stop(ctx))
		require.NoError(n.t, n.Functions.Stop(ctx))
		require.NoError(n.t, n.listener.Stop(ctx))
	})
}

// deploy deploys functions, given as pairs of name and source.
func (n *node) deploy(pairs ...string) {
	n.t.Helper()

	var sources []functions.Source
	for i := 0; i < len(pairs); i += 2 {
		file := pairs[i] + ".ts"
		sources = append(sources, functions.Source{Name: pairs[i], Entry: file, Files: map[string][]byte{file: []byte(pairs[i+1])}})
	}

	_, err := n.Functions.Deploy(n.t.Context(), functions.Deployment{Functions: sources})
	require.NoError(n.t, err)
}

func (n *node) submit(function, input string, options ...jobs.Options) int64 {
	n.t.Helper()

	sub := jobs.Submission{Function: function, Input: json.RawMessage(input)}
	if len(options) > 0 {
		sub.Options = options[0]
	}

	job, err := n.Jobs.Submit(n.t.Context(), sub)
	require.NoError(n.t, err)

	return job.ID
}

// await waits until the job is in a state.
func (n *node) await(id int64, state jobs.State) jobs.Job {
	n.t.Helper()

	var job jobs.Job
	require.Eventually(n.t, func() bool {
		var err error
		job, err = n.Jobs.Get(n.t.Context(), id)
		require.NoError(n.t, err)
		require.False(n.t, job.State.Finished() && job.State != state, "%s, not %s: %s %v", job.State, state, job.Output, job.Error)

		return job.State == state
	}, patience, 5*time.Millisecond)

	return job
}

// output waits for the end of a job and returns what it came to.
func (n *node) output(id int64) string {
	n.t.Helper()

	return string(n.await(id, jobs.StateCompleted).Output)
}

func (n *node) exec(sql string, args ...any) {
	n.t.Helper()
	_, err := n.db.Pool.Exec(n.t.Context(), sql, args...)
	require.NoError(n.t, err)
}

// asleep waits until a job sleeps and has nothing to do before it is over.
func (n *node) asleep(id int64) { n.t.Helper(); n.await(id, jobs.StateScheduled) }

// wake moves the clock: what the job sleeps for is due.
func (n *node) wake(id int64) {
	n.t.Helper()
	n.exec("update millrace.job_step set due_at = now() where job_id = $1 and state = 'waiting' and kind = 'sleep'", id)
	n.exec("update millrace.river_job set scheduled_at = now() where id = $1 and state = 'scheduled'", id)
}

// children are the jobs that a job called, in order.
func (n *node) children(id int64) (list []int64) {
	n.t.Helper()
	found, err := n.Jobs.Steps(n.t.Context(), id, 0, 10_000)
	require.NoError(n.t, err)

	for _, step := range found {
		if step.Child != 0 {
			list = append(list, step.Child)
		}
	}

	return list
}
