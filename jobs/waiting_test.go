package jobs

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/testdb"
)

// Whoever reads a job that does not run learns why, and nobody learns anything of one that does or has to wait for its
// own time.
func TestAJobSaysWhatItWaitsFor(t *testing.T) {
	t.Parallel()

	db, functions := testdb.New(t), newFunctions()
	began, release := make(chan struct{}, 10), make(chan struct{})
	functions.deploy("limited", func(ctx context.Context, _ *Run) (json.RawMessage, error) {
		began <- struct{}{}
		select {
		case <-release:
		case <-ctx.Done():
		}

		return nil, ctx.Err()
	}, Settings{Limits: Limits{Concurrency: 1, ConcurrencyKey: "input.key"}})
	functions.deploy("rated", returns(`1`), Settings{Limits: Limits{Rate: Rate{Limit: 1, Period: time.Hour}}})
	functions.deploy("plain", returns(`1`))
	functions.deploy("elsewhere", nil, Settings{Elsewhere: true})
	require.NoError(t, StoreLimits(t.Context(), db.Pool, "limited", Limits{Concurrency: 1, ConcurrencyKey: "input.key"}))
	require.NoError(t, StoreLimits(t.Context(), db.Pool, "rated", Limits{Rate: Rate{Limit: 1, Period: time.Hour}}))

	s := startNode(t, db, functions)
	make1 := func(function, input string, options Options) int64 {
		job, err := s.Submit(t.Context(), Submission{Function: function, Input: json.RawMessage(input), Options: options})
		require.NoError(t, err)

		return job.ID
	}
	waits := func(id int64) WaitingFor {
		job, err := s.Get(t.Context(), id)
		require.NoError(t, err)

		return job.WaitingFor
	}
	eventually := func(id int64, want WaitingFor) {
		t.Helper()
		require.Eventually(t, func() bool { return waits(id) == want }, patience, 10*time.Millisecond, "%s", want)
	}

	running := make1("limited", `{"key": "a"}`, Options{})
	<-began
	require.Empty(t, waits(running))
	eventually(make1("limited", `{"key": "a"}`, Options{}), WaitingForConcurrency)

	await(t, db, make1("rated", `1`, Options{}), StateCompleted)
	eventually(make1("rated", `1`, Options{}), WaitingForRate)

	require.Equal(t, WaitingForNode, waits(make1("plain", `1`, Options{Queue: "nobody"})))
	require.Empty(t, waits(make1("plain", `1`, Options{Delay: time.Hour})))
	eventually(make1("elsewhere", `1`, Options{}), WaitingForOther)

	_, err := s.PauseFunction(t.Context(), "plain")
	require.NoError(t, err)

	paused := make1("plain", `1`, Options{})
	eventually(paused, WaitingForFunction)

	_, err = s.PauseQueue(t.Context(), DefaultQueue)
	require.NoError(t, err)
	eventually(paused, WaitingForQueue)

	close(release)
}
