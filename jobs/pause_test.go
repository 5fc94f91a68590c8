package jobs

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/testdb"
)

func TestAPausedQueueStartsNothing(t *testing.T) {
	t.Parallel()

	db, functions := testdb.New(t), newFunctions()
	release, begun := make(chan struct{}), make(chan struct{}, 10)

	functions.deploy("slow", func(context.Context, *Run) (json.RawMessage, error) {
		begun <- struct{}{}
		<-release

		return nil, nil
	})
	deployLimited(t, db, functions, "limited", Limits{Concurrency: 2}, returns(`1`))

	s := startNode(t, db, functions)
	running := submit(t, s, "slow")
	<-begun

	queue, err := s.PauseQueue(t.Context(), DefaultQueue)
	require.NoError(t, err)
	require.NotNil(t, queue.PausedAt)
	require.Equal(t, 1, queue.Running)

	plain, limited := submit(t, s, "slow"), submit(t, s, "limited")

	// A claim of our own would see what a node may: nothing, whatever its memory.
	require.Empty(t, claimed(t, testClaimer(db, "other"), 10))

	close(release)
	await(t, db, running, StateCompleted)
	require.Equal(t, StateQueued, read(t, db, plain).State)

	// It survives the node.
	stopNode(t, s, patience)

	s = startNode(t, db, functions)

	queues, err := s.Queues(t.Context())
	require.NoError(t, err)
	require.Len(t, queues, 1)
	require.Equal(t, queue.PausedAt, queues[0].PausedAt)
	require.Equal(t, 2, queues[0].Queued)

	again, err := s.PauseQueue(t.Context(), DefaultQueue)
	require.NoError(t, err)
	require.Equal(t, queue.PausedAt, again.PausedAt, "the first pause counts")

	queue, err = s.ResumeQueue(t.Context(), DefaultQueue)
	require.NoError(t, err)
	require.Nil(t, queue.PausedAt)
	await(t, db, plain, StateCompleted)
	await(t, db, limited, StateCompleted)

	_, err = s.ResumeQueue(t.Context(), "no such queue")
	require.ErrorAs(t, err, new(*ValidationError))
	_, err = s.PauseQueue(t.Context(), "")
	require.ErrorAs(t, err, new(*ValidationError))
	_, err = s.ResumeQueue(t.Context(), "unknown")
	require.NoError(t, err)
}

func TestAPausedFunctionStartsNothingAndKeepsNobodyWaiting(t *testing.T) {
	t.Parallel()

	db, functions := testdb.New(t), newFunctions()
	functions.deploy("plain", returns(`1`))
	functions.deploy("noop", returns(`1`))
	deployLimited(t, db, functions, "limited", Limits{Concurrency: 2}, returns(`1`))

	s := startNode(t, db, functions)

	since, err := s.PauseFunction(t.Context(), "plain")
	require.NoError(t, err)
	_, err = s.PauseFunction(t.Context(), "limited")
	require.NoError(t, err)

	again, err := s.PauseFunction(t.Context(), "plain")
	require.NoError(t, err)
	require.Equal(t, since, again)

	var waiting []int64
	for range 300 {
		waiting = append(waiting, submit(t, s, "plain"), submit(t, s, "limited"))
	}

	for range 3 {
		await(t, db, submit(t, s, "noop"), StateCompleted)
	}

	for _, id := range waiting {
		job := read(t, db, id)
		require.Equal(t, StateQueued, job.State)
		require.Zero(t, job.Attempt)
	}

	// A deploy leaves the pause alone.
	require.NoError(t, StoreLimits(t.Context(), db.Pool, "limited", Limits{}))
	require.NoError(t, StoreLimits(t.Context(), db.Pool, "limited", Limits{Concurrency: 5}))

	paused, err := s.PausedFunctions(t.Context())
	require.NoError(t, err)
	require.Equal(t, since, paused["plain"])
	require.Contains(t, paused, "limited")

	require.NoError(t, s.ResumeFunction(t.Context(), "plain"))
	require.NoError(t, s.ResumeFunction(t.Context(), "limited"))
	require.NoError(t, s.ResumeFunction(t.Context(), "unknown"))

	for _, id := range waiting {
		await(t, db, id, StateCompleted)
	}

	var rows []string
	require.NoError(t, db.Pool.QueryRow(t.Context(), "select array_agg(function) from millrace.function_limit").Scan(&rows))
	require.Equal(t, []string{"limited"}, rows, "a function without limits costs the claim nothing")

	_, err = s.PauseFunction(t.Context(), "no name")
	require.ErrorAs(t, err, new(*ValidationError))
}

func TestQueuesAreJoinedByName(t *testing.T) {
	t.Parallel()

	at := time.Now()
	joined := joinQueues([]Queue{{Name: "a", PausedAt: &at}, {Name: "c"}},
		[]QueueStats{{Name: "a", Queued: 1}, {Name: "b", Running: 2}, {Name: "d", Queued: 3}})

	require.Equal(t, []Queue{
		{Name: "a", Queued: 1, PausedAt: &at}, {Name: "b", Running: 2}, {Name: "c"}, {Name: "d", Queued: 3},
	}, joined)
}
