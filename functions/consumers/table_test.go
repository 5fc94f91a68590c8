package consumers

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/functions/runtimes"
)

func table(t *testing.T, routes ...string) *Table[string] {
	t.Helper()
	all := &Table[string]{}
	for _, text := range routes {
		route, mistake := runtimes.ParseRoute(text)
		require.Empty(t, mistake)
		require.NoError(t, all.Add(route, text))
	}

	return all
}

func TestPathsFindTheirRoute(t *testing.T) {
	t.Parallel()
	all := table(t, "/ws/chat", "/ws/chat/:room", "/ws/chat/lobby", "/ws/:app/:room/feed", "/ws/chat/:room/log/", "/ws/chat/lobby/:who")
	for path, want := range map[string]struct {
		route  string
		params map[string]string
	}{
		"/ws/chat":                {"/ws/chat", map[string]string{}},
		"/ws/chat/":               {"/ws/chat", map[string]string{}},
		"/ws/chat/lobby":          {"/ws/chat/lobby", map[string]string{}},
		"/ws/chat/kitchen":        {"/ws/chat/:room", map[string]string{"room": "kitchen"}},
		"/ws/chat/kitchen/":       {"/ws/chat/:room", map[string]string{"room": "kitchen"}},
		"/ws/chat/%EA%B0%80%2Fb":  {"/ws/chat/:room", map[string]string{"room": "가/b"}},
		"/ws/chat/%252e":          {"/ws/chat/:room", map[string]string{"room": "%2e"}},
		"/ws/chat/%ff":            {"/ws/chat/:room", map[string]string{"room": "\uFFFD"}},
		"/ws/chat/%6cobby":        {"/ws/chat/:room", map[string]string{"room": "lobby"}},
		"/ws/chat/kitchen/log":    {"/ws/chat/:room/log", map[string]string{"room": "kitchen"}},
		"/ws/chat/lobby/log":      {"/ws/chat/lobby/:who", map[string]string{"who": "log"}},
		"/ws/chat/lobby/feed":     {"/ws/chat/lobby/:who", map[string]string{"who": "feed"}},
		"/ws/news/lobby/feed":     {"/ws/:app/:room/feed", map[string]string{"app": "news", "room": "lobby"}},
		"/ws/chat/kitchen/feed":   {"/ws/:app/:room/feed", map[string]string{"app": "chat", "room": "kitchen"}},
		"/ws/chat/kitchen/nobody": {},
		"/ws":                     {},
		"/ws/":                    {},
		"/ws//":                   {},
		"/ws/chat//log":           {},
		"/ws/chat/%zz":            {},
		"/v1/ws":                  {},
		"/ws/CHAT":                {},
		"/ws/chat/" + strings.Repeat("x", maxPath): {},
	} {
		route, params, ok := all.Find(path)
		require.Equal(t, want.route != "", ok, path)
		require.Equal(t, want.route, strings.TrimSuffix(route, "/"), path)
		if ok {
			require.Equal(t, want.params, params, path)
		}
	}
}

func TestRoutesOfOneShapeConflict(t *testing.T) {
	t.Parallel()
	all := table(t, "/ws/chat/:room")
	require.ErrorContains(t, all.Add(runtimes.Route{"chat", ":name"}, "other"), "/ws/chat/:")
	others := map[string]string{"chat": "/ws/chat/:room", "news": "/ws/news"}
	require.Empty(t, Conflict("chat", "/ws/chat/:room", others), "with itself")
	require.Empty(t, Conflict("lobby", "/ws/chat/lobby", others))
	require.Equal(t, "socket.route /ws/chat/:name/ matches the same paths as /ws/chat/:room of chat: change one of them",
		Conflict("talk", "/ws/chat/:name/", others))
}
