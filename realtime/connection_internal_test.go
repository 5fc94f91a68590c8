package realtime

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A command that changes when a connection expires never brings credentials back that a token has replaced.
func TestExtendKeepsNewCredentials(t *testing.T) {
	t.Parallel()
	until := time.Now().Add(time.Hour)
	for range 2000 {
		var conn connection
		conn.extend(until) // not authenticated yet
		require.Nil(t, conn.current.Load())
		conn.current.Store(&Credentials{User: "ann", Key: "old"})
		var both sync.WaitGroup
		both.Go(func() { conn.extend(until) })
		both.Go(func() { conn.current.Store(&Credentials{User: "ann", Key: "new"}) })
		both.Wait()
		require.Equal(t, "new", conn.credentials().Key)
		conn.extend(until)
		require.Equal(t, Credentials{User: "ann", Key: "new", ExpiresAt: until}, conn.credentials())
	}
}
