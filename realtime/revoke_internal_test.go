package realtime

import (
	"testing"
	"time"

	"github.com/centrifugal/centrifuge"
	"github.com/stretchr/testify/require"
)

func TestRevocationsBefore(t *testing.T) {
	t.Parallel()
	var r revocations
	require.Zero(t, r.before(time.Hour))
	revoke := func(key string, ago time.Duration) {
		r.add(revocation{
			at: time.Now().Add(-ago), matches: func(c Credentials, _ string) bool { return c.Key == key },
			disconnect: centrifuge.DisconnectForceNoReconnect,
		})
	}
	revoke("a", time.Second)
	revoke("b", time.Millisecond)
	require.EqualValues(t, 2, r.before(0))
	require.EqualValues(t, 1, r.before(time.Second/2))
	require.EqualValues(t, 0, r.before(time.Minute))
	conn := &connection{began: time.Now()}
	require.NotNil(t, r.hit(Credentials{Key: "b"}, "", conn, 1))
	require.Nil(t, r.hit(Credentials{Key: "a"}, "", conn, 1))
	r.recent[1].disconnect = centrifuge.DisconnectForceReconnect
	require.Nil(t, r.hit(Credentials{Key: "b"}, "", conn, 1), "who was told to come back and has is let in")
	r.recent[1].disconnect = centrifuge.DisconnectForceNoReconnect
	conn.began = time.Now().Add(2 * handshakeTime)
	require.Nil(t, r.hit(Credentials{Key: "b"}, "", conn, 1), "who comes that late was let in by somebody who knew")
	r.recent[0].at = time.Now().Add(-2 * revocationMemory)
	revoke("c", 0)
	require.Len(t, r.recent, 2)
}
