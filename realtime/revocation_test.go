package realtime_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/realtime"
)

// Whoever was being authenticated while the key was revoked does not slip through.
func TestRevocationDuringConnect(t *testing.T) {
	t.Parallel()
	entered, release := make(chan struct{}), make(chan struct{})
	hub := startHub(t, realtime.Config{Authenticate: func(context.Context, string) (realtime.Credentials, error) {
		close(entered)
		<-release
		return *grants("bob"), nil
	}})
	p := open(t, hub, nil)
	go p.send("connect", 1, `{"token":"x"}`)
	<-entered
	hub.DisconnectWhere(func(c realtime.Credentials) bool { return c.Key == "key-bob" })
	close(release)
	require.Equal(t, uint32(3503), p.ending().code)
}

// A door looks at the credentials before it begins the session.
func TestRevocationDuringTheHandshake(t *testing.T) {
	t.Parallel()
	hub := startHub(t, realtime.Config{})
	hub.DisconnectWhere(func(c realtime.Credentials) bool { return c.Key == "key-bob" })
	p := open(t, hub, grants("bob"))
	p.send("connect", 1, `{}`)
	require.Equal(t, uint32(3503), p.ending().code)
	connected(t, hub, grants("eve"))
}

// A token may bring another key than the one that it refreshes.
func TestRevocationDuringRefresh(t *testing.T) {
	t.Parallel()
	entered, release := make(chan struct{}), make(chan struct{})
	hub := startHub(t, realtime.Config{Authenticate: func(_ context.Context, token string) (realtime.Credentials, error) {
		credentials := *grants("bob")
		credentials.Key, credentials.ExpiresAt = token, time.Now().Add(time.Hour)
		if token == "second" {
			close(entered)
			<-release
		}
		return credentials, nil
	}})
	p := open(t, hub, nil)
	require.NotNil(t, p.ask("connect", `{"token":"first"}`).at("connect"))
	p.send("refresh", 1000, `{"token":"second"}`)
	<-entered
	hub.DisconnectWhere(func(c realtime.Credentials) bool { return c.Key == "second" })
	close(release)
	require.Equal(t, uint32(3503), p.ending().code)
}
