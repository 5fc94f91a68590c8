package jobs

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	osexec "os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/postgres"
	"github.com/millrace-dev/millrace/internal/testdb"
)

// childURL tells the test binary to be a node on that database instead of running tests.
const childURL = "MILLRACE_TEST_CHILD_URL"

const childID = "child"

// childMain is a node with two functions: "held" returns when a line comes in on stdin, "charge" records spans.
func childMain(url string) {
	ctx := context.Background()

	pool, err := postgres.Open(ctx, postgres.Config{URL: url})
	if err != nil {
		panic(err)
	}

	lines := bufio.NewReader(os.Stdin)
	functions := newFunctions()
	functions.deploy("held", func(context.Context, *Run) (json.RawMessage, error) {
		_, err := lines.ReadString('\n')
		_, _ = fmt.Fprintln(os.Stdout, "the function returns")

		return json.RawMessage(`"child"`), err
	})

	functions.deploy("charge", recordSpan(pool, childID), Settings{Version: "v1", Limits: chargeLimits()})

	s, err := New(Config{
		Pool: pool, Executor: functions, NodeID: childID, Logger: slog.New(slog.NewTextHandler(os.Stderr, nil)),
	})
	if err != nil {
		panic(err)
	}

	if err := s.Start(ctx); err != nil {
		panic(err)
	}

	select {} // until it is killed
}

type child struct {
	process *os.Process
	stdin   io.Writer
	stdout  *bufio.Reader
}

func (c *child) signal(t *testing.T, signal os.Signal) {
	t.Helper()
	require.NoError(t, c.process.Signal(signal))
}

// startChild runs a node in a process of its own and gives it a job.
func startChild(t *testing.T, db *testdb.DB) (*child, int64) {
	t.Helper()

	cmd := osexec.CommandContext(context.Background(), os.Args[0])
	cmd.Env = append(os.Environ(), childURL+"="+db.URL)
	cmd.Stderr = testWriter{t}

	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())

	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})

	exec(t, db, `insert into millrace.river_job (kind, args, max_attempts, priority) values ('held', '{}', 5, 2)`)

	var id int64

	require.Eventually(t, func() bool {
		return db.Pool.QueryRow(t.Context(),
			"select id from millrace.river_job where state = 'running' and attempted_by[1] = $1", childID).Scan(&id) == nil
	}, patience, 5*time.Millisecond, "the child claims the job")

	return &child{process: cmd.Process, stdin: stdin, stdout: bufio.NewReader(stdout)}, id
}

// The promise J3 with a real process and a real kill -9.
func TestAKilledNodesJobRunsAgainWithinFifteenSeconds(t *testing.T) {
	t.Parallel()

	db, functions := testdb.New(t), newFunctions()
	child, id := startChild(t, db)

	functions.deploy("held", returns(`"survivor"`))
	startNode(t, db, functions)

	killed := time.Now()

	child.signal(t, syscall.SIGKILL)

	job := await(t, db, id, StateCompleted)
	took := time.Since(killed)

	require.Less(t, took, 15*time.Second)
	require.Equal(t, 2, job.Attempt)
	t.Logf("the job of the killed node was done again after %s", took)
}

// A node that was stopped for longer than its lease wakes up in the belief that the job is still its own.
func TestAStoppedNodeCannotRecordOverTheNewerAttempt(t *testing.T) {
	t.Parallel()

	db, functions := testdb.New(t), newFunctions()
	child, id := startChild(t, db)

	functions.deploy("held", returns(`"survivor"`))
	startNode(t, db, functions)

	child.signal(t, syscall.SIGSTOP)
	require.Equal(t, `"survivor"`, string(await(t, db, id, StateCompleted).Output))

	before := rowText(t, db, id)

	_, err := io.WriteString(child.stdin, "\n")
	require.NoError(t, err)
	child.signal(t, syscall.SIGCONT)

	line, err := child.stdout.ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "the function returns\n", line)

	// It is done with the job when its heartbeat says that it holds none.
	require.Eventually(t, func() bool {
		var idle bool
		err := db.Pool.QueryRow(t.Context(), `select info ->> 'running' = '0' and heartbeat_at > now() - interval '5 seconds'
			from millrace.node where id = $1`, childID).Scan(&idle)

		return err == nil && idle
	}, patience, 10*time.Millisecond)
	require.Equal(t, before, rowText(t, db, id))
}
