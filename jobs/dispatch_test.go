package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/testdb"
)

func TestAFunctionRunsUnderItsOwnName(t *testing.T) {
	t.Parallel()

	db, functions := testdb.New(t), newFunctions()
	s := startNode(t, db, functions)

	// Deployed after Start: River has never heard of it.
	functions.deploy("orders.charge", func(_ context.Context, run *Run) (json.RawMessage, error) {
		return json.RawMessage(`{"in":` + string(run.Input) + `,"version":"` + run.Version + `"}`), nil
	})

	job := await(t, db, submit(t, s, "orders.charge"), StateCompleted)

	require.Equal(t, "orders.charge", job.Function)
	require.JSONEq(t, `{"in":{"n":1},"version":"v1"}`, string(job.Output))
	require.Nil(t, job.Error)
	require.Equal(t, 1, job.Attempt)
	require.Equal(t, "v1", job.Version)
	require.Equal(t, s.cfg.NodeID, job.Node)
	require.NotNil(t, job.StartedAt)
	require.NotNil(t, job.FinishedAt)
}

// Each of these is alone to blame: the neighbour that was claimed with them finishes.
func TestAFailingFunctionFailsAlone(t *testing.T) {
	t.Parallel()

	type call = func(context.Context, *Run) (json.RawMessage, error)

	cases := map[string]struct {
		run     call
		code    string
		message string
	}{
		"panics": {
			run:  func(context.Context, *Run) (json.RawMessage, error) { panic("boom") },
			code: CodePanic, message: "boom",
		},
		"panics.nil-error": {
			run: func(context.Context, *Run) (json.RawMessage, error) {
				var failure *Failure
				return nil, failure // an error whose methods panic
			},
			code: CodePanic, message: "nil pointer",
		},
		"exits": {
			run:  func(context.Context, *Run) (json.RawMessage, error) { runtime.Goexit(); return nil, nil },
			code: CodePanic, message: "Goexit",
		},
		"errs": {
			run:  func(context.Context, *Run) (json.RawMessage, error) { return nil, errors.New("disk on fire") },
			code: CodeRuntime, message: "disk on fire",
		},
		"throws": {
			run: func(context.Context, *Run) (json.RawMessage, error) {
				return nil, &Failure{Code: CodeException, Message: "a\x00b\xff", Stack: "at line 3", Retryable: true}
			},
			code: CodeException, message: "a�b�",
		},
		"no-json":  {run: returns(`{"a":`), code: CodeInvalidOutput, message: "JSON"},
		"two-json": {run: returns(`1},"2":{"output":1`), code: CodeInvalidOutput, message: "JSON"},
		"nul":      {run: returns(`"\u0000"`), code: CodeInvalidOutput, message: "u0000"},
		"sleeps": {
			run: func(ctx context.Context, _ *Run) (json.RawMessage, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			},
			code: CodeTimeout, message: "timeout of 50ms",
		},
	}

	db, functions := testdb.New(t), newFunctions()
	functions.deploy("fine", returns(`1`))

	for name, c := range cases {
		timeout := time.Duration(0)
		if c.code == CodeTimeout { // the others may take as long as a busy machine needs
			timeout = 50 * time.Millisecond
		}

		functions.deploy(name, c.run, Settings{Timeout: timeout})
	}

	var subs []Submission
	for name := range cases {
		subs = append(subs,
			Submission{Function: name, Options: Options{MaxAttempts: 1}}, Submission{Function: "fine"})
	}

	s := startNode(t, db, functions)
	results, err := s.SubmitMany(t.Context(), subs)
	require.NoError(t, err)

	for i, result := range results {
		require.NoError(t, result.Err)

		if subs[i].Function == "fine" {
			require.Equal(t, 1, await(t, db, result.Job.ID, StateCompleted).Attempt)

			continue
		}

		want := cases[subs[i].Function]
		job := await(t, db, result.Job.ID, StateFailed, StateCompleted)
		require.Equal(t, StateFailed, job.State, subs[i].Function)
		require.NotNil(t, job.Error, subs[i].Function)
		require.Equal(t, want.code, job.Error.Code, subs[i].Function)
		require.Contains(t, job.Error.Message, want.message)
	}

	// The slots of those that panicked or left are free again.
	require.Eventually(t, func() bool { return s.attempts.len() == 0 }, patience, time.Millisecond)
}

func TestRetriesUntilItSucceeds(t *testing.T) {
	t.Parallel()

	db, functions := testdb.New(t), newFunctions()

	var calls atomic.Int32

	functions.deploy("flaky", func(_ context.Context, run *Run) (json.RawMessage, error) {
		if calls.Add(1) < 3 {
			return nil, &Failure{Code: CodeException, Message: "not yet", Retryable: true}
		}

		return json.RawMessage(`"at last"`), nil
	}, Settings{Backoff: Backoff{Delays: []time.Duration{time.Millisecond, 30 * time.Millisecond}}})

	s := startNode(t, db, functions)
	job := await(t, db, submit(t, s, "flaky"), StateCompleted)

	require.Equal(t, 3, job.Attempt)
	require.Nil(t, job.Error)

	var errs int
	require.NoError(t, db.Pool.QueryRow(t.Context(),
		"select cardinality(errors) from millrace.river_job where id = $1", job.ID).Scan(&errs))
	require.Equal(t, 2, errs, "both failures are remembered")
}

func TestWaitsBeforeTheNextAttempt(t *testing.T) {
	t.Parallel()

	db, functions := testdb.New(t), newFunctions()
	functions.deploy("fails", func(context.Context, *Run) (json.RawMessage, error) {
		return nil, &Failure{Code: CodeException, Message: "no", Retryable: true}
	}, Settings{Backoff: Backoff{First: time.Hour}})

	s := startNode(t, db, functions)
	job := await(t, db, submit(t, s, "fails"), StateRetrying)

	require.Equal(t, CodeException, job.Error.Code)
	require.InDelta(t, time.Hour.Seconds(), time.Until(job.ScheduledAt).Seconds(), 0.2*time.Hour.Seconds()+60)
}

func TestEndsWhenTryingAgainIsUseless(t *testing.T) {
	t.Parallel()

	db, functions := testdb.New(t), newFunctions()
	functions.deploy("refuses", func(context.Context, *Run) (json.RawMessage, error) {
		return nil, &Failure{Code: CodeException, Message: "never"}
	})

	s := startNode(t, db, functions)
	require.Equal(t, 1, await(t, db, submit(t, s, "refuses"), StateFailed).Attempt)
}

// An error says the same when the function itself is unknown and when it asked for one that is.
func TestAFunctionThatCallsAnUnknownOneIsNotUnknown(t *testing.T) {
	t.Parallel()

	db, functions := testdb.New(t), newFunctions()
	functions.deploy("caller", func(context.Context, *Run) (json.RawMessage, error) {
		return nil, fmt.Errorf("enqueue nothing: %w", ErrUnknownFunction)
	}, Settings{Backoff: Backoff{Delays: []time.Duration{time.Millisecond}}})

	s := startNode(t, db, functions)
	job := await(t, db, submit(t, s, "caller", attemptsOf(2)), StateFailed)
	require.Equal(t, CodeRuntime, job.Error.Code)
	require.Contains(t, job.Error.Message, "enqueue nothing")
	require.Equal(t, 2, job.Attempt)
}

func TestAnUnknownFunctionFailsWithoutBeingTriedAgain(t *testing.T) {
	t.Parallel()

	db, functions := testdb.New(t), newFunctions()
	functions.deploy("gone", returns(`1`))

	s := newNode(t, db, functions, func(cfg *Config) { cfg.Queues = map[string]int{DefaultQueue: 1} })
	require.NoError(t, s.submitter.Start(t.Context()))
	old := submit(t, s, "gone")
	require.NoError(t, s.submitter.Stop(t.Context()))
	exec(t, db, "update millrace.river_job set created_at = now() - interval '1 minute'")

	functions.mu.Lock()
	delete(functions.settings, "gone")
	functions.mu.Unlock()

	startNode(t, db, functions)

	job := await(t, db, old, StateFailed)
	require.Equal(t, CodeUnknownFunction, job.Error.Code)
	require.Equal(t, 1, job.Attempt)
}

// A deploy at one node and a job right after it may reach another node in the wrong order.
func TestAJobThatOvertookItsDeployWaitsForIt(t *testing.T) {
	t.Parallel()

	db, here, there := testdb.New(t), newFunctions(), newFunctions()
	here.deploy("fresh", returns(`1`))

	inserter := startNode(t, db, here, func(cfg *Config) { cfg.InsertOnly = true })
	node := startNode(t, db, there)
	id := submit(t, inserter, "fresh")

	require.Eventually(t, func() bool { return node.attempts.len() == 1 }, patience, time.Millisecond)
	there.deploy("fresh", returns(`2`))
	require.Equal(t, "2", string(await(t, db, id, StateCompleted, StateFailed).Output))
}

func TestAFunctionThatIgnoresItsContextLosesItsSlot(t *testing.T) {
	t.Parallel()

	db, functions := testdb.New(t), newFunctions()
	release := make(chan struct{})

	functions.deploy("deaf", func(context.Context, *Run) (json.RawMessage, error) {
		<-release
		return json.RawMessage(`"late"`), nil
	}, Settings{Timeout: 10 * time.Millisecond})
	functions.deploy("fine", returns(`1`))

	s := startNode(t, db, functions, func(cfg *Config) { cfg.Queues = map[string]int{DefaultQueue: 1} })
	t.Cleanup(func() { close(release) })

	deaf := submit(t, s, "deaf", attemptsOf(1))
	fine := submit(t, s, "fine")

	require.Equal(t, CodeTimeout, await(t, db, deaf, StateFailed).Error.Code)
	await(t, db, fine, StateCompleted)
}
