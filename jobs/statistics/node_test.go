package statistics

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/testdb"
	"github.com/millrace-dev/millrace/jobs"
	"github.com/millrace-dev/millrace/jobs/internal/jobtest"
)

func TestANodeCountsWhatBecameOfItsAttempts(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	functions := jobtest.NewFunctions()
	functions.Deploy("good", func(context.Context, *jobs.Run) (json.RawMessage, error) {
		time.Sleep(20 * time.Millisecond)

		return nil, nil
	})
	functions.Deploy("bad", func(_ context.Context, run *jobs.Run) (json.RawMessage, error) {
		return nil, fmt.Errorf("order %d of 'ada' is gone", run.JobID)
	}, jobs.Settings{Backoff: jobs.Backoff{First: time.Millisecond, Max: time.Millisecond}})

	stats := testTally(t, db)
	require.NoError(t, stats.Start(t.Context()))
	s := jobtest.StartNode(t, db, functions, func(cfg *jobs.Config) { cfg.Ended = stats.AttemptEnded })

	var bad []int64

	for range 5 {
		jobtest.Await(t, s, jobtest.Submit(t, s, "good"), jobs.StateCompleted)
		bad = append(bad, jobtest.Submit(t, s, "bad", func(sub *jobs.Submission) { sub.Options.MaxAttempts = 2 }))
	}

	for _, id := range bad {
		jobtest.Await(t, s, id, jobs.StateFailed)
	}

	jobtest.Stop(t, s)                                   // tells of the last attempt, whose outcome can be read before it was told
	require.NoError(t, stats.Stop(context.Background())) // writes what was not written

	from := time.Now().Add(-30 * time.Minute)

	for _, query := range []Query{
		{From: from}, {From: from, Step: time.Minute}, {From: time.Now().Add(-20 * time.Hour)}, {Step: time.Hour},
	} {
		got := numbersOf(t, stats, query)
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

	require.Len(t, numbersOf(t, stats, Query{Function: "good"}), 1)
	require.Empty(t, numbersOf(t, stats, Query{From: from, To: from.Add(5 * time.Minute)}))

	page, err := stats.Failures(t.Context(), FailureQuery{})
	require.NoError(t, err)
	require.Len(t, page.Failures, 1, "all are of one kind")

	group := page.Failures[0]
	require.Equal(t, "order # of '…' is gone", group.Pattern)
	require.Equal(t, int64(10), group.Count)
	require.Equal(t, "bad", group.Function)
	require.Equal(t, jobs.CodeRuntime, group.Code)
	require.Len(t, group.Jobs, failureSamples)
}
