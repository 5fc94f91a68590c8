package web

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// ended reads lines until the stream is over.
func ended(t *testing.T, lines <-chan string) {
	t.Helper()
	deadline := time.After(patience)
	for open := true; open; {
		select {
		case _, open = <-lines:
		case <-deadline:
			t.Fatal("the stream goes on")
		}
	}
}

func TestConnectionsAreManaged(t *testing.T) {
	t.Parallel()
	e := startShared(t)
	key := e.key("connections:manage")
	order := func(command, body string) {
		t.Helper()
		got := e.do(http.MethodPost, "/v1/connections/"+command, key, body)
		require.Equal(t, http.StatusNoContent, got.status, got.body)
	}
	tokenOf := func(user string) string {
		return "/v1/stream?channels=room:1&token=" + e.token(fmt.Sprintf(`{"user":%q,"subscribe":["room:*"]}`, user))
	}
	ada, bob, eve := e.follow(tokenOf("ada"), ""), e.follow(tokenOf("bob"), ""), e.follow(tokenOf("eve"), "")
	for _, lines := range []<-chan string{ada, bob, eve} {
		await(t, lines, "subscribed")
	}
	count := e.do(http.MethodGet, "/v1/connections?user=ada", key, "")
	require.Equal(t, http.StatusOK, count.status, count.body)
	require.JSONEq(t, `{"connections":1}`, count.body)
	require.JSONEq(t, `{"connections":0}`, e.do(http.MethodGet, "/v1/connections?user=ada&client=x", key, "").body)
	require.Equal(t, http.StatusForbidden, e.do(http.MethodGet, "/v1/connections?user=ada", e.key("channels:presence:*"), "").status)
	order("disconnect", `{"user":"ada","code":4500,"reason":"banned"}`)
	await(t, ada, `"code":4500,"reason":"banned","reconnect":false`)
	ended(t, ada)
	order("refresh", `{"user":"bob","expired":true}`)
	await(t, bob, `"code":3005`)
	ended(t, bob)
	order("unsubscribe", `{"user":"eve","channel":"room:1"}`)
	ended(t, eve)

	staying := e.follow(tokenOf("zoe"), "")
	await(t, staying, "subscribed")
	order("disconnect", `{"user":"nobody"}`)
	require.Equal(t, http.StatusOK, e.do(http.MethodPost, "/v1/channels/room:1/messages", devKey, `"still here"`).status)
	await(t, staying, "still here")
}

func TestCommandsThatMeanNothing(t *testing.T) {
	t.Parallel()
	e := start(t)
	require.Equal(t, CodeValidationFailed, e.do(http.MethodGet, "/v1/connections", devKey, "").problem(t).Code)
	for _, c := range []struct {
		command, body string
		code          Code
	}{
		{"disconnect", `{}`, CodeValidationFailed},
		{"disconnect", `{"user":"a","code":3000}`, CodeValidationFailed},
		{"disconnect", `{"user":"a","code":4500,"reconnect":true}`, CodeValidationFailed},
		{"disconnect", `{"users":["a"]}`, CodeInvalidRequest},
		{"disconnect", ``, CodeInvalidJSON},
		{"unsubscribe", `{"channel":"a"}`, CodeValidationFailed},
		{"unsubscribe", `{"user":"a"}`, CodeInvalidRequest},
		{"unsubscribe", `{"user":"a","channel":"a\u0000"}`, CodeInvalidRequest},
		{"refresh", `{"user":"a"}`, CodeValidationFailed},
		{"refresh", `{"user":"a","expires_at":"2020-01-01T00:00:00Z"}`, CodeValidationFailed},
		{"refresh", `{"user":"a","expires_at":"soon"}`, CodeInvalidRequest},
	} {
		got := e.do(http.MethodPost, "/v1/connections/"+c.command, devKey, c.body)
		require.Equal(t, c.code, got.problem(t).Code, "%s %s: %s", c.command, c.body, got.body)
	}
}
