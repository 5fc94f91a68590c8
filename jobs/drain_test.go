package jobs

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/testdb"
)

// stopping stops a node in the background, with so much time for running jobs.
func stopping(s *Service, grace time.Duration) <-chan error {
	done := make(chan error, 1)

	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), grace)
		defer cancel()

		done <- s.Stop(ctx)
	}()

	return done
}

func TestADrainLetsRunningJobsFinish(t *testing.T) {
	t.Parallel()

	db, functions := testdb.New(t), newFunctions()
	release := make(chan struct{})

	functions.deploy("slow", func(context.Context, *Run) (json.RawMessage, error) {
		<-release
		return json.RawMessage(`1`), nil
	})

	s := newNode(t, db, functions, func(cfg *Config) { cfg.Queues = map[string]int{DefaultQueue: 1} })
	require.NoError(t, s.Start(t.Context()))

	running := submit(t, s, "slow")
	await(t, db, running, StateRunning)
	waiting := submit(t, s, "slow")

	done := stopping(s, patience)

	require.Eventually(t, func() bool {
		var draining bool
		return db.Pool.QueryRow(t.Context(), "select draining from millrace.node where id = $1", s.cfg.NodeID).Scan(&draining) == nil && draining
	}, patience, time.Millisecond, "others see that it drains")
	close(release)
	require.NoError(t, <-done)

	require.False(t, s.lease.mayClaim())
	require.Equal(t, StateCompleted, read(t, db, running).State)
	require.Equal(t, StateQueued, read(t, db, waiting).State)
	require.Zero(t, read(t, db, waiting).Attempt)

	var nodes int
	require.NoError(t, db.Pool.QueryRow(t.Context(), "select count(*) from millrace.node").Scan(&nodes))
	require.Zero(t, nodes)
}

func TestADrainHandsBackWhatDoesNotFinish(t *testing.T) { //nolint:tparallel // its end waits for one of the functions
	t.Parallel()

	release := make(chan struct{})
	returned := make(chan struct{}, 1)

	for name, run := range map[string]func(context.Context, *Run) (json.RawMessage, error){
		"heeds its context": func(ctx context.Context, _ *Run) (json.RawMessage, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		},
		"fails when told to stop": func(ctx context.Context, _ *Run) (json.RawMessage, error) {
			<-ctx.Done()
			return nil, &Failure{Code: CodeException, Message: "interrupted"}
		},
		"ignores its context": func(context.Context, *Run) (json.RawMessage, error) {
			<-release
			returned <- struct{}{}
			return json.RawMessage(`"late"`), nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			db, functions := testdb.New(t), newFunctions()
			functions.deploy("slow", run)

			s := newNode(t, db, functions)
			require.NoError(t, s.Start(t.Context()))
			id := submit(t, s, "slow", attemptsOf(1))
			await(t, db, id, StateRunning)

			require.NoError(t, <-stopping(s, 50*time.Millisecond))

			job := read(t, db, id)
			require.Equal(t, StateQueued, job.State)
			require.Zero(t, job.Attempt, "the attempt is not counted")
			require.Nil(t, job.Error)

			// The next node has its one attempt.
			after := newFunctions()
			after.deploy("slow", returns(`"next"`))
			startNode(t, db, after)

			job = await(t, db, id, StateCompleted)
			require.Equal(t, 1, job.Attempt)
			require.Equal(t, `"next"`, string(job.Output))
		})
	}

	close(release)
	<-returned
}

func TestADrainDoesNotWaitForPostgresForEver(t *testing.T) {
	t.Parallel()

	db, functions := testdb.New(t), newFunctions()
	functions.deploy("slow", func(ctx context.Context, _ *Run) (json.RawMessage, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	})

	s := newNode(t, db, functions)
	require.NoError(t, s.Start(t.Context()))
	id := submit(t, s, "slow")
	await(t, db, id, StateRunning)

	exec(t, db, "alter table millrace.river_job rename to away")
	require.NoError(t, <-stopping(s, 50*time.Millisecond))
	exec(t, db, "alter table millrace.away rename to river_job")

	// The row is still in the name of a node that is gone, so any other one takes it.
	require.Equal(t, StateRunning, read(t, db, id).State)
	functions.deploy("slow", returns(`1`))
	startNode(t, db, functions)
	await(t, db, id, StateCompleted)
}

func TestStartAndStopInAnyOrder(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	s := newNode(t, db, newFunctions())
	require.NoError(t, s.Stop(t.Context()))
	require.ErrorIs(t, s.Start(t.Context()), ErrStopped)

	s = newNode(t, db, newFunctions())
	require.NoError(t, s.Start(t.Context()))
	require.NoError(t, s.Stop(t.Context()))
	require.NoError(t, s.Stop(t.Context()))
}

func TestConfigNamesEveryMistake(t *testing.T) {
	t.Parallel()

	_, err := New(Config{Queues: map[string]int{"a": 0}, MaxInput: -1})
	for _, part := range []string{"pool", "executor", "node id", `queue "a"`, "max input"} {
		require.ErrorContains(t, err, part)
	}
}
