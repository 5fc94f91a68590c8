package main

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestChannels(t *testing.T) {
	t.Parallel()
	a := newAPI(t, map[string]http.HandlerFunc{
		"GET /v1/channels": func(w http.ResponseWriter, r *http.Request) {
			body := `{"channels":[{"channel":"room:1","clients":2}],"next":"room:1"}`
			if r.URL.Query().Get("cursor") == "room:1" {
				body = `{"channels":[{"channel":"room:2","clients":1}],"next":""}`
			}
			answerJSON(body)(w, r)
		},
		"GET /v1/channels/room:1/presence": answerJSON(`{"members":[{"client":"c1","user":"ada","info":{"name":"Ada"}},{"client":"c2","user":""}]}`),
		"GET /v1/channels/room:1/history": func(w http.ResponseWriter, r *http.Request) {
			body := `{"publications":[{"offset":"2","data":2},{"offset":"1","data":1}],"top":{"offset":"2","epoch":"e"}}`
			if r.URL.Query().Get("offset") == "1" && r.URL.Query().Get("epoch") == "e" {
				body = `{"publications":[{"offset":"2","data":2}],"top":{"offset":"2","epoch":"e"}}`
			}
			answerJSON(body)(w, r)
		},
	})
	require.Equal(t, "CHANNEL  CONNECTIONS\nroom:1   2\nroom:2   1\n", a.run(t, "", "channels", "list", "room:").stdout)
	require.Equal(t, "USER  CONNECTION  INFO\nada   c1          {\"name\":\"Ada\"}\n-     c2          -\n", a.run(t, "", "channels", "presence", "room:1").stdout)
	got := a.run(t, "", "channels", "history", "room:1")
	require.Equal(t, "room:1  1  1\nroom:1  2  2\n", got.stdout)
	require.Contains(t, got.stderr, "room:1 is at e:2")
	require.Equal(t, "room:1  2  2\n", a.run(t, "", "channels", "history", "room:1", "--after", "e:1").stdout)
	for _, wrong := range []string{"1", "e", "e:x", ":1", "e:-1"} {
		require.Equal(t, exitUsage, a.run(t, "", "channels", "history", "room:1", "--after", wrong).code, wrong)
	}
}

func TestNamespaces(t *testing.T) {
	t.Parallel()
	stored := `{"name":"chat","history_size":5,"history_ttl":"10m0s","subscribe":"user","publish":"key","presence":false,"presence_rule":"key","history_rule":"key","built_in":false}`
	a := newAPI(t, map[string]http.HandlerFunc{
		"GET /v1/namespaces":             answerJSON(`{"namespaces":[{"name":"","history_size":500,"history_ttl":"1h0m0s","subscribe":"key","publish":"key","built_in":true},` + stored + `,{"name":"job","view":true,"built_in":true,"subscribe":"key"}]}`),
		"GET /v1/namespaces/chat":        answerJSON(stored),
		"PUT /v1/namespaces/chat":        answerJSON(stored),
		"GET /v1/namespaces/:default":    answerJSON(`{"name":"","history_size":500,"history_ttl":"10m0s","subscribe":"key","publish":"key","presence_rule":"key","history_rule":"key","built_in":true}`),
		"PUT /v1/namespaces/new":         answerJSON(stored),
		"DELETE /v1/namespaces/chat":     answerJSON(``),
		"DELETE /v1/namespaces/:default": answerJSON(``),
	})
	list := a.run(t, "", "namespaces", "list").stdout
	require.Regexp(t, `:default +500 for 1h +key +key +- +the program\n`, list)
	require.Regexp(t, `chat +5 for 10m +user +key +- +namespaces set\n`, list)
	require.Regexp(t, `job +a view +key +- +- +the program\n`, list)
	require.Contains(t, a.run(t, "", "namespaces", "get", "chat").stdout, `"history_size":5`)

	before := len(a.asked())
	for _, command := range []string{"get", "set", "delete"} {
		empty := a.run(t, "", "namespaces", command, "")
		require.Equal(t, exitUsage, empty.code, "a variable of the shell that is not set is not the default one: %s", empty.stdout)
		require.Contains(t, empty.stderr, ":default")
	}
	require.Len(t, a.asked(), before)
	got := a.run(t, "", "namespaces", "set", "chat", "--history-ttl", "1h", "--presence", "--no-relaxed", "--publish", "anyone")
	require.Zero(t, got.code, got.stderr)
	asked := a.asked()
	put := asked[len(asked)-1]
	for _, part := range []string{`"history_size":5`, `"history_ttl":"1h0m0s"`, `"presence":true`, `"relaxed":false`, `"publish":"anyone"`, `"subscribe":"user"`} {
		require.Contains(t, put, part, "what was not said stays")
	}
	require.Zero(t, a.run(t, "", "namespaces", "set", "new", "--ephemeral").code)
	asked = a.asked()
	require.Contains(t, asked[len(asked)-1], `PUT /v1/namespaces/new {"name":"new","history_size":0,"history_ttl":"0s","ephemeral":true`)
	require.Zero(t, a.run(t, "", "namespaces", "set", "new", "--presence").code)
	asked = a.asked()
	require.Contains(t, asked[len(asked)-1], `PUT /v1/namespaces/new {"name":"new","history_size":500,"history_ttl":"10m0s"`, "a new one begins as its channels were")
	require.Contains(t, asked[len(asked)-1], `"presence":true`)
	require.Zero(t, a.run(t, "", "namespaces", "set", "chat", "--ephemeral").code)
	asked = a.asked()
	require.Contains(t, asked[len(asked)-1], `"history_size":0,"history_ttl":"0s","ephemeral":true`, "an ephemeral one keeps nothing")
	require.Zero(t, a.run(t, "", "namespaces", "delete", "chat").code)
	require.Zero(t, a.run(t, "", "namespaces", "delete", ":default").code)
}

func TestDisconnect(t *testing.T) {
	t.Parallel()
	a := newAPI(t, map[string]http.HandlerFunc{
		"POST /v1/connections/disconnect": answerJSON(``),
		"GET /v1/connections": func(w http.ResponseWriter, r *http.Request) {
			answerJSON(map[bool]string{true: `{"connections":2,"missing":1}`, false: `{"connections":0}`}[r.URL.Query().Get("user") == "ada"])(w, r)
		},
	})
	told := a.run(t, "", "connections", "disconnect", "--user", "ada", "--code", "4500", "--reason", "banned")
	require.Zero(t, told.code)
	require.Equal(t, "Disconnected: 2 connections.\n1 instance did not answer and will carry it out when back.\n", told.stderr)
	require.Equal(t, []string{"GET /v1/connections?user=ada", `POST /v1/connections/disconnect {"user":"ada","code":4500,"reason":"banned"}`}, a.asked())
	require.Contains(t, a.run(t, "", "connections", "disconnect", "--user", "nobody").stderr, "Nobody was disconnected")
	got := a.run(t, "", "connections", "disconnect")
	require.Equal(t, exitUsage, got.code)
	require.Contains(t, got.stderr, "--user")
}
