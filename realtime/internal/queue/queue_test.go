package queue_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/realtime/internal/queue"
)

func one(int) int { return 1 }

func TestTakeRespectsBothLimits(t *testing.T) {
	t.Parallel()
	q := queue.New[int](100)
	for i := range 5 {
		require.NoError(t, q.Push(t.Context(), i, 1))
	}
	require.Equal(t, []int{0, 1}, q.Take(2, 100, one))
	require.Equal(t, []int{2}, q.Take(10, 100, func(int) int { return 60 }))
	require.Equal(t, []int{3}, q.Take(10, 1, func(int) int { return 1000 }), "the first one always goes")
	<-q.Ready()
	q.Return([]int{2, 3})
	<-q.Ready()
	require.Equal(t, []int{2, 3, 4}, q.Take(10, 100, one))
	require.Empty(t, q.Take(10, 100, one))
}

func TestPushWaitsForRoom(t *testing.T) {
	t.Parallel()
	q := queue.New[int](10)
	require.NoError(t, q.Push(t.Context(), 1, 50), "a heavy item fills the queue")
	q.Take(1, 1, one)

	ended, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, q.Push(ended, 2, 1), context.Canceled, "taken is not released yet")

	pushed := make(chan error)
	go func() { pushed <- q.Push(t.Context(), 3, 1) }()
	q.Release(50)
	require.NoError(t, <-pushed)
	require.Equal(t, []int{3}, q.Take(10, 10, one), "what was refused is not in the queue")
}
