package jobs

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/testdb"
)

func TestTheFeedCountsAgainAfterAChange(t *testing.T) {
	t.Parallel()

	f := newFeed()
	f.watch(true)

	begin := time.Now()
	f.add(stateHint(1, StateRunning, 1, "f"), begin)

	_, _, counts := f.due(begin)
	require.True(t, counts)
	f.counted(map[State]int{StateRunning: 1}, begin)
	f.told(begin)

	end := begin.Add(feedEvery)
	f.add(stateHint(1, StateCompleted, 1, "f"), end)

	changes, _, counts := f.due(end)
	require.Len(t, changes.Jobs, 1)
	require.False(t, counts, "counts are not read with each change")
	f.told(end)
	require.LessOrEqual(t, f.wait(end), feedCounts, "but soon after the last one")

	changes, _, counts = f.due(begin.Add(feedCounts))
	require.Empty(t, changes.Jobs)
	require.True(t, counts)
	require.Greater(t, f.wait(begin.Add(feedCounts)), feedCounts, "and once")
}

func TestTheFeedCoalesces(t *testing.T) {
	t.Parallel()

	const jobs = 500

	db, functions, to := testdb.New(t), newFunctions(), newEars()
	functions.deploy("f", returns(`1`))

	s := startHearing(t, db, functions, to, insertOnly)
	first := subscribe(t, s, feedChannel)
	require.Empty(t, first.Jobs)
	require.NotNil(t, first.Stats)

	_, err := s.SubmitMany(t.Context(), repeat(Submission{Function: "f"}, jobs))
	require.NoError(t, err)
	to.until(t, feedChannel, func(m message) bool { return m.Counts[StateQueued] == jobs })

	startNode(t, db, functions)
	to.until(t, feedChannel, func(m message) bool { return m.Counts[StateCompleted] == jobs })

	for _, m := range to.heard(feedChannel) { // a snapshot comes when the listener connected late
		require.Contains(t, []string{"changes", "snapshot"}, m.Type)
		require.LessOrEqual(t, len(m.Jobs), feedJobs)
	}

	require.Less(t, len(to.heard(feedChannel)), jobs/5)

	again := subscribe(t, s, feedChannel)
	require.Len(t, again.Jobs, feedJobs)
	require.Equal(t, StateCompleted, again.Jobs[0].State)
	require.Equal(t, jobs, again.Stats.States[StateCompleted])

	s.Unwatch(feedChannel)
	require.False(t, s.watcher.feed.watched())
}

func TestTheFeedKeepsTheOrderOfAnAttempt(t *testing.T) {
	t.Parallel()

	f := newFeed()
	f.watch(true)

	now := time.Now()
	for _, h := range []hint{
		stateHint(1, StateQueued, 0, "f"), stateHint(1, StateCompleted, 1, "f"), stateHint(1, StateRunning, 1, "f"), // late
		stateHint(2, StateRetrying, 1, "f"), stateHint(2, StateQueued, 1, "f"), stateHint(2, StateRunning, 2, "f"),
		stateHint(3, StateRunning, 1, "f"), stateHint(3, StateQueued, 0, "f"), stateHint(3, StateRunning, 1, "f"), // handed back
	} {
		f.add(h, now)
	}

	changes, snapshot, _ := f.due(now)
	require.False(t, snapshot)
	require.Equal(t, []summary{
		{1, "f", StateCompleted, 1, now.UTC()}, {2, "f", StateRunning, 2, now.UTC()}, {3, "f", StateRunning, 1, now.UTC()},
	}, changes.Jobs)
	require.Zero(t, changes.More)

	for id := range int64(10 * feedMemory) {
		f.add(stateHint(id, StateFailed, 5, "f"), now)
	}

	require.LessOrEqual(t, len(f.changes), feedJobs)
	require.LessOrEqual(t, len(f.ended)+len(f.before), 2*feedMemory)

	changes, _, _ = f.due(now.Add(time.Second))
	require.Equal(t, 10*feedMemory-feedJobs, changes.More)
}
