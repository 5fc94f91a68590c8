package auth

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestCacheAsksOnceForMany(t *testing.T) {
	t.Parallel()
	c := newCache[int](time.Now)
	var loads atomic.Int32
	release := make(chan struct{})
	load := func(context.Context) (int, error) {
		loads.Add(1)
		<-release
		return 7, nil
	}
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			got, err := c.get(t.Context(), "a", load)
			require.NoError(t, err)
			require.Equal(t, 7, got)
		})
	}
	require.Eventually(t, func() bool { return loads.Load() == 1 }, patience, time.Millisecond)
	close(release)
	wg.Wait()
	require.EqualValues(t, 1, loads.Load())
}

// TestCacheForgetsWhatIsBeingRead: a row read before a revocation must not be kept after it.
func TestCacheForgetsWhatIsBeingRead(t *testing.T) {
	t.Parallel()
	c := newCache[string](time.Now)
	reading, release, done := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		_, _ = c.get(t.Context(), "a", func(context.Context) (string, error) {
			close(reading)
			<-release
			return "old", nil
		})
	}()
	<-reading
	c.forget("a")
	close(release)
	<-done
	got, err := c.get(t.Context(), "a", func(context.Context) (string, error) { return "new", nil })
	require.NoError(t, err)
	require.Equal(t, "new", got)
}

func TestCacheExpiresAndIsBounded(t *testing.T) {
	t.Parallel()
	now := time.Now()
	c := newCache[int](func() time.Time { return now })
	one := func(context.Context) (int, error) { return 1, nil }
	fail := func(context.Context) (int, error) { return 0, errors.New("asked again") }
	for i := range 2*maxCached + 10 {
		_, err := c.get(t.Context(), fmt.Sprint(i), one)
		require.NoError(t, err)
		require.LessOrEqual(t, len(c.entries), maxCached)
	}
	last := fmt.Sprint(2*maxCached + 9)
	_, err := c.get(t.Context(), last, fail)
	require.NoError(t, err, "from memory")
	now = now.Add(CacheTTL)
	_, err = c.get(t.Context(), last, fail)
	require.Error(t, err)
}
