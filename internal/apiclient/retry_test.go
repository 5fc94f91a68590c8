package apiclient

import (
	"context"
	"encoding/json"
	"net"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestReadsAreRetried(t *testing.T) {
	t.Parallel()
	busy := Problem{Title: "Busy", Status: 503, Code: "busy"}
	s, client := newScript(t, refuse(busy, "Retry-After", "1"), cut(typeJSON, `{"id":`), answer(200, completed))
	started := time.Now()
	_, err := client.Job(t.Context(), 7)
	require.NoError(t, err)
	require.Len(t, s.requests(), 3)
	require.GreaterOrEqual(t, time.Since(started), client.backoff.longest, "Retry-After is followed, up to the longest pause")
}

func TestReadsGiveUp(t *testing.T) {
	t.Parallel()
	busy := refuse(Problem{Title: "Busy", Status: 503, Code: "busy"})
	s, client := newScript(t, busy, busy, busy)
	_, err := client.Job(t.Context(), 7)
	require.True(t, HasCode(err, "busy"))
	require.Len(t, s.requests(), 3)
}

func TestRefusalsAreNotRetried(t *testing.T) {
	t.Parallel()
	s, client := newScript(t, refuse(Problem{Title: "No such job", Status: 404, Code: "not_found"}))
	_, err := client.Job(t.Context(), 7)
	require.True(t, HasCode(err, "not_found"))
	require.Len(t, s.requests(), 1)
}

func TestSubmissionKeepsItsKeyOverRetries(t *testing.T) {
	t.Parallel()
	s, client := newScript(t, cut(typeJSON, `{`), answer(202, completed))
	_, err := client.Submit(t.Context(), "orders.charge", json.RawMessage(`{"a":1}`), Options{})
	require.NoError(t, err)
	seen := s.requests()
	key := seen[0].header.Get("Idempotency-Key")
	require.GreaterOrEqual(t, len(key), 20)
	require.Equal(t, key, seen[1].header.Get("Idempotency-Key"))
	require.Equal(t, seen[0].body, seen[1].body)
	require.Equal(t, `{"a":1}`, seen[0].body)
	require.Equal(t, "/v1/functions/orders.charge/jobs", seen[0].uri)
}

func TestPublishKeepsItsKeyOverRetries(t *testing.T) {
	t.Parallel()
	s, client := newScript(t, cut(typeJSON, `{`), answer(200, map[string]string{"offset": "18446744073709551615", "epoch": "e"}))
	position, err := client.Publish(t.Context(), "room:a/b c", []byte("\x00 any bytes"))
	require.NoError(t, err)
	require.Equal(t, Position{Offset: 1<<64 - 1, Epoch: "e"}, position)
	seen := s.requests()
	require.NotEmpty(t, seen[0].header.Get("Idempotency-Key"))
	require.Equal(t, seen[0].header.Get("Idempotency-Key"), seen[1].header.Get("Idempotency-Key"))
	require.Equal(t, "\x00 any bytes", seen[1].body)
	require.Equal(t, "/v1/channels/room:a%2Fb%20c/messages", seen[1].uri)
}

func TestWritesAreSentOnce(t *testing.T) {
	t.Parallel()
	writes := map[string]func(context.Context, *Client) error{
		"cancel":   func(ctx context.Context, c *Client) error { _, err := c.Cancel(ctx, 1); return err },
		"retry":    func(ctx context.Context, c *Client) error { _, err := c.Retry(ctx, 1); return err },
		"deploy":   func(ctx context.Context, c *Client) error { _, err := c.Deploy(ctx, Deployment{}); return err },
		"rollback": func(ctx context.Context, c *Client) error { _, err := c.Rollback(ctx, "f", "v"); return err },
		"key":      func(ctx context.Context, c *Client) error { _, _, err := c.CreateKey(ctx, KeyRequest{}); return err },
		"token":    func(ctx context.Context, c *Client) error { _, err := c.CreateToken(ctx, TokenRequest{}); return err },
		"revoke":   func(ctx context.Context, c *Client) error { return c.RevokeKey(ctx, "k") },
	}
	for name, write := range writes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, client := newScript(t, cut(typeJSON, `{`))
			err := write(t.Context(), client)
			require.Error(t, err)
			require.True(t, IsTransport(err), "%v", err)
			require.Len(t, s.requests(), 1)
		})
	}
}

func TestCancelledContextEndsAtOnce(t *testing.T) {
	t.Parallel()
	_, client := newScript(t, hang(typeJSON, `{`))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err := client.Wait(ctx, 7)
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

func TestConnectionRefusedIsSaidAtOnce(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := listener.Addr().String()
	require.NoError(t, listener.Close())
	client, err := New(Config{URL: "http://" + address})
	require.NoError(t, err)
	started := time.Now()
	_, err = client.Stats(t.Context())
	require.True(t, IsConnectionRefused(err))
	require.Less(t, time.Since(started), defaultBackoff.base/2)
	require.Contains(t, err.Error(), address)
	require.NotContains(t, err.Error(), `Get "`, "net/http's own prefix repeats the URL")
}

func TestServerThatWasThereIsWaitedFor(t *testing.T) {
	t.Parallel()
	// Two servers on one address, one after the other.
	first := httptest.NewServer(answer(200, map[string]any{"id": "7", "state": "running"}))
	address := first.Listener.Addr().String()
	client, err := New(Config{URL: first.URL})
	require.NoError(t, err)
	defer client.Close()
	_, err = client.Job(t.Context(), 7)
	require.NoError(t, err)
	first.CloseClientConnections()
	first.Close()

	back := make(chan *httptest.Server, 1)
	restart := time.AfterFunc(50*time.Millisecond, func() {
		second := httptest.NewUnstartedServer(answer(200, completed))
		_ = second.Listener.Close()
		second.Listener, _ = net.Listen("tcp", address)
		second.Start()
		back <- second
	})
	defer restart.Stop()
	job, err := client.Job(t.Context(), 7)
	require.NoError(t, err)
	require.Equal(t, StateCompleted, job.State)
	client.Close()
	(<-back).Close()
}

func TestRetryAfterForms(t *testing.T) {
	t.Parallel()
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Duration{
		"3": 3 * time.Second, "0": 0, "-1": 0, "": 0, "soon": 0,
		"Tue, 01 Jan 2030 00:00:09 GMT": 9 * time.Second,
		"Mon, 31 Dec 2029 00:00:00 GMT": 0,
	} {
		require.Equal(t, want, parseRetryAfter(text, now), text)
	}
}

func TestBackoffGrowsToItsLimit(t *testing.T) {
	t.Parallel()
	b := defaultBackoff
	for n := 1; n < 100; n++ {
		delay := b.delay(n, 0)
		require.LessOrEqual(t, delay, b.limit)
		require.GreaterOrEqual(t, delay, b.base/2)
	}
	require.GreaterOrEqual(t, b.delay(50, 0), b.limit/2)
	require.Equal(t, b.longest, b.delay(1, time.Hour))
}
