package doors

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const soon = 10 * time.Second

// A place whose connection is never upgraded is given back, and cannot be claimed any more.
func TestUnclaimedPlacesAreGivenBack(t *testing.T) {
	t.Parallel()
	r := registry{limit: 1, claimTimeout: time.Millisecond}
	p, err := r.admit()
	require.NoError(t, err)
	_, err = r.admit()
	require.ErrorIs(t, err, ErrFull)
	unused := make(chan struct{})
	p.expect(func() { close(unused) })
	<-unused
	require.Zero(t, r.size())
	require.False(t, p.claim(nil, nil))
	p.leave()
	require.Zero(t, r.size())
}

// A handler that is at work is not given up, however long that takes.
func TestPlacesOfWorkingHandlersAreKept(t *testing.T) {
	t.Parallel()
	r := registry{limit: 1, claimTimeout: time.Millisecond}
	p, err := r.admit()
	require.NoError(t, err)
	require.Never(t, func() bool { return r.size() == 0 }, 20*time.Millisecond, time.Millisecond)
	p.leave()
	require.Zero(t, r.size())
}

// A place that left is not given back a second time.
func TestPlacesThatLeftExpectNothing(t *testing.T) {
	t.Parallel()
	r := registry{limit: 1, claimTimeout: time.Millisecond}
	p, err := r.admit()
	require.NoError(t, err)
	r.claimTimeout = time.Hour
	p.expect(func() { t.Error("unused") })
	p.leave()
	require.False(t, p.unclaimed.Stop(), "the timer runs on")
}

// Those that are upgraded while the doors stop are told to end, and waited for.
func TestDrainWaitsForPlaces(t *testing.T) {
	t.Parallel()
	r := registry{limit: 2, claimTimeout: soon}
	early, err := r.admit()
	require.NoError(t, err)
	early.expect(func() {})
	late, err := r.admit()
	require.NoError(t, err)
	late.expect(func() {})
	ended := make(chan uint32, 1)
	require.True(t, early.claim(func(code uint32, _ string) { ended <- code }, func() {}))
	drained := make(chan error, 1)
	go func() { drained <- r.drain(context.Background(), shutdownCode, shutdownReason) }()
	require.EqualValues(t, shutdownCode, <-ended)
	require.False(t, late.claim(nil, nil))
	_, err = r.admit()
	require.ErrorIs(t, err, ErrStopping)
	early.leave()
	require.Empty(t, drained)
	late.leave()
	require.NoError(t, <-drained)
}
