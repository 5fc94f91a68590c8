package jobs

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
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
