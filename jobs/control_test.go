package jobs

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/testdb"
)

// askForEnd marks a running job as the cancel statement does.
const askForEnd = `update millrace.river_job
	set metadata = metadata || '{"cancel_attempted_at": "2026-01-01T00:00:00Z"}' where id = $1`

// startUnswept is a node that finds nothing by itself: it depends on hints.
func startUnswept(t *testing.T, db *testdb.DB, functions *functionsOf) *Service {
	t.Helper()

	s := newNode(t, db, functions, withListener(t, db))
	s.sweeper.every = time.Hour
	require.NoError(t, s.cfg.Listener.Start(t.Context()))
	require.NoError(t, s.Start(t.Context()))
	t.Cleanup(func() { stopNode(t, s, patience) })

	return s
}

func TestARunningJobIsCancelledOnWhicheverNodeItRuns(t *testing.T) {
	t.Parallel()

	db, functions := testdb.New(t), newFunctions()
	functions.deploy("slow", func(ctx context.Context, _ *Run) (json.RawMessage, error) {
		<-ctx.Done()
		return nil, &Failure{Code: CodeException, Message: "interrupted", Retryable: true}
	})

	s := startUnswept(t, db, functions)

	within(t, time.Second, func() time.Duration {
		id := submit(t, s, "slow")
		await(t, db, id, StateRunning)

		asked := time.Now()

		exec(t, db, askForEnd, id)
		exec(t, db, notifyHintsSQL, packHints([]hint{{kind: hintCancel, id: id, attempt: 1}}))

		job := await(t, db, id, StateCancelled)
		took := time.Since(asked)

		require.Equal(t, CodeCancelled, job.Error.Code)
		require.Equal(t, 1, job.Attempt)

		return took
	})
}

func TestACancellationWhoseHintWasLostIsFound(t *testing.T) {
	t.Parallel()

	db, functions := testdb.New(t), newFunctions()
	functions.deploy("slow", func(ctx context.Context, _ *Run) (json.RawMessage, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	})

	s := startNode(t, db, functions) // deaf
	id := submit(t, s, "slow")
	await(t, db, id, StateRunning)
	exec(t, db, askForEnd, id)
	await(t, db, id, StateCancelled)
}

func TestACancellationBeforeTheFirstStepStopsIt(t *testing.T) {
	t.Parallel()

	a := &attempt{id: 1, number: 1}
	a.stop(errCancelled)

	ctx, cancel := a.within(t.Context(), time.Hour)
	defer cancel()

	require.Error(t, ctx.Err())
	require.ErrorIs(t, a.whyEnded(ctx), errCancelled)
}

// A hint may come late: after the attempt that it meant, and after a retry of its job.
func TestACancellationStopsTheAttemptThatItMeant(t *testing.T) {
	t.Parallel()

	older, newer := &attempt{id: 1, number: 1}, &attempt{id: 1, number: 2}
	s := &Service{attempts: newAttempts()}
	s.attempts.add([]*attempt{older})
	s.attempts.add([]*attempt{newer})

	s.heard(packHints([]hint{{kind: hintCancel, id: 1, attempt: 1}, {kind: hintCancel, id: 2, attempt: 1}})[0])
	require.ErrorIs(t, older.whyStopped(), errCancelled)
	require.NoError(t, newer.whyStopped())
}

func TestAttemptsOfOneJobAreKeptApart(t *testing.T) {
	t.Parallel()

	held := newAttempts()
	first, second, third := &attempt{id: 7, number: 1}, &attempt{id: 7, number: 2}, &attempt{id: 7, number: 4}
	held.add([]*attempt{first, second})
	held.add([]*attempt{third, {id: 8, number: 1}})

	require.Same(t, second, held.get(7, 2))
	require.Nil(t, held.get(7, 3))

	held.remove(second)
	held.remove(second)
	require.Nil(t, held.get(7, 2))
	require.Same(t, first, held.get(7, 1))
	require.Len(t, held.all(), 3)
	require.Equal(t, 3, held.len())

	held.remove(third)
	held.remove(first)
	require.Equal(t, 1, held.len())
}
