package realtime_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/realtime"
)

// openFeed opens a feed, and hands on what its reader gets.
func openFeed(t *testing.T, hub *realtime.Hub) (*realtime.Feed, <-chan realtime.Event) {
	t.Helper()
	feed, err := hub.OpenFeed(*grants("ann"))
	require.NoError(t, err)
	events, ended := make(chan realtime.Event, 100), make(chan struct{})
	go func() {
		defer close(ended)
		feed.Run(func(event realtime.Event) { events <- event })
	}()
	t.Cleanup(func() {
		feed.Close()
		<-ended
	})
	return feed, events
}

func TestFeedJoinsAndLeaves(t *testing.T) {
	t.Parallel()
	hub := startHub(t, realtime.Config{})
	feed, events := openFeed(t, hub)
	gone, cancel := context.WithCancel(t.Context())
	cancel()

	require.ErrorIs(t, feed.Join(gone, "a"), context.Canceled)
	require.Empty(t, feed.Channels())
	for range 3 { // again does nothing, and what was left may be joined again
		require.NoError(t, feed.Join(t.Context(), "a"))
		require.NoError(t, feed.Join(t.Context(), "a"))
		position := publish(t, hub, "a", `1`)
		require.Equal(t, realtime.Event{Kind: realtime.EventMessage, Channel: "a", Position: position, Data: []byte(`1`)}, <-events)

		require.ErrorIs(t, feed.Leave(gone, "a"), context.Canceled)
		require.Equal(t, []string{"a"}, feed.Channels(), "who could not say that it leaves has not left")
		require.NoError(t, feed.Leave(t.Context(), "a"))
		require.NoError(t, feed.Leave(t.Context(), "a"))
		require.Empty(t, feed.Channels())
	}
	require.ErrorIs(t, feed.Join(t.Context(), "bad\nname"), realtime.ErrChannelName)
}

// A feed that lost its place hands on what it missed. Its reader may wait meanwhile for a handler that joins another
// channel: the one does not hold up the other.
func TestFeedIsAskedWhileItCatchesUp(t *testing.T) {
	t.Parallel()
	hub := startHub(t, realtime.Config{})
	feed, _ := openFeed(t, hub)
	require.NoError(t, feed.Join(t.Context(), "a"))

	require.NoError(t, feed.LosePlace("a"))
	publish(t, hub, "a", `1`)
	publish(t, hub, "a", `2`)

	var got []string
	busy, free, done := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		feed.Retake("a", func(event realtime.Event) {
			if got = append(got, string(event.Data)); len(got) == 1 {
				close(busy)
				<-free
			}
		})
	}()
	<-busy
	require.NoError(t, feed.Join(t.Context(), "b"))
	require.NoError(t, feed.Leave(t.Context(), "b"))
	close(free)
	<-done
	require.Equal(t, []string{"1", "2"}, got)
}
