package jobs

import (
	"context"
	"encoding/json"
	"sync/atomic"
	"testing"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/testdb"
)

func stock(cfg *Config) { cfg.StockDriver = true }

// The switch back to River's own statements works on our indexes, and with the same words for what happened.
func TestTheStockDriverDoesTheSame(t *testing.T) {
	t.Parallel()

	db, functions := testdb.New(t), newFunctions()

	var calls atomic.Int32

	functions.deploy("fine", func(_ context.Context, run *Run) (json.RawMessage, error) { return run.Input, nil })
	functions.deploy("flaky", func(context.Context, *Run) (json.RawMessage, error) {
		if calls.Add(1) == 1 {
			return nil, &Failure{Code: CodeException, Message: "not yet", Retryable: true}
		}

		return json.RawMessage(`2`), nil
	}, Settings{Backoff: Backoff{Delays: []time.Duration{time.Millisecond}}})
	functions.deploy("panics", func(context.Context, *Run) (json.RawMessage, error) { panic("boom") })
	functions.deploy("refuses", func(context.Context, *Run) (json.RawMessage, error) {
		return nil, &Failure{Code: CodeException, Message: "never"}
	})
	functions.deploy("slow", func(ctx context.Context, _ *Run) (json.RawMessage, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	})

	s := startNode(t, db, functions, stock)

	fine, flaky, panics, refuses := submit(t, s, "fine"), submit(t, s, "flaky"), submit(t, s, "panics", attemptsOf(1)), submit(t, s, "refuses")
	short := submit(t, s, "slow", attemptsOf(1), func(sub *Submission) { sub.Options.Timeout = 20 * time.Millisecond })
	slow := submit(t, s, "slow")

	require.JSONEq(t, `{"n": 1}`, string(await(t, db, fine, StateCompleted).Output))
	require.Equal(t, 2, await(t, db, flaky, StateCompleted).Attempt)
	require.Equal(t, CodePanic, await(t, db, panics, StateFailed).Error.Code)
	require.Equal(t, &Failure{Code: CodeException, Message: "never"}, await(t, db, refuses, StateFailed).Error)
	require.Equal(t, CodeTimeout, await(t, db, short, StateFailed).Error.Code)

	exec(t, db, askForEnd, slow)
	require.Equal(t, CodeCancelled, await(t, db, slow, StateCancelled).Error.Code)
}

// River would record a success for a job that somebody else has, or that nobody ran.
func TestTheStockDriverTakesNoLostAttemptForCompleted(t *testing.T) {
	t.Parallel()

	d := &dispatcher{attempts: newAttempts()}
	job := &river.Job[dispatchArgs]{JobRow: &rivertype.JobRow{ID: 1, Attempt: 1}}
	require.ErrorIs(t, d.Work(t.Context(), job), errSuperseded)
}

func TestTheStockDriverDrainsToo(t *testing.T) {
	t.Parallel()

	db, functions := testdb.New(t), newFunctions()
	functions.deploy("slow", func(ctx context.Context, _ *Run) (json.RawMessage, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	})

	s := newNode(t, db, functions, stock)
	require.NoError(t, s.Start(t.Context()))
	id := submit(t, s, "slow")
	await(t, db, id, StateRunning)
	require.NoError(t, <-stopping(s, 50*time.Millisecond))

	job := read(t, db, id)
	require.Equal(t, StateQueued, job.State)
	require.Zero(t, job.Attempt)
}
