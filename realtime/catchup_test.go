package realtime_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/testdb"
	"github.com/millrace-dev/millrace/realtime"
)

// Who has a publication from one instance and goes on at another one, which did not hear of it yet, is not given it
// once more.
func TestWhoIsFurtherThanItsInstanceSeesNothingTwice(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	here, there := startHubOn(t, db, "here", realtime.Config{}), startHubOn(t, db, "there", realtime.Config{})
	listening := openStream(t, there, named("a"))
	read(t, listening, 1)

	const rounds = 200
	for n := range rounds {
		var at realtime.Position
		for range 3 {
			at = publish(t, here, "a", fmt.Sprint(n))
		}
		stream, err := there.OpenStream(*grants("ann"), []realtime.StreamChannel{{Name: "a", Since: &at}})
		require.NoError(t, err)
		publish(t, here, "a", `"next"`)
		events := read(t, stream, 2)
		stream.Close()
		require.True(t, events[0].Recovered)
		require.Equal(t, at, events[0].Position)
		require.Equal(t, at.Offset+1, events[1].Position.Offset, "seen before")
	}
	read(t, listening, 4*rounds)
}

// A position that never was is not waited for: whoever says so is told that it cannot be recovered.
func TestPositionAheadOfTheChannel(t *testing.T) {
	t.Parallel()
	hub := startHub(t, realtime.Config{})
	top := publish(t, hub, "a", `1`)
	read(t, openStream(t, hub, named("a")), 1)
	for _, since := range []realtime.Position{{Offset: 1 << 40, Epoch: top.Epoch}, {Offset: 1, Epoch: "another"}} {
		events := read(t, openStream(t, hub, realtime.StreamChannel{Name: "a", Since: &since}), 1)
		require.Equal(t, realtime.EventUnrecoverable, events[0].Kind)
		require.Equal(t, top, events[0].Position)
	}
}
