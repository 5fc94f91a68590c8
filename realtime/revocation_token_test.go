package realtime_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/realtime"
)

// slowTokens accepts every subscription token once it is let go on.
type slowTokens struct{ entered, release chan struct{} }

func (s *slowTokens) authorize(context.Context, string, string, realtime.Credentials) (realtime.SubscriptionGrant, error) {
	s.entered <- struct{}{}
	<-s.release
	return realtime.SubscriptionGrant{Key: "sub-key", ExpiresAt: time.Now().Add(time.Hour)}, nil
}

// A token whose key is revoked while it is looked at opens nothing, and ends the connection like one that had.
func TestRevocationOfATokenThatIsLookedAt(t *testing.T) {
	t.Parallel()
	slow := slowTokens{make(chan struct{}), make(chan struct{})}
	hub := startHub(t, realtime.Config{AuthorizeSubscription: slow.authorize})
	p := connected(t, hub, &realtime.Credentials{User: "ann"})
	p.send("subscribe", 1000, `{"channel":"room:a","token":"x"}`)
	<-slow.entered
	hub.DisconnectWhere(func(c realtime.Credentials) bool { return c.Key == "sub-key" })
	close(slow.release)
	require.Equal(t, uint32(3503), p.ending().code)
}
