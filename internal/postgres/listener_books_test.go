package postgres

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAFillingQueueIsWarnedOfOnce(t *testing.T) {
	t.Parallel()
	var b listenerBooks
	for _, step := range []struct {
		usage float64
		alarm bool
	}{{0.1, false}, {0.25, true}, {0.5, false}, {0.2, false}, {0.3, true}} {
		require.Equal(t, step.alarm, b.queue(step.usage), step.usage)
		require.InDelta(t, step.usage, b.stats.QueueUsage, 0)
	}
}
