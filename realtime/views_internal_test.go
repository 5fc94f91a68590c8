package realtime

import (
	"context"
	"log/slog"
	"sync"
	"testing"

	"github.com/centrifugal/centrifuge"
	"github.com/stretchr/testify/require"
)

// watched counts the watches of a source of views.
type watched struct {
	mu    sync.Mutex
	count int
}

func (w *watched) Snapshot(context.Context, string) ([]byte, error) { return []byte("{}"), nil }
func (w *watched) Watch(string)                                     { w.add(1) }
func (w *watched) Unwatch(string)                                   { w.add(-1) }

func (w *watched) add(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.count += n
}

func (w *watched) watches() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.count
}

// viewClient is a client that nobody reads.
func viewClient(t *testing.T) *centrifuge.Client {
	t.Helper()
	hub, err := NewInMemory(Config{Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	require.NoError(t, hub.Start(t.Context()))
	t.Cleanup(func() { require.NoError(t, hub.Stop(context.Background())) })
	client, finish, cancel, err := hub.newClient(newStreamTransport(), &Credentials{})
	require.NoError(t, err)
	t.Cleanup(func() { cancel(); require.NoError(t, finish()) })
	return client
}

// A view is forgotten by each that finds it unused, however late: another one may have taken its place.
func TestLateForgetLeavesTheNextView(t *testing.T) {
	t.Parallel()
	var all views
	source, client := &watched{}, viewClient(t)
	first := all.join("job:1", source, client, defaultQueueSize)
	all.remove(first)
	second := all.join("job:1", source, client, defaultQueueSize)
	require.NotSame(t, first.view, second.view)
	all.forget(first.view)
	all.deliver("job:1", []byte("1"))
	require.Len(t, second.kept, 1)
	all.leave("job:1", client.ID())
	require.Zero(t, source.watches())
	require.Empty(t, all.byName)
}

// A subscription that was replaced neither ends the one in its place nor sends its older snapshot.
func TestReplacedViewerIsHarmless(t *testing.T) {
	t.Parallel()
	var all views
	source, client := &watched{}, viewClient(t)
	first := all.join("job:1", source, client, defaultQueueSize)
	second := all.join("job:1", source, client, defaultQueueSize)
	first.begin([]byte("1"))
	require.False(t, first.live)
	all.remove(first)
	all.deliver("job:1", []byte("2"))
	require.Len(t, second.kept, 1)
	require.Equal(t, 1, source.watches())
	all.remove(second)
	require.Zero(t, source.watches())
	require.Empty(t, all.byName)
}

func TestViewsJoinAndLeaveAtOnce(t *testing.T) {
	t.Parallel()
	var all views
	source := &watched{}
	var wg sync.WaitGroup
	for range 4 {
		client := viewClient(t)
		wg.Go(func() {
			for range 2000 {
				joined := all.join("job:1", source, client, defaultQueueSize)
				if all.of("job:1") != joined.view {
					t.Error("joined a view that gets no deliveries")
				}
				all.remove(joined)
			}
		})
	}
	wg.Wait()
	require.Zero(t, source.watches())
	require.Empty(t, all.byName)
}
