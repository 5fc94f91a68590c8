package web

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestNamespacesAreEdited(t *testing.T) {
	t.Parallel()
	e := startShared(t)
	reader, manager := e.key("namespaces:read"), e.key("namespaces:manage")
	require.Equal(t, http.StatusForbidden, e.do(http.MethodPut, "/v1/namespaces/chat", reader, `{}`).status)
	require.Equal(t, http.StatusNotFound, e.do(http.MethodGet, "/v1/namespaces/chat", reader, "").status)
	require.Equal(t, CodeForbidden, e.do(http.MethodPost, "/v1/channels/chat:1/messages", e.token(`{"user":"ada"}`), `1`).problem(t).Code)

	got := e.do(http.MethodPut, "/v1/namespaces/chat", manager, `{"history_size":5,"history_ttl":"1m","publish":"user","presence":true}`)
	require.Equal(t, http.StatusOK, got.status, got.body)
	var stored namespace
	got.json(t, &stored)
	require.Equal(t, "chat", stored.Name)
	require.Equal(t, 5, stored.HistorySize)
	require.EqualValues(t, "user", stored.Publish)
	require.EqualValues(t, "key", stored.Subscribe)
	require.False(t, stored.BuiltIn)
	require.NotNil(t, stored.UpdatedAt)
	require.Contains(t, got.body, `"history_ttl":"1m0s"`)
	require.Equal(t, http.StatusOK, e.do(http.MethodPost, "/v1/channels/chat:1/messages", e.token(`{"user":"ada"}`), `1`).status, "it is in force")

	again := e.do(http.MethodPut, "/v1/namespaces/chat", manager, e.do(http.MethodGet, "/v1/namespaces/chat", reader, "").body)
	require.Equal(t, http.StatusOK, again.status, "what was read can be written: %s", again.body)
	list := e.do(http.MethodGet, "/v1/namespaces", reader, "")
	require.Contains(t, list.body, `"chat"`)
	require.Contains(t, list.body, `"view":true`)

	require.Equal(t, http.StatusNoContent, e.do(http.MethodDelete, "/v1/namespaces/chat", manager, "").status)
	require.Equal(t, http.StatusNotFound, e.do(http.MethodDelete, "/v1/namespaces/chat", manager, "").status)
	require.Equal(t, http.StatusForbidden, e.do(http.MethodPost, "/v1/channels/chat:1/messages", e.token(`{"user":"ada"}`), `1`).status)
}

func TestTheDefaultNamespace(t *testing.T) {
	t.Parallel()
	e := startShared(t)
	builtIn := e.do(http.MethodGet, "/v1/namespaces/:default", devKey, "")
	require.Contains(t, builtIn.body, `"built_in":true`)
	require.Contains(t, builtIn.body, `"history_size":500`)
	put := e.do(http.MethodPut, "/v1/namespaces/:default", devKey, `{"history_size":2,"history_ttl":60}`)
	require.Equal(t, http.StatusOK, put.status, put.body)
	require.Contains(t, put.body, `"name":"","history_size":2`)
	require.Equal(t, http.StatusNoContent, e.do(http.MethodDelete, "/v1/namespaces/:default", devKey, "").status)
	require.Contains(t, e.do(http.MethodGet, "/v1/namespaces/:default", devKey, "").body, `"history_size":500`)
}

func TestNamespacesThatCannotBe(t *testing.T) {
	t.Parallel()
	e := startShared(t)
	for _, c := range []struct {
		name, body string
		code       Code
		field      string
	}{
		{"chat", `{}`, CodeValidationFailed, "history_size"},
		{"chat", `{"history_size":1,"history_ttl":"1m","ephemeral":true}`, CodeValidationFailed, "history_size"},
		{"chat", `{"ephemeral":true,"subscribe":"everybody"}`, CodeValidationFailed, "subscribe"},
		{"chat", `{"ephemeral":true,"presence_rule":"user"}`, CodeValidationFailed, "presence_rule"},
		{"chat", `{"ephemeral":true,"name":"other"}`, CodeValidationFailed, "name"},
		{"chat", `{"ephemeral":true,"max_size":-1}`, CodeValidationFailed, "max_size"},
		{"a:b", `{"ephemeral":true}`, CodeValidationFailed, "name"},
		{"a%00", `{"ephemeral":true}`, CodeValidationFailed, "name"},
		{"chat", `{"history":1}`, CodeInvalidRequest, "history"},
		{"chat", `{"history_ttl":"soon"}`, CodeInvalidRequest, ""},
		{"user", `{"ephemeral":true}`, CodeNamespaceBuiltIn, ""},
		{"job", `{"ephemeral":true}`, CodeNamespaceBuiltIn, ""},
	} {
		got := e.do(http.MethodPut, "/v1/namespaces/"+c.name, devKey, c.body)
		problem := got.problem(t)
		require.Equal(t, c.code, problem.Code, "%s %s: %s", c.name, c.body, got.body)
		if c.field != "" {
			require.Equal(t, c.field, problem.Errors[0].Field, got.body)
		}
	}
	require.Equal(t, CodeNamespaceBuiltIn, e.do(http.MethodDelete, "/v1/namespaces/job", devKey, "").problem(t).Code)
}
