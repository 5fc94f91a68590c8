package gosdk

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/centrifugal/centrifuge-go"
	"github.com/stretchr/testify/require"
)

const deadline = 10 * time.Second

type server struct {
	t        *testing.T
	url, key string
}

func connectTo(t *testing.T) server {
	t.Helper()
	s := server{t: t, url: os.Getenv("MILLRACE_URL"), key: os.Getenv("MILLRACE_KEY")}
	require.NotEmpty(t, s.url, "run these tests with test/e2e/run: they need MILLRACE_URL and MILLRACE_KEY")
	return s
}

func (s server) post(path string, body []byte, into any) {
	s.t.Helper()
	request, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, s.url+path, bytes.NewReader(body))
	require.NoError(s.t, err)
	request.Header.Set("Authorization", "Bearer "+s.key)
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	require.NoError(s.t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(s.t, err)
	require.Less(s.t, response.StatusCode, 300, "%s", text)
	if into != nil {
		require.NoError(s.t, json.Unmarshal(text, into))
	}
}

func (s server) publish(channel string, n int) {
	s.t.Helper()
	data, err := json.Marshal(n)
	require.NoError(s.t, err)
	s.post("/v1/channels/"+channel+"/messages", data, nil)
}

// network is the client's way to the server; it can be cut.
type network struct {
	mu    sync.Mutex
	down  bool
	conns []net.Conn
}

func (n *network) dial(ctx context.Context, kind, address string) (net.Conn, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.down {
		return nil, &net.OpError{Op: "dial", Net: kind, Err: os.ErrDeadlineExceeded}
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, kind, address)
	if err == nil {
		n.conns = append(n.conns, conn)
	}
	return conn, err
}

func (n *network) cut(down bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.down = down
	for _, conn := range n.conns {
		_ = conn.Close()
	}
	n.conns = nil
}

// overBoth runs a test over both forms of the protocol.
func overBoth(t *testing.T, test func(t *testing.T, s server, build func(config centrifuge.Config) *centrifuge.Client)) {
	t.Helper()
	for name, form := range map[string]func(string, centrifuge.Config) *centrifuge.Client{
		"json": centrifuge.NewJsonClient, "protobuf": centrifuge.NewProtobufClient,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := connectTo(t)
			test(t, s, func(config centrifuge.Config) *centrifuge.Client {
				config.MinReconnectDelay, config.MaxReconnectDelay = 20*time.Millisecond, 200*time.Millisecond
				if config.Token == "" {
					config.Token = s.key
				}
				client := form("ws"+strings.TrimPrefix(s.url, "http")+"/v1/ws", config)
				t.Cleanup(client.Close)
				return client
			})
		})
	}
}

func receive[T any](t *testing.T, from <-chan T, what string) T {
	t.Helper()
	select {
	case value := <-from:
		return value
	case <-time.After(deadline):
		require.FailNow(t, "waited "+deadline.String()+" for "+what)
		panic("unreachable")
	}
}

func TestPublicationsSurviveACutConnection(t *testing.T) {
	t.Parallel()
	overBoth(t, func(t *testing.T, s server, build func(centrifuge.Config) *centrifuge.Client) {
		var way network
		client := build(centrifuge.Config{NetDialContext: way.dial})
		require.NoError(t, client.Connect())
		channel := "room:" + rand.Text()
		subscription, err := client.NewSubscription(channel)
		require.NoError(t, err)
		subscribed, got := make(chan centrifuge.SubscribedEvent, 10), make(chan centrifuge.Publication, 1000)
		lost := make(chan struct{}, 10)
		subscription.OnSubscribed(func(event centrifuge.SubscribedEvent) { subscribed <- event })
		subscription.OnPublication(func(event centrifuge.PublicationEvent) { got <- event.Publication })
		subscription.OnSubscribing(func(centrifuge.SubscribingEvent) { lost <- struct{}{} })
		require.NoError(t, subscription.Subscribe())
		receive(t, lost, "the first attempt")
		receive(t, subscribed, "the subscription")

		const before, meanwhile = 10, 100
		for n := range before {
			s.publish(channel, n)
		}
		way.cut(true)
		receive(t, lost, "the loss of the connection")
		for n := range meanwhile {
			s.publish(channel, before+n)
		}
		way.cut(false)
		back := receive(t, subscribed, "the subscription after the cut")
		require.True(t, back.WasRecovering)
		require.True(t, back.Recovered)
		for n := range before + meanwhile {
			publication := receive(t, got, "a publication")
			require.JSONEq(t, string(publication.Data), jsonOf(t, n))
			require.EqualValues(t, n+1, publication.Offset)
		}
	})
}

func TestPublishAndHistory(t *testing.T) {
	t.Parallel()
	overBoth(t, func(t *testing.T, _ server, build func(centrifuge.Config) *centrifuge.Client) {
		client := build(centrifuge.Config{})
		require.NoError(t, client.Connect())
		channel := "room:" + rand.Text()
		ctx, cancel := context.WithTimeout(t.Context(), deadline)
		defer cancel()
		for n := range 5 {
			_, err := client.Publish(ctx, channel, []byte(jsonOf(t, n)))
			require.NoError(t, err)
		}
		last, err := client.History(ctx, channel, centrifuge.WithHistoryLimit(2), centrifuge.WithHistoryReverse(true))
		require.NoError(t, err)
		require.Len(t, last.Publications, 2)
		require.JSONEq(t, "4", string(last.Publications[0].Data))
		require.EqualValues(t, 5, last.Offset)
		rest, err := client.History(ctx, channel, centrifuge.WithHistoryLimit(10),
			centrifuge.WithHistorySince(&centrifuge.StreamPosition{Offset: 3, Epoch: last.Epoch}))
		require.NoError(t, err)
		require.Len(t, rest.Publications, 2)
		require.EqualValues(t, 4, rest.Publications[0].Offset)
	})
}

func TestATokenOpensWhatItNames(t *testing.T) {
	t.Parallel()
	overBoth(t, func(t *testing.T, s server, build func(centrifuge.Config) *centrifuge.Client) {
		channel := "room:" + rand.Text()
		body, err := json.Marshal(map[string]any{"user": "gopher", "subscribe": []string{channel}})
		require.NoError(t, err)
		var minted struct{ Token string }
		s.post("/v1/tokens", body, &minted)
		client := build(centrifuge.Config{Token: minted.Token})
		require.NoError(t, client.Connect())

		granted, err := client.NewSubscription(channel)
		require.NoError(t, err)
		subscribed := make(chan centrifuge.SubscribedEvent, 1)
		granted.OnSubscribed(func(event centrifuge.SubscribedEvent) { subscribed <- event })
		require.NoError(t, granted.Subscribe())
		receive(t, subscribed, "the subscription")

		refused, err := client.NewSubscription(channel + "x")
		require.NoError(t, err)
		ended := make(chan centrifuge.UnsubscribedEvent, 1)
		refused.OnUnsubscribed(func(event centrifuge.UnsubscribedEvent) { ended <- event })
		require.NoError(t, refused.Subscribe())
		require.EqualValues(t, 103, receive(t, ended, "the refusal").Code)
	})
}

func TestABadTokenIsRefusedForGood(t *testing.T) {
	t.Parallel()
	overBoth(t, func(t *testing.T, _ server, build func(centrifuge.Config) *centrifuge.Client) {
		disconnected := make(chan centrifuge.DisconnectedEvent, 1)
		client := build(centrifuge.Config{Token: "nobody signed this"})
		client.OnDisconnected(func(event centrifuge.DisconnectedEvent) { disconnected <- event })
		_ = client.Connect() // the refusal is an event, too
		require.EqualValues(t, 3500, receive(t, disconnected, "the refusal").Code)
	})
}

func jsonOf(t *testing.T, value any) string {
	t.Helper()
	data, err := json.Marshal(value)
	require.NoError(t, err)
	return string(data)
}
