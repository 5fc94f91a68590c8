package service_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/millrace-dev/millrace/internal/service"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestStopWaitsForEveryGoroutine(t *testing.T) {
	t.Parallel()
	var b service.Base
	_, err := b.Begin(t.Context())
	require.NoError(t, err)

	var ended atomic.Int32
	for range 20 {
		require.True(t, b.Go(func(ctx context.Context) { <-ctx.Done(); ended.Add(1) }))
	}
	require.NoError(t, b.Stop(t.Context()))
	require.EqualValues(t, 20, ended.Load())
	require.False(t, b.Go(func(context.Context) { t.Error("ran after Stop") }))
}

func TestStopBeforeStartAndTwice(t *testing.T) {
	t.Parallel()
	var b service.Base
	require.NoError(t, b.Stop(t.Context()))
	require.NoError(t, b.Stop(t.Context()))
	_, err := b.Begin(t.Context())
	require.ErrorIs(t, err, service.ErrStopped)
}

func TestStopGivesUpWithItsContext(t *testing.T) {
	t.Parallel()
	var b service.Base
	_, err := b.Begin(t.Context())
	require.NoError(t, err)
	release := make(chan struct{})
	b.Go(func(context.Context) { <-release })

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, b.Stop(ctx), context.Canceled)
	close(release)
	require.NoError(t, b.Stop(t.Context()))
}

func TestStartStopStress(t *testing.T) {
	t.Parallel()
	for range 200 {
		var b service.Base
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				if _, err := b.Begin(t.Context()); err == nil {
					b.Go(func(ctx context.Context) { <-ctx.Done() })
				}
			})
			wg.Go(func() { _ = b.Stop(t.Context()) })
		}
		wg.Wait()
		require.NoError(t, b.Stop(t.Context()))
	}
}

type recorder struct {
	name string
	log  *[]string
	fail error
}

func (r recorder) Start(context.Context) error {
	*r.log = append(*r.log, "start "+r.name)
	return r.fail
}

func (r recorder) Stop(context.Context) error {
	*r.log = append(*r.log, "stop "+r.name)
	return nil
}

func TestGroupStopsInReverse(t *testing.T) {
	t.Parallel()
	var log []string
	var g service.Group
	g.Add("a", recorder{name: "a", log: &log})
	g.Add("b", recorder{name: "b", log: &log})
	require.NoError(t, g.Start(t.Context()))
	require.NoError(t, g.Stop(t.Context()))
	require.NoError(t, g.Stop(t.Context()))
	require.Equal(t, []string{"start a", "start b", "stop b", "stop a"}, log)
}

func TestGroupUndoesAFailedStart(t *testing.T) {
	t.Parallel()
	var log []string
	boom := errors.New("boom")
	var g service.Group
	g.Add("a", recorder{name: "a", log: &log})
	g.Add("b", recorder{name: "b", log: &log, fail: boom})
	require.ErrorIs(t, g.Start(t.Context()), boom)
	require.Equal(t, []string{"start a", "start b", "stop a"}, log)
}
