package queue_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/realtime/internal/queue"
)

func limits(items, size int, sizeOf func(int) int) queue.Limits[int] {
	return queue.Limits[int]{Items: items, Size: size, SizeOf: sizeOf}
}

func one(int) int { return 1 }

func TestTakeRespectsBothLimits(t *testing.T) {
	t.Parallel()
	q := queue.New[int](100)
	for i := range 5 {
		require.NoError(t, q.Push(t.Context(), 1, i))
	}
	require.Equal(t, []int{0, 1}, q.Take(limits(2, 100, one)))
	require.Equal(t, []int{2}, q.Take(limits(10, 100, func(int) int { return 60 })))
	require.Equal(t, []int{3}, q.Take(limits(10, 1, func(int) int { return 1000 })), "the first one always goes")
	<-q.Ready()
	q.Return([]int{2, 3})
	<-q.Ready()
	require.Equal(t, []int{2, 3, 4}, q.Take(limits(10, 100, one)))
	require.Empty(t, q.Take(limits(10, 100, one)))
}

func TestPushWaitsForRoom(t *testing.T) {
	t.Parallel()
	q := queue.New[int](10)
	require.NoError(t, q.Push(t.Context(), 50, 1), "a heavy item fills the queue")
	q.Take(limits(1, 1, one))

	ended, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, q.Push(ended, 1, 2), context.Canceled, "taken is not released yet")

	pushed := make(chan error)
	go func() { pushed <- q.Push(t.Context(), 1, 3) }()
	q.Release(50)
	require.NoError(t, <-pushed)
	require.Equal(t, []int{3}, q.Take(limits(10, 10, one)), "what was refused is not in the queue")
}

func TestPushedTogetherStaysTogether(t *testing.T) {
	t.Parallel()
	q := queue.New[int](10)
	require.NoError(t, q.Push(t.Context(), 4, 1, 2, 3, 4))
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, q.Push(ended, 7, 5, 6), context.Canceled, "there is room for one of the two, so for none")
	require.NoError(t, q.Push(t.Context(), 6, 7, 8))
	require.Equal(t, []int{1, 2, 3, 4, 7, 8}, q.Take(limits(10, 100, one)))
}

func TestTakenTogether(t *testing.T) {
	t.Parallel()
	q := queue.New[int](100)
	require.NoError(t, q.Push(t.Context(), 9, 1, 20, 21, 22, 3, 40, 41, 42, 43))
	l := limits(3, 100, one)
	l.Together = func(a, b int) bool { return a >= 10 && a/10 == b/10 }
	require.Equal(t, []int{1}, q.Take(l), "the next three go together")
	require.Equal(t, []int{20, 21, 22}, q.Take(l))
	require.Equal(t, []int{3}, q.Take(l))
	require.Equal(t, []int{40, 41, 42, 43}, q.Take(l), "more than the limit, but they are the first")
	require.Empty(t, q.Take(l))
	require.NoError(t, q.Push(t.Context(), 4, 1, 20, 21, 3))
	l.Items, l.Size = 100, 2
	require.Equal(t, []int{1}, q.Take(l))
	require.Equal(t, []int{20, 21}, q.Take(l))
	require.Equal(t, []int{3}, q.Take(l))
}
