package web

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

// A refusal names what was asked for and the rule that stood in the way, and says what this caller can do about it.
func TestRefusalsNameTheChannelAndTheRule(t *testing.T) {
	t.Parallel()
	e := startShared(t)
	for name, body := range map[string]string{
		"closed": `{"history_size":5,"history_ttl":"1m","presence":true}`,
		"open":   `{"history_size":5,"history_ttl":"1m","subscribe":"user","presence":true}`,
		"shut":   `{"history_size":5,"history_ttl":"1m","presence":true,"presence_rule":"user","history_rule":"user"}`,
		"square": `{"ephemeral":true,"subscribe":"anyone"}`,
	} {
		require.Equal(t, http.StatusOK, e.do(http.MethodPut, "/v1/namespaces/"+name, devKey, body).status)
	}
	user, narrow := e.token(`{"user":"ada"}`), e.key("channels:subscribe:other", "channels:publish:other", "channels:presence:other")
	for _, c := range []struct{ name, method, path, who, detail, hint string }{
		{
			"stream of a token", "GET", "/v1/stream?channels=open:1,closed:1", user,
			`The token does not let its user subscribe to "closed:1"; the rule subscribe of the namespace "closed" is "key".`,
			"Make a token whose list subscribe covers the channel, or set the namespace's rule subscribe to user.",
		},
		{
			"stream of a key", "GET", "/v1/stream?channels=a", narrow,
			`To subscribe to "a" takes the scope channels:subscribe with a pattern that matches it; the rule subscribe of the default namespace is "key".`,
			"Use a key with the scope that the detail names.",
		},
		{
			"stream of nobody", "GET", "/v1/stream?channels=closed:1", "",
			`Nobody without a credential may subscribe to "closed:1"; the rule subscribe of the namespace "closed" is "key".`,
			"Show a token or a key, or open the namespace by that rule.",
		},
		{
			"history by its own rule", "GET", "/v1/channels/open:1/history", user,
			`The token does not let its user read the history of "open:1"; the rule history_rule of the namespace "open" is "key".`,
			"Make a token whose list subscribe covers the channel, or set the namespace's rule history_rule to user.",
		},
		{
			"history by the rule about subscribing", "GET", "/v1/channels/shut:1/history", user,
			`The token does not let its user subscribe to "shut:1"; the rule subscribe of the namespace "shut" is "key".`,
			"Make a token whose list subscribe covers the channel, or set the namespace's rule subscribe to user.",
		},
		{
			"presence", "GET", "/v1/channels/open:1/presence", user,
			`The token does not let its user see the presence of "open:1"; the rule presence_rule of the namespace "open" is "key".`,
			"No token grants presence: set the namespace's rule presence_rule to user.",
		},
		{
			"publish", "POST", "/v1/channels/open:1/messages", user,
			`The token does not let its user publish to "open:1"; the rule publish of the namespace "open" is "key".`,
			"Make a token whose list publish covers the channel, or set the namespace's rule publish to user.",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := e.do(c.method, c.path, c.who, "")
			require.Equal(t, http.StatusForbidden, got.status, got.body)
			problem := got.problem(t)
			require.Equal(t, CodeForbidden, problem.Code)
			require.Equal(t, c.detail, problem.Detail)
			require.Equal(t, c.hint, problem.Hint)
		})
	}
	require.Equal(t, http.StatusForbidden, e.upgradeStatus("/v1/ws/raw?channels=closed:1"))
}

// What the rule of a namespace lets users publish one by one it lets them publish in a batch.
func TestARuleLetsUsersPublishInABatch(t *testing.T) {
	t.Parallel()
	e := startShared(t)
	require.Equal(t, http.StatusOK, e.do(http.MethodPut, "/v1/namespaces/wall", devKey, `{"ephemeral":true,"publish":"user"}`).status)
	results := e.messages(e.token(`{"user":"ada"}`), `{"channels":["wall:1","closed:1"],"data":1}`)
	require.Nil(t, results[0].Error)
	require.Equal(t, CodeForbidden, results[1].Error.Code)
	require.Contains(t, results[1].Error.Detail, `"closed:1"`)
	require.Equal(t, CodeUnauthenticated, e.do(http.MethodPost, "/v1/messages", "", `[]`).problem(t).Code)
}
