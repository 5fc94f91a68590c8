package budget

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// wait begins an admit and returns once it waits.
func wait(t *testing.T, a *Admission, function string, memory int64) (admitted <-chan error) {
	t.Helper()
	before := waiters(a)
	result := make(chan error, 1)
	go func() { result <- a.Admit(t.Context(), function, memory) }()
	require.Eventually(t, func() bool { return waiters(a) == before+1 }, time.Minute, time.Millisecond)

	return result
}

func waiters(a *Admission) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := 0
	for _, queue := range a.waiting {
		n += len(queue)
	}

	return n
}

func admitNow(t *testing.T, a *Admission, function string, memory int64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	require.NoError(t, a.Admit(ctx, function, memory))
}

func TestNoFunctionKeepsOthersOut(t *testing.T) {
	t.Parallel()
	a := New(16)
	for range 12 {
		admitNow(t, a, "greedy", 1)
	}
	more := wait(t, a, "greedy", 1)
	admitNow(t, a, "other", 4) // although greedy has waited for longer, and there is room for one more of it
	require.Empty(t, more)

	a.Release("greedy", 1)
	require.NoError(t, <-more)
	for range 12 {
		a.Release("greedy", 1)
	}
	a.Release("other", 4)
	require.Equal(t, int64(16), a.free)
	require.Empty(t, a.held)
}

// What can never be admitted is refused at once, and nobody waits behind it.
func TestMoreThanThereIs(t *testing.T) {
	t.Parallel()
	a := New(4)
	admitNow(t, a, "small", 1)
	require.ErrorIs(t, a.Admit(t.Context(), "big", 5), ErrTooLarge)
	admitNow(t, a, "small", 1)
}

func TestWhoHoldsLeastIsNext(t *testing.T) {
	t.Parallel()
	a := New(4)
	admitNow(t, a, "a", 3)
	admitNow(t, a, "b", 1)
	again, second, first := wait(t, a, "a", 1), wait(t, a, "b", 1), wait(t, a, "c", 1)
	a.Release("a", 1)
	require.NoError(t, <-first, "c holds nothing")
	a.Release("c", 1)
	require.NoError(t, <-second, "b holds 1 and a holds 2")
	a.Release("b", 1)
	require.NoError(t, <-again)
}

func TestMuchIsNotOvertakenByLittle(t *testing.T) {
	t.Parallel()
	a := New(4)
	admitNow(t, a, "a", 2)
	admitNow(t, a, "b", 1)
	big, small := wait(t, a, "big", 4), wait(t, a, "small", 1)
	a.Release("a", 2)
	require.Empty(t, small)
	a.Release("b", 1)
	require.NoError(t, <-big)
	require.Empty(t, small)
	a.Release("big", 4)
	require.NoError(t, <-small)
}

func TestLeavingLetsOthersIn(t *testing.T) {
	t.Parallel()
	a := New(4)
	admitNow(t, a, "a", 2)
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() { result <- a.Admit(ctx, "big", 4) }()
	require.Eventually(t, func() bool { return waiters(a) == 1 }, time.Minute, time.Millisecond)
	small := wait(t, a, "small", 1)
	cancel()
	require.ErrorIs(t, <-result, context.Canceled)
	require.NoError(t, <-small)
	require.ErrorIs(t, a.Admit(ctx, "late", 1), context.Canceled, "even with room")
}

// Whatever happens, no more is held than there is, everybody comes in, and everything is given back.
func TestAdmissionKeepsAccount(t *testing.T) {
	t.Parallel()
	a := New(10)
	var held atomic.Int64
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() {
			function, memory := string(rune('a'+i%7)), int64(1+i%4)
			if i%5 == 0 {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rand.IntN(2000))*time.Microsecond)
				defer cancel()
				if a.Admit(ctx, function, memory) != nil {
					return
				}
			} else if err := a.Admit(t.Context(), function, memory); err != nil {
				t.Error(err)
				return
			}
			if now := held.Add(memory); now > 10 {
				t.Errorf("%d are held", now)
			}
			time.Sleep(time.Duration(rand.IntN(500)) * time.Microsecond)
			held.Add(-memory)
			a.Release(function, memory)
		})
	}
	wg.Wait()
	require.Equal(t, int64(10), a.free)
	require.Empty(t, a.held)
	require.Empty(t, a.waiting)
}
