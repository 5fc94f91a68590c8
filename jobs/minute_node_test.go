package jobs

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/testdb"
)

func TestANodeCountsWhatBecameOfItsAttempts(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	functions := newFunctions()
	functions.deploy("good", func(context.Context, *Run) (json.RawMessage, error) {
		time.Sleep(20 * time.Millisecond)

		return nil, nil
	})
	functions.deploy("bad", func(_ context.Context, run *Run) (json.RawMessage, error) {
		return nil, fmt.Errorf("order %d of 'ada' is gone", run.JobID)
	}, Settings{Backoff: Backoff{First: time.Millisecond, Max: time.Millisecond}})

	s := startNode(t, db, functions)

	var bad []int64

	for range 5 {
		await(t, db, submit(t, s, "good"), StateCompleted)
		bad = append(bad, submit(t, s, "bad", attemptsOf(2)))
	}

	for _, id := range bad {
		await(t, db, id, StateFailed)
	}

	stopNode(t, s, patience) // writes what was not written

	from := time.Now().Add(-30 * time.Minute)

	for _, query := range []FunctionStatsQuery{
		{From: from}, {From: from, Step: time.Minute}, {From: time.Now().Add(-20 * time.Hour)}, {Step: time.Hour},
	} {
		got := numbersOf(t, s, query)
		require.Len(t, got, 2, "%+v", query)

		good, bad := got["good"], got["bad"]
		require.Equal(t, [5]int64{5, 5, 0, 0, 0}, [5]int64{good.Attempts, good.Completed, good.Failed, good.Dead, good.Cancelled})
		require.Equal(t, [5]int64{10, 0, 10, 5, 0}, [5]int64{bad.Attempts, bad.Completed, bad.Failed, bad.Dead, bad.Cancelled})
		require.GreaterOrEqual(t, good.Run.P50, 18.0)
		require.GreaterOrEqual(t, good.Run.P95, good.Run.P50)
		require.Positive(t, good.Wait.P50)
		require.Positive(t, good.PerMinute)

		var points int64
		for _, point := range good.Points {
			points += point.Attempts
		}

		require.Equal(t, query.Step > 0, points == 5)
	}

	require.Len(t, numbersOf(t, s, FunctionStatsQuery{Function: "good"}), 1)
	require.Empty(t, numbersOf(t, s, FunctionStatsQuery{From: from, To: from.Add(5 * time.Minute)}))

	page, err := s.Failures(t.Context(), FailureQuery{})
	require.NoError(t, err)
	require.Len(t, page.Failures, 1, "all are of one kind")

	group := page.Failures[0]
	require.Equal(t, "order # of '…' is gone", group.Pattern)
	require.Equal(t, int64(10), group.Count)
	require.Equal(t, "bad", group.Function)
	require.Equal(t, CodeRuntime, group.Code)
	require.Len(t, group.Jobs, failureSamples)
}
