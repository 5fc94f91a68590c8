package web

import (
	"bufio"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/auth"
)

// follow opens a stream and returns its lines; the channel is closed with the stream.
func (e *env) follow(path, key string) <-chan string {
	e.t.Helper()
	request, err := http.NewRequestWithContext(e.t.Context(), http.MethodGet, "http://"+e.server.Addr()+path, nil)
	require.NoError(e.t, err)
	if key != "" {
		request.Header.Set("Authorization", "Bearer "+key)
	}
	response, err := e.http.Do(request)
	require.NoError(e.t, err)
	e.t.Cleanup(func() { _ = response.Body.Close() })
	require.Equal(e.t, http.StatusOK, response.StatusCode)
	require.Equal(e.t, "text/event-stream", response.Header.Get("Content-Type"))
	lines := make(chan string, 1000)
	go func() {
		defer close(lines)
		for scan := bufio.NewScanner(response.Body); scan.Scan(); {
			lines <- scan.Text()
		}
	}()
	return lines
}

// await reads lines until one holds the text.
func await(t *testing.T, lines <-chan string, text string) {
	t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case line, open := <-lines:
			require.True(t, open, "the stream ended before %q", text)
			if strings.Contains(line, text) {
				return
			}
		case <-deadline:
			t.Fatalf("no %q", text)
		}
	}
}

func TestJobEvents(t *testing.T) {
	t.Parallel()
	e := start(t)
	job := e.do(http.MethodPost, "/v1/functions/orders.charge/jobs?delay=1h", devKey, `1`).job(t)
	path := fmt.Sprintf("/v1/jobs/%d", job.ID)
	token := e.do(http.MethodPost, "/v1/tokens", devKey, fmt.Sprintf(`{"user":"u","subscribe":["job:%d"]}`, job.ID))
	var minted struct{ Token string }
	token.json(t, &minted)
	streams := []<-chan string{
		e.follow(path+"/events", devKey),
		e.follow(path+"/events", e.key("jobs:read:orders.*")),
		e.follow(path+"/events?token="+minted.Token, ""),
		e.follow(fmt.Sprintf("/v1/stream?channels=job:%d&token=%s", job.ID, minted.Token), ""),
	}
	// The path says which job, and nothing else does.
	require.Equal(t, http.StatusBadRequest, e.do(http.MethodGet, path+"/events?channels=jobs", devKey, "").status)
	other := e.do(http.MethodPost, "/v1/functions/orders.charge/jobs?delay=1h", devKey, `1`).job(t)
	denied := e.do(http.MethodGet, fmt.Sprintf("/v1/jobs/%d/events?token=%s", other.ID, minted.Token), "", "")
	require.Equal(t, http.StatusNotFound, denied.status)
	for _, lines := range streams {
		await(t, lines, `"scheduled"`)
	}
	require.Equal(t, http.StatusOK, e.do(http.MethodPost, path+"/cancel", devKey, "").status)
	for _, lines := range streams {
		await(t, lines, `"cancelled"`)
	}
	require.NotContains(t, e.log.String(), minted.Token, "a credential in an address is not logged")
}

// TestRevocationClosesOpenStreams: within five seconds, wherever the key was revoked.
func TestRevocationClosesOpenStreams(t *testing.T) {
	t.Parallel()
	e := start(t)
	elsewhere := auth.NewStore(e.db.Pool, nil, nil)
	key, text, err := elsewhere.CreateKey(t.Context(), auth.KeyParams{Scopes: []string{"channels:subscribe:room:*"}})
	require.NoError(t, err)
	doomed, staying := e.follow("/v1/stream?channels=room:1", text), e.follow("/v1/stream?channels=room:1", devKey)
	require.Equal(t, http.StatusOK, e.do(http.MethodPost, "/v1/channels/room:1/messages", devKey, `"before"`).status)
	await(t, doomed, "before")
	await(t, staying, "before")
	begin := time.Now()
	require.NoError(t, elsewhere.Revoke(t.Context(), key.ID))
	for open := true; open; {
		select {
		case _, open = <-doomed:
		case <-time.After(5*time.Second - time.Since(begin)):
			t.Fatal("the stream is still open")
		}
	}
	require.Equal(t, http.StatusOK, e.do(http.MethodPost, "/v1/channels/room:1/messages", devKey, `"after"`).status)
	await(t, staying, "after")
}
