package web

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestBodiesTogetherAreBounded: one that stalls holds what it has sent; who comes with more than is left is told to
// come again, small ones go on, and the room is free afterwards.
func TestBodiesTogetherAreBounded(t *testing.T) {
	t.Parallel()
	const room, large = 100 << 10, 60 << 10
	e := start(t, func(c *Config) { c.MaxBodies = room })
	const path = "/v1/functions/echo/jobs?delay=1h"
	text := `"` + strings.Repeat("a", large-2) + `"`
	line := `{"function":"echo","options":{"delay":"1h"},"input":` + text + "}\n"
	for name, head := range map[string]string{
		"declared": fmt.Sprintf("POST %s HTTP/1.1\r\nContent-Length: %d\r\n", path, large),
		"chunked":  "POST " + path + " HTTP/1.1\r\nTransfer-Encoding: chunked\r\n",
		"batch":    "POST /v1/jobs/batch HTTP/1.1\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n",
	} {
		body := text
		if name == "batch" {
			body = line
		}
		first, rest := body[:len(body)-10], body[len(body)-10:]
		if name != "declared" {
			first = fmt.Sprintf("%x\r\n%s\r\n", len(first), first)
			rest = fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(rest), rest)
		}
		conn := e.dial()
		_, err := io.WriteString(conn, head+"Host: x\r\nAuthorization: Bearer "+devKey+"\r\n\r\n"+first)
		require.NoError(t, err)
		require.Eventually(t, func() bool { return e.server.bodies.used.Load() >= large-10 }, patience, time.Millisecond, name)

		refused := e.do(http.MethodPost, path, devKey, text)
		require.Equal(t, http.StatusServiceUnavailable, refused.status, refused.body)
		require.Equal(t, CodeBusy, refused.problem(t).Code)
		require.NotEmpty(t, refused.header.Get("Retry-After"))
		require.Equal(t, http.StatusAccepted, e.do(http.MethodPost, path, devKey, `1`).status, "small ones go on")

		_, err = io.WriteString(conn, rest)
		require.NoError(t, err)
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Less(t, response.StatusCode, 300, name)
		require.Eventually(t, func() bool { return e.server.bodies.used.Load() == 0 }, patience, time.Millisecond, name)
		require.Equal(t, http.StatusAccepted, e.do(http.MethodPost, path, devKey, text).status, name)
	}
}

// Results are held until the end of a batch, and a line of a few kilobytes has a thousand of them.
func TestResultsOfBatchesAreBounded(t *testing.T) {
	t.Parallel()
	const room = 200 * refusedBytes
	e := start(t, func(c *Config) { c.MaxBodies = room })
	key := e.key("channels:publish:mine:*")
	broadcast := func(channel string, count int) string {
		return `{"channels":[` + strings.TrimSuffix(strings.Repeat(`"`+channel+`",`, count), ",") + `],"data":1}`
	}
	refused := e.do(http.MethodPost, "/v1/messages", key, broadcast("other", 300))
	require.Equal(t, CodeBusy, refused.problem(t).Code, refused.body)
	require.NotEmpty(t, refused.header.Get("Retry-After"))
	for range 3 {
		require.Len(t, e.messages(key, broadcast("other", 100)), 100)
	}
	array := e.do(http.MethodPost, "/v1/messages", key, "["+broadcast("other", 300)+"]")
	require.Equal(t, http.StatusServiceUnavailable, array.status, array.body)
	require.Zero(t, e.server.bodies.used.Load(), "it is given back")
}
