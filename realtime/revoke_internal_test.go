package realtime

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestRevocationsBefore(t *testing.T) {
	t.Parallel()
	var r revocations
	require.Zero(t, r.before(time.Hour))
	r.add(func(c Credentials) bool { return c.Key == "a" })
	r.recent[0].at = time.Now().Add(-time.Second)
	r.add(func(c Credentials) bool { return c.Key == "b" })
	r.recent[1].at = time.Now().Add(-time.Millisecond)
	require.EqualValues(t, 2, r.before(0))
	require.EqualValues(t, 1, r.before(time.Second/2))
	require.EqualValues(t, 0, r.before(time.Minute))
	require.True(t, r.hit(Credentials{Key: "b"}, 1))
	require.False(t, r.hit(Credentials{Key: "a"}, 1))
	r.recent[0].at = time.Now().Add(-2 * revocationMemory)
	r.add(func(Credentials) bool { return false })
	require.Len(t, r.recent, 2)
}
