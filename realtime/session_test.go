package realtime_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/realtime"
)

func TestSessionRecoversEveryOffsetOnce(t *testing.T) {
	t.Parallel()
	hub := startHub(t, realtime.Config{})
	p := connected(t, hub, grants("ann"))
	reply := p.ask("subscribe", `{"channel":"room:a"}`)
	require.Equal(t, true, reply.at("subscribe", "recoverable"), reply)
	epoch := reply.at("subscribe", "epoch")

	publish(t, hub, "room:a", `{"n":1}`)
	offset, data := p.publication()
	require.InEpsilon(t, 1, offset, 0)
	require.Equal(t, map[string]any{"n": 1.0}, data)
	p.session.Close()

	for n := 2; n <= 50; n++ {
		publish(t, hub, "room:a", fmt.Sprintf(`{"n":%d}`, n))
	}
	p = connected(t, hub, grants("ann"))
	reply = p.ask("subscribe", fmt.Sprintf(`{"channel":"room:a","recover":true,"offset":1,"epoch":%q}`, epoch))
	require.Equal(t, true, reply.at("subscribe", "recovered"), reply)
	missed, _ := reply.at("subscribe", "publications").([]any)
	require.Len(t, missed, 49)
	publish(t, hub, "room:a", `{"n":51}`)
	offset, _ = p.publication()
	require.InEpsilon(t, 51, offset, 0)
}

func TestSessionIsToldWhenItCannotRecover(t *testing.T) {
	t.Parallel()
	hub := startHub(t, realtime.Config{Namespaces: []realtime.Namespace{{HistorySize: 3, HistoryTTL: time.Minute}}})
	first := publish(t, hub, "a", `1`)
	for range 10 {
		publish(t, hub, "a", `1`)
	}
	p := connected(t, hub, grants("ann"))
	reply := p.ask("subscribe", fmt.Sprintf(`{"channel":"a","recover":true,"offset":1,"epoch":%q}`, first.Epoch))
	require.Nil(t, reply.at("subscribe", "recovered"))
	require.Equal(t, true, reply.at("subscribe", "was_recovering"), reply)
	require.InEpsilon(t, 11, reply.at("subscribe", "offset"), 0)
}

// A recovery that is larger than the queue of pushes must not be taken for a slow consumer.
func TestSessionRecoversMoreThanTheQueueHolds(t *testing.T) {
	t.Parallel()
	hub := startHub(t, realtime.Config{QueueSize: 10_000})
	big := `"` + strings.Repeat("x", 8_000) + `"`
	start := publish(t, hub, "a", big)
	for range 20 {
		publish(t, hub, "a", big)
	}
	p := connected(t, hub, grants("ann"))
	reply := p.ask("subscribe", fmt.Sprintf(`{"channel":"a","recover":true,"offset":1,"epoch":%q}`, start.Epoch))
	require.Equal(t, true, reply.at("subscribe", "recovered"))
	require.Len(t, reply.at("subscribe", "publications"), 20)
}

func TestSlowSessionIsCutWithItsCodeAndRecovers(t *testing.T) {
	t.Parallel()
	hub := startHub(t, realtime.Config{QueueSize: 10_000})
	p := connected(t, hub, grants("ann"))
	epoch := p.ask("subscribe", `{"channel":"a"}`).at("subscribe", "epoch")

	p.hold.Lock()
	data := `"` + strings.Repeat("x", 1_000) + `"`
	for range 30 {
		publish(t, hub, "a", data)
	}
	require.Eventually(t, func() bool { return hub.Connections() == 0 }, patience, time.Millisecond)
	p.hold.Unlock()
	require.Equal(t, closing{3008, "slow"}, p.ending())
	seen := len(p.frames)
	require.Less(t, seen, 30)

	p = connected(t, hub, grants("ann"))
	reply := p.ask("subscribe", fmt.Sprintf(`{"channel":"a","recover":true,"offset":%d,"epoch":%q}`, seen, epoch))
	require.Equal(t, true, reply.at("subscribe", "recovered"), reply)
	require.Len(t, reply.at("subscribe", "publications"), 30-seen)
}

func TestSessionPublishesInOrderWhereAllowed(t *testing.T) {
	t.Parallel()
	hub := startHub(t, realtime.Config{})
	reader := connected(t, hub, grants("ann"))
	reader.ask("subscribe", `{"channel":"a"}`)

	writer := connected(t, hub, &realtime.Credentials{User: "bob", May: func(action realtime.Action, channel string) bool {
		return action == realtime.ActionPublish && channel == "a"
	}})
	for n := 1; n <= 40; n++ { // without waiting for the answers
		require.True(t, writer.send("publish", 100+n, fmt.Sprintf(`{"channel":"a","data":%d}`, n)))
	}
	for n := 1; n <= 40; n++ {
		_, data := reader.publication()
		require.InEpsilon(t, n, data, 0)
	}
	for _, refused := range []struct {
		command, parameters string
		code                float64
	}{
		{"publish", `{"channel":"b","data":1}`, 103},
		{"subscribe", `{"channel":"a"}`, 103},
		{"history", `{"channel":"a","limit":5}`, 103},
		{"publish", `{"channel":"a\u0007","data":1}`, 107},
		{"publish", `{"channel":"a","data":"` + strings.Repeat("x", 65<<10) + `"}`, 106},
		{"presence", `{"channel":"a"}`, 103},
		{"rpc", `{"method":"x"}`, 108},
	} {
		reply := writer.ask(refused.command, refused.parameters)
		require.InEpsilon(t, refused.code, reply.at("error", "code"), 0, "%s: %v", refused.command, reply)
	}
}

func TestSessionReadsHistory(t *testing.T) {
	t.Parallel()
	hub := startHub(t, realtime.Config{})
	for n := range 5 {
		publish(t, hub, "a", fmt.Sprint(n))
	}
	p := connected(t, hub, grants("ann"))
	reply := p.ask("history", `{"channel":"a","limit":2,"reverse":true}`)
	require.Len(t, reply.at("history", "publications"), 2)
	require.InEpsilon(t, 5, reply.at("history", "offset"), 0)
}

func TestConnectToken(t *testing.T) {
	t.Parallel()
	outage := errors.New("database is gone: postgres://secret")
	hub := startHub(t, realtime.Config{Authenticate: func(_ context.Context, token string) (realtime.Credentials, error) {
		switch token {
		case "good":
			return *grants("ann"), nil
		case "old":
			return realtime.Credentials{User: "ann", ExpiresAt: time.Now().Add(-time.Second)}, nil
		case "outage":
			return realtime.Credentials{}, outage
		default:
			return realtime.Credentials{}, fmt.Errorf("token: %w", realtime.ErrUnauthenticated)
		}
	}})

	require.NotNil(t, open(t, hub, nil).ask("connect", `{"token":"good"}`).at("connect", "client"))
	for _, token := range []string{"", "bad"} {
		p := open(t, hub, nil)
		require.False(t, p.send("connect", 1, fmt.Sprintf(`{"token":%q}`, token)))
		require.Equal(t, uint32(3500), p.ending().code, token)
	}
	require.InEpsilon(t, 109, open(t, hub, nil).ask("connect", `{"token":"old"}`).at("error", "code"), 0)
	reply := open(t, hub, nil).ask("connect", `{"token":"outage"}`)
	require.InEpsilon(t, 100, reply.at("error", "code"), 0)
	require.Equal(t, true, reply.at("error", "temporary"))
	require.NotContains(t, fmt.Sprint(reply), "secret")
}

func TestTokenRefresh(t *testing.T) {
	t.Parallel()
	hub := startHub(t, realtime.Config{Authenticate: func(_ context.Context, token string) (realtime.Credentials, error) {
		user, channel, _ := strings.Cut(token, "/")
		return realtime.Credentials{
			User: user, ExpiresAt: time.Now().Add(time.Minute),
			May: func(_ realtime.Action, name string) bool { return name == channel },
		}, nil
	}})
	begin := func() *peer {
		p := open(t, hub, nil)
		require.Equal(t, true, p.ask("connect", `{"token":"ann/a"}`).at("connect", "expires"))
		require.NotNil(t, p.ask("subscribe", `{"channel":"a"}`).at("subscribe"))
		return p
	}
	require.Equal(t, true, begin().ask("refresh", `{"token":"ann/a"}`).at("refresh", "expires"))

	other := begin()
	other.send("refresh", 9, `{"token":"bob/a"}`)
	require.Equal(t, uint32(3500), other.ending().code)

	less := begin()
	less.send("refresh", 9, `{"token":"ann/b"}`)
	require.Equal(t, uint32(3011), less.ending().code)
}

func TestSessionEndsWithItsCredentials(t *testing.T) {
	t.Parallel()
	hub := startHub(t, realtime.Config{})
	brief := grants("ann")
	brief.ExpiresAt = time.Now().Add(1500 * time.Millisecond)
	expiring := connected(t, hub, brief)
	revoked, other := connected(t, hub, grants("bob")), connected(t, hub, grants("eve"))

	hub.DisconnectWhere(func(c realtime.Credentials) bool { return c.Key == "key-bob" })
	require.Equal(t, uint32(3503), revoked.ending().code)
	require.Equal(t, uint32(3005), expiring.ending().code)
	require.NotNil(t, other.ask("subscribe", `{"channel":"a"}`).at("subscribe"))
}

func TestPersonalChannel(t *testing.T) {
	t.Parallel()
	hub := startHub(t, realtime.Config{})
	p := connected(t, hub, &realtime.Credentials{User: "ann"})
	require.NotNil(t, p.ask("subscribe", `{"channel":"user:ann"}`).at("subscribe"))
	for _, channel := range []string{"user:bob", "user:", "user", "a"} {
		require.Nil(t, p.ask("subscribe", fmt.Sprintf(`{"channel":%q}`, channel)).at("subscribe"), channel)
	}
	require.InEpsilon(t, 103, p.ask("publish", `{"channel":"user:ann","data":1}`).at("error", "code"), 0)
}

func TestSilentSessionIsClosed(t *testing.T) {
	t.Parallel()
	hub := startHub(t, realtime.Config{ConnectTimeout: 50 * time.Millisecond, PingInterval: time.Second})
	require.Equal(t, uint32(3502), open(t, hub, nil).ending().code, "never connects")
	require.Equal(t, uint32(3012), connected(t, hub, grants("ann")).ending().code, "answers no ping")
}

func TestBadFramesEndTheSession(t *testing.T) {
	t.Parallel()
	hub := startHub(t, realtime.Config{})
	for _, frame := range []string{"", "\n", "{", "[]", "nonsense", `{"id":1}`, `{"id":1,"subscribe":{"channel":"a"}}`, "\x00\xff"} {
		p := open(t, hub, grants("ann"))
		require.False(t, p.session.Receive([]byte(frame)), "%q", frame)
		require.Equal(t, uint32(3501), p.ending().code, "%q", frame)
	}
}

// The length prefix of a Protobuf frame is the client's word: it must not become an allocation.
func TestProtobufLengthIsNotBelieved(t *testing.T) {
	t.Parallel()
	hub := startHub(t, realtime.Config{})
	for _, frame := range []string{"\xff\xff\xff\xff\xff\xff\xff\xff\x7f", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "\x80\x80\x80\x80\x10", "\x05a", ""} {
		p := &peer{t: t, frames: make(chan message, 1), closed: make(chan closing, 1)}
		session, err := hub.NewSession(p, realtime.Protobuf, grants("ann"))
		require.NoError(t, err)
		require.False(t, session.Receive([]byte(frame)), "%q", frame)
		require.Equal(t, uint32(3501), p.ending().code, "%q", frame)
		session.Close()
	}
}

func TestNothingIsWrittenAfterClose(t *testing.T) {
	t.Parallel()
	hub := startHub(t, realtime.Config{})
	for range 50 {
		p := connected(t, hub, grants("ann"))
		p.ask("subscribe", `{"channel":"a"}`)
		for n := range 20 {
			p.send("publish", 1000+n, `{"channel":"a","data":1}`)
		}
		p.session.Close()
		seen := len(p.frames)
		publish(t, hub, "a", `2`)
		require.Len(t, p.frames, seen)
	}
}

func TestStopTellsClientsToReconnect(t *testing.T) {
	t.Parallel()
	hub, err := realtime.NewInMemory(realtime.Config{Logger: quiet})
	require.NoError(t, err)
	require.NoError(t, hub.Start(t.Context()))
	p := connected(t, hub, grants("ann"))
	require.NoError(t, hub.Stop(t.Context()))
	require.Equal(t, closing{3001, "shutdown"}, p.ending())
	_, err = hub.NewSession(p, realtime.JSON, nil)
	require.ErrorIs(t, err, realtime.ErrNotRunning)
	_, err = hub.Publish(t.Context(), "a", []byte(`1`), realtime.PublishOptions{})
	require.ErrorIs(t, err, realtime.ErrNotRunning)
}
