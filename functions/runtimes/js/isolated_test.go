package js

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/jobs"
)

// What cannot be interrupted is given up Grace after its deadline: its memory stays accounted for until it ends.
func TestUninterruptible(t *testing.T) {
	t.Parallel()
	var said lockedBuilder
	r, err := New(Config{
		MemoryLimit: 8 << 20, MaxMemory: 8 << 20, Budget: 16 << 20, Logger: slog.New(slog.NewTextHandler(&said, nil)),
	})
	require.NoError(t, err)

	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	stuck := make(chan struct{})
	begin := time.Now()
	err = r.isolated(ctx, isolation{"stuck", "stuck", 8 << 20, 0}, func(context.Context) error {
		<-stuck
		return nil
	})
	var failure *jobs.Failure
	require.ErrorAs(t, err, &failure)
	require.Equal(t, jobs.CodeTimeout, failure.Code)
	require.GreaterOrEqual(t, time.Since(begin), Grace)
	require.Equal(t, 1, r.Abandoned())
	require.Contains(t, said.String(), "cannot be interrupted")
	require.Equal(t, map[string]int64{"stuck": 8 << 20}, r.budget.Held())

	ran := false
	require.NoError(t, r.isolated(t.Context(), isolation{"other", "other", 8 << 20, 0}, func(context.Context) error {
		ran = true
		return nil
	}))
	require.True(t, ran, "neighbours go on")

	ctx, cancel = context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	require.ErrorIs(t, r.Close(ctx), context.DeadlineExceeded, "Close waits for it as long as it may")
	close(stuck)
	require.NoError(t, r.Close(t.Context()))
	require.Zero(t, r.Abandoned())
	require.Contains(t, said.String(), "ended after all")
	require.Empty(t, r.budget.Held())
}

// A panic of the engine costs its own call only.
func TestPanicIsAnError(t *testing.T) {
	t.Parallel()
	r, err := New(Config{})
	require.NoError(t, err)
	err = r.isolated(t.Context(), isolation{"fn", "fn", 8 << 20, 0}, func(context.Context) error { panic("at the disco") })
	require.ErrorContains(t, err, "at the disco")
	require.ErrorContains(t, err, "isolated_test.go")
	require.NoError(t, r.Close(t.Context()))
	require.Empty(t, r.budget.Held())
}

type lockedBuilder struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *lockedBuilder) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()

	return b.text.Write(p)
}

func (b *lockedBuilder) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()

	return b.text.String()
}
