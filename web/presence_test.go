package web

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/realtime"
)

// token mints one with the development key.
func (e *env) token(request string) string {
	e.t.Helper()
	got := e.do(http.MethodPost, "/v1/tokens", devKey, request)
	require.Equal(e.t, http.StatusCreated, got.status, got.body)
	var minted struct{ Token string }
	require.NoError(e.t, json.Unmarshal([]byte(got.body), &minted))
	return minted.Token
}

func TestPresence(t *testing.T) {
	t.Parallel()
	e := startShared(t)
	ada := e.token(`{"user":"ada","subscribe":["lobby:*"],"info":{"name":"Ada"}}`)
	for range 2 {
		await(t, e.follow("/v1/stream?channels=lobby:1&token="+ada, ""), "subscribed")
	}
	await(t, e.follow("/v1/stream?channels=lobby:1", devKey), "subscribed")

	key := e.key("channels:presence:lobby:*")
	got := e.do(http.MethodGet, "/v1/channels/lobby:1/presence", key, "")
	require.Equal(t, http.StatusOK, got.status, got.body)
	var page struct{ Members []member }
	got.json(t, &page)
	require.Len(t, page.Members, 3)
	users := map[string]int{}
	for _, m := range page.Members {
		users[m.User]++
		require.NotEmpty(t, m.Client)
		if m.User == "ada" {
			require.JSONEq(t, `{"name":"Ada"}`, string(m.Info))
		}
	}
	require.Equal(t, map[string]int{"ada": 2, "": 1}, users)
	require.JSONEq(t, `{"clients":3,"users":2}`, e.do(http.MethodGet, "/v1/channels/lobby:1/presence/stats", key, "").body)
	require.JSONEq(t, `{"members":[]}`, e.do(http.MethodGet, "/v1/channels/lobby:2/presence", key, "").body)

	require.Equal(t, CodeForbidden, e.do(http.MethodGet, "/v1/channels/plaza:1/presence", key, "").problem(t).Code)
	require.Equal(t, CodeNoPresence, e.do(http.MethodGet, "/v1/channels/room:1/presence", devKey, "").problem(t).Code)
	require.Equal(t, CodeInvalidRequest, e.do(http.MethodGet, "/v1/channels/lobby:%00/presence", devKey, "").problem(t).Code)
}

func TestChannelsList(t *testing.T) {
	t.Parallel()
	e := startShared(t)
	list := func(key, query string) (names []string, next string) {
		t.Helper()
		got := e.do(http.MethodGet, "/v1/channels"+query, key, "")
		require.Equal(t, http.StatusOK, got.status, got.body)
		var page struct {
			Channels []realtime.ChannelInfo
			Next     string
			Missing  int
		}
		got.json(t, &page)
		require.Zero(t, page.Missing)
		for _, c := range page.Channels {
			names = append(names, fmt.Sprint(c.Channel, " ", c.Clients))
		}
		return names, page.Next
	}
	names, _ := list(devKey, "")
	require.Empty(t, names)
	for _, channels := range []string{"room:1,room:2,other:1", "room:1,room:10,zone:1"} {
		await(t, e.follow("/v1/stream?channels="+channels, devKey), "room:1")
	}
	job := e.do(http.MethodPost, "/v1/functions/orders.charge/jobs?delay=1h", devKey, `1`).job(t)
	await(t, e.follow(fmt.Sprintf("/v1/jobs/%d/events", job.ID), devKey), "scheduled")

	all := []string{fmt.Sprintf("job:%d 1", job.ID), "other:1 1", "room:1 2", "room:10 1", "room:2 1", "zone:1 1"}
	require.Eventually(t, func() bool { names, _ := list(devKey, ""); return len(names) == len(all) }, patience, 1e6)
	names, next := list(devKey, "")
	require.Equal(t, all, names)
	require.Empty(t, next)
	names, _ = list(devKey, "?prefix=room:")
	require.Equal(t, all[2:5], names)

	for name, c := range map[string]struct {
		scopes []string
		query  string
		want   []string
	}{
		"a pattern":            {[]string{"channels:presence:room:*"}, "", all[2:5]},
		"a name":               {[]string{"channels:presence:room:1"}, "", all[2:3]},
		"patterns":             {[]string{"channels:presence:zone:*", "channels:presence:other:*"}, "", []string{all[1], all[5]}},
		"overlapping patterns": {[]string{"channels:presence:room:1*", "channels:presence:room:*"}, "", all[2:5]},
		"another prefix":       {[]string{"channels:presence:zone:*"}, "?prefix=room:", nil},
		"a longer prefix":      {[]string{"channels:presence:room:*"}, "?prefix=room:1", all[2:4]},
		"a shorter prefix":     {[]string{"channels:presence:room:1*"}, "?prefix=r", all[2:4]},
		"not jobs":             {[]string{"channels:presence:*"}, "", all[1:]},
		"jobs too":             {[]string{"channels:presence:*", "jobs:read:orders.*"}, "", all},
	} {
		names, next := list(e.key(c.scopes...), c.query)
		require.Equal(t, c.want, names, name)
		require.Empty(t, next, name)
	}

	var paged []string
	query := "?limit=1"
	key := e.key("channels:presence:room:*", "channels:presence:zone:*")
	for range 10 {
		names, next := list(key, query)
		require.LessOrEqual(t, len(names), 1)
		if paged = append(paged, names...); next == "" {
			break
		}
		query = "?limit=1&cursor=" + next
	}
	require.Equal(t, all[2:], paged)
	require.Equal(t, CodeInvalidRequest, e.do(http.MethodGet, "/v1/channels?limit=1001", devKey, "").problem(t).Code)
	require.Equal(t, CodeInvalidRequest, e.do(http.MethodGet, "/v1/channels?prefix=%00", devKey, "").problem(t).Code)
}

// Of a namespace open to end users, each of them may do what its rules say, without a grant.
func TestRulesOfNamespaces(t *testing.T) {
	t.Parallel()
	e := startShared(t)
	ada := e.token(`{"user":"ada"}`)
	require.Equal(t, http.StatusOK, e.do(http.MethodPost, "/v1/channels/plaza:1/messages", ada, `1`).status)
	require.Contains(t, e.do(http.MethodGet, "/v1/channels/plaza:1/history", ada, "").body, `"data":1`)
	await(t, e.follow("/v1/stream?channels=plaza:1&token="+ada, ""), "subscribed")
	require.Contains(t, e.do(http.MethodGet, "/v1/channels/plaza:1/presence", ada, "").body, `"ada"`)
	for path, method := range map[string]string{
		"/v1/channels/room:1/messages": http.MethodPost, "/v1/channels/room:1/history": http.MethodGet, "/v1/channels/lobby:1/presence": http.MethodGet,
	} {
		require.Equal(t, http.StatusForbidden, e.do(method, path, ada, `1`).status, path)
	}
	key := e.key("stats:read")
	require.Equal(t, http.StatusForbidden, e.do(http.MethodPost, "/v1/channels/plaza:1/messages", key, `1`).status, "a key is no end user")
}
