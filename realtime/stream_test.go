package realtime_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/realtime"
)

func openStream(t *testing.T, hub *realtime.Hub, channels ...realtime.StreamChannel) *realtime.Stream {
	t.Helper()
	stream, err := hub.OpenStream(*grants("ann"), channels)
	require.NoError(t, err)
	t.Cleanup(stream.Close)
	return stream
}

func named(name string) realtime.StreamChannel { return realtime.StreamChannel{Name: name} }

// read returns the next n events.
func read(t *testing.T, stream *realtime.Stream, n int) []realtime.Event {
	t.Helper()
	var events []realtime.Event
	for deadline := time.Now().Add(patience); len(events) < n && time.Now().Before(deadline); {
		more, err := stream.Next(100 * time.Millisecond)
		require.NoError(t, err)
		events = append(events, more...)
	}
	require.Len(t, events, n)
	return events
}

func TestStreamFollowsSeveralChannels(t *testing.T) {
	t.Parallel()
	s := &source{value: 4}
	hub := viewHub(t, s)
	old := publish(t, hub, "a", `"old"`)
	stream := openStream(t, hub, named("a"), named("b"), named("job:1"), named("a"))
	events := read(t, stream, 4)
	require.Equal(t, realtime.Event{Kind: realtime.EventSubscribed, Channel: "a", Position: old}, events[0])
	require.Equal(t, realtime.EventSubscribed, events[1].Kind)
	require.Equal(t, realtime.Event{Kind: realtime.EventSubscribed, Channel: "job:1"}, events[2])
	require.Equal(t, realtime.Event{Kind: realtime.EventSnapshot, Channel: "job:1", Data: []byte(`{"snapshot":4}`)}, events[3])

	position := publish(t, hub, "b", `{"x": 1}`)
	require.Equal(t, realtime.Event{Kind: realtime.EventMessage, Channel: "b", Position: position, Data: []byte(`{"x": 1}`)}, read(t, stream, 1)[0])
	s.change(hub, "job:1")
	require.Equal(t, realtime.Event{Kind: realtime.EventMessage, Channel: "job:1", Data: []byte(`5`)}, read(t, stream, 1)[0])
}

func TestStreamRecovers(t *testing.T) {
	t.Parallel()
	hub := startHub(t, realtime.Config{})
	first := publish(t, hub, "a", `1`)
	for n := 2; n <= 20; n++ {
		publish(t, hub, "a", fmt.Sprint(n))
	}
	for _, since := range []realtime.Position{first, {Offset: 1}} {
		events := read(t, openStream(t, hub, realtime.StreamChannel{Name: "a", Since: &since}), 20)
		require.Equal(t, realtime.EventSubscribed, events[0].Kind)
		require.True(t, events[0].Recovered)
		for i, event := range events[1:] {
			require.Equal(t, realtime.Position{Offset: uint64(i) + 2, Epoch: first.Epoch}, event.Position)
		}
	}
	lost := realtime.Position{Offset: 1, Epoch: "gone"}
	events := read(t, openStream(t, hub, realtime.StreamChannel{Name: "a", Since: &lost}), 1)
	require.Equal(t, realtime.Event{
		Kind: realtime.EventUnrecoverable, Channel: "a", Position: realtime.Position{Offset: 20, Epoch: first.Epoch},
	}, events[0])
}

// What is recovered may be larger than the queue and than what opening holds.
func TestStreamRecoversMuch(t *testing.T) {
	t.Parallel()
	hub := startHub(t, realtime.Config{QueueSize: 10_000})
	big := `"` + strings.Repeat("x", 60_000) + `"`
	var channels []realtime.StreamChannel
	for c := range 4 {
		name := fmt.Sprint("c", c)
		position := publish(t, hub, name, big)
		for range 20 {
			publish(t, hub, name, big)
		}
		channels = append(channels, realtime.StreamChannel{Name: name, Since: &position})
	}
	read(t, openStream(t, hub, channels...), 4*21)
}

func TestSlowStreamIsCutWithItsCodeAndRecovers(t *testing.T) {
	t.Parallel()
	hub := startHub(t, realtime.Config{QueueSize: 10_000})
	stream := openStream(t, hub, named("a"))
	position := read(t, stream, 1)[0].Position
	data := `"` + strings.Repeat("x", 1_000) + `"`
	for range 60 {
		publish(t, hub, "a", data)
	}
	require.Eventually(t, func() bool { return hub.Connections() == 0 }, patience, time.Millisecond)
	var gone *realtime.DisconnectError
	seen := 0
	for {
		events, err := stream.Next(patience)
		if errors.As(err, &gone) {
			break
		}
		require.NoError(t, err)
		for _, event := range events {
			seen++
			position = event.Position
		}
	}
	require.Equal(t, uint32(3008), gone.Code)
	require.True(t, gone.Reconnect())
	require.Less(t, seen, 60)
	require.Len(t, read(t, openStream(t, hub, realtime.StreamChannel{Name: "a", Since: &position}), 61-seen), 61-seen)
}

func TestStreamRefusals(t *testing.T) {
	t.Parallel()
	s := &source{err: realtime.ErrUnknownChannel}
	hub := viewHub(t, s)
	_, err := hub.OpenStream(realtime.Credentials{User: "ann"}, []realtime.StreamChannel{named("a")})
	require.ErrorIs(t, err, realtime.ErrDenied)
	_, err = hub.OpenStream(*grants("ann"), nil)
	require.ErrorIs(t, err, realtime.ErrChannelLimit)
	_, err = hub.OpenStream(*grants("ann"), []realtime.StreamChannel{named("a\n")})
	require.ErrorIs(t, err, realtime.ErrChannelName)
	_, err = hub.OpenStream(*grants("ann"), []realtime.StreamChannel{named("job:1")})
	require.ErrorIs(t, err, realtime.ErrUnknownChannel)
	expired := grants("ann")
	expired.ExpiresAt = time.Now().Add(-time.Minute)
	_, err = hub.OpenStream(*expired, []realtime.StreamChannel{named("a")})
	var gone *realtime.DisconnectError
	require.ErrorAs(t, err, &gone)
	require.Equal(t, uint32(3005), gone.Code)
	require.Zero(t, hub.Connections())
}

func TestStreamEnds(t *testing.T) {
	t.Parallel()
	hub := startHub(t, realtime.Config{})
	for _, c := range []struct {
		end  func(*realtime.Stream)
		code uint32
	}{
		{func(s *realtime.Stream) { s.Close() }, 3000},
		{func(s *realtime.Stream) { s.Disconnect(3001, "shutdown") }, 3001},
		{func(*realtime.Stream) { hub.DisconnectWhere(func(realtime.Credentials) bool { return true }) }, 3503},
	} {
		stream := openStream(t, hub, named("a"))
		read(t, stream, 1)
		c.end(stream)
		_, err := stream.Next(patience)
		var gone *realtime.DisconnectError
		require.ErrorAs(t, err, &gone)
		require.Equal(t, c.code, gone.Code)
	}
}

func TestStreamNextTimesOutQuietly(t *testing.T) {
	t.Parallel()
	hub := startHub(t, realtime.Config{})
	stream := openStream(t, hub, named("a"))
	read(t, stream, 1)
	events, err := stream.Next(time.Millisecond)
	require.NoError(t, err)
	require.Empty(t, events)
}
