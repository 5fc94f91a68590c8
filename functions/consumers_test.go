package functions_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/functions"
	"github.com/millrace-dev/millrace/functions/consumers"
	"github.com/millrace-dev/millrace/functions/runtimes"
	"github.com/millrace-dev/millrace/internal/testdb"
)

func consumer(name, route string) functions.Source {
	return source(name, fmt.Sprintf(`export const socket = { route: %q };
		export function receive(event, ctx) { ctx.send(event.data); }`, route))
}

func mistakesOf(t *testing.T, err error) []functions.Diagnostic {
	t.Helper()
	var build *functions.BuildError
	require.ErrorAs(t, err, &build)

	return build.Diagnostics
}

func TestMistakesInSocket(t *testing.T) {
	t.Parallel()
	s := start(t, testdb.New(t), setup{noStart: true})
	for text, want := range map[string]string{
		`export const socket = 7; export function receive() {}`:                                 `socket must be an object, such as { route: "/ws/chat/:room" }`,
		`export const socket = { route: "/v1/chat" }; export function receive() {}`:             `socket.route must begin with /ws/, as "/ws/chat/:room": other paths, such as /v1, are the server's own`,
		`export const socket = { route: "/ws/a//b" }; export function receive() {}`:             `socket.route has an empty segment`,
		`export const socket = { route: "/ws/:a/:a" }; export function receive() {}`:            `socket.route has the parameter :a twice`,
		`export const socket = { route: "/ws/:1" }; export function receive() {}`:               `socket.route has a parameter whose name is not letters, digits and '_': :1`,
		`export const socket = { route: "/ws/.." }; export function receive() {}`:               `socket.route has a segment that is neither letters, digits and "-_.~" nor a parameter such as :room: ..`,
		`export const socket = { route: "/ws/a", access: "all" }; export function receive() {}`: `socket.access must be "user", "public" or "key", not "all"`,
		`export const socket = { route: "/ws/a", protocol: "x" }; export function receive() {}`: `socket.protocol is no option; there are route and access`,
		`export const socket = { route: "/ws/a" }; export default () => 1;`:                     `socket is exported, but no handler: export connect, receive, message or disconnect`,
		`export const receive = () => 1;`:                                                       "there is no function to run: write `export default async function (input, ctx) { … }`, or for a WebSocket `export const socket = { route: \"/ws/chat\" }` and `export function receive(event, ctx) { … }`",
		`export const socket = {}; export const receive = 7; export const connect = () => {};`:  `socket.route must begin with /ws/, as "/ws/chat/:room": other paths, such as /v1, are the server's own`,
	} {
		_, err := s.Deploy(t.Context(), functions.Deployment{Functions: []functions.Source{source("bad", text)}})
		list := mistakesOf(t, err)
		require.Len(t, list, 1, text)
		require.Equal(t, want, list[0].Message)
		require.Equal(t, 1, list[0].Line)
	}
}

func TestRoutesAreOneFunctionsEach(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	s, other := start(t, db, setup{before: func(s *functions.Service) {
		require.NoError(t, s.RegisterConsumer("/ws/own/:x", &consumers.Funcs{Connect: func(context.Context, *consumers.Socket) error { return nil }}))
	}}), start(t, db, setup{})
	deploy(t, s, consumer("chat", "/ws/chat/:room"))
	attempt := func(sources ...functions.Source) []functions.Diagnostic {
		_, err := s.Deploy(t.Context(), functions.Deployment{Functions: sources})
		return mistakesOf(t, err)
	}
	want := "socket.route /ws/chat/:name matches the same paths as /ws/chat/:room of chat: change one of them"
	require.Equal(t, []functions.Diagnostic{{Function: "talk", File: "talk.ts", Message: want}}, attempt(consumer("talk", "/ws/chat/:name")))
	require.Len(t, attempt(consumer("one", "/ws/x"), consumer("two", "/ws/x/")), 2, "within one deployment")
	require.Contains(t, attempt(consumer("mine", "/ws/own/:y"))[0].Message, "of the program (/ws/own/:x)")
	deploy(t, s, consumer("lobby", "/ws/chat/lobby"))

	// A route moves from one function to another in one deployment, and back by a rollback only if it is free.
	moved := deploy(t, s, consumer("chat", "/ws/rooms/:room"), consumer("talk", "/ws/chat/:room"))
	_, err := s.Rollback(t.Context(), "chat", moved[0].Previous)
	require.Contains(t, mistakesOf(t, err)[0].Message, "of talk: change one of them")
	for _, instance := range []instance{s, other} {
		require.Eventually(t, func() bool {
			found, ok := instance.Consumer("/ws/chat/x")
			return ok && found.Function == "talk" && found.Params["room"] == "x"
		}, patience, 5*time.Millisecond)
	}
	_, err = s.Deploy(t.Context(), functions.Deployment{Remove: []string{"talk"}})
	require.NoError(t, err)
	_, err = s.Rollback(t.Context(), "chat", moved[0].Previous)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		found, ok := other.Consumer("/ws/chat/x")
		_, gone := other.Consumer("/ws/rooms/x")
		return ok && found.Function == "chat" && !gone
	}, patience, 5*time.Millisecond)
}

// TestRoutesCannotRace: of functions that are deployed at once with one route, one is.
func TestRoutesCannotRace(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	instances := []instance{start(t, db, setup{}), start(t, db, setup{})}
	const rivals = 6
	won := make(chan string, rivals)
	var race sync.WaitGroup
	for i := range rivals {
		name := fmt.Sprint("rival", i)
		race.Go(func() {
			_, err := instances[i%2].Deploy(t.Context(), functions.Deployment{Functions: []functions.Source{consumer(name, "/ws/prize")}})
			if err == nil {
				won <- name
			}
		})
	}
	race.Wait()
	require.Len(t, won, 1)
	found, ok := instances[0].Consumer("/ws/prize")
	require.True(t, ok)
	require.Equal(t, <-won, found.Function)
}

func TestMistakesInGoConsumers(t *testing.T) {
	t.Parallel()
	s := start(t, testdb.New(t), setup{noStart: true})
	nothing := func(context.Context, *consumers.Socket) error { return nil }
	good := &consumers.Funcs{Connect: nothing}
	require.NoError(t, s.RegisterConsumer("/ws/a/:x", good))
	require.ErrorContains(t, s.RegisterConsumer("/ws/a/:y", good), "is there already")
	require.ErrorContains(t, s.RegisterConsumer("/chat", good), "must begin with /ws/")
	require.ErrorContains(t, s.RegisterConsumer("/ws/b", &consumers.Funcs{}), "has no handler")
	require.ErrorContains(t, s.RegisterConsumer("/ws/b", &consumers.Funcs{Connect: nothing, Access: "all"}), `"all" is no access`)
	require.NoError(t, s.Start(t.Context()))
	require.ErrorContains(t, s.RegisterConsumer("/ws/b", good), "before Start")
}

// TestAConsumerMayBeAFunctionToo: a file with a default export runs as a job as well.
func TestAConsumerMayBeAFunctionToo(t *testing.T) {
	t.Parallel()
	s := start(t, testdb.New(t), setup{})
	deploy(t, s, source("both", `export const socket = { route: "/ws/both" };
		export const connect = () => {};
		export default (input, ctx) => [typeof ctx.send, typeof ctx.progress, input];`))
	require.JSONEq(t, `["undefined","function",7]`, mustCall(t, s, "both", `7`))
	f, err := s.Get(t.Context(), "both")
	require.NoError(t, err)
	require.Equal(t, &runtimes.Socket{Route: "/ws/both", Access: runtimes.AccessUser, Handlers: []runtimes.Handler{runtimes.HandleConnect}}, f.Config.Socket)
	only := source("only", `export const socket = { route: "/ws/only" }; export const connect = () => {};`)
	deploy(t, s, only)
	_, err = call(t, s, "only", "", `1`, patience)
	require.Equal(t, "exception", codeOf(t, err))
	require.ErrorContains(t, err, "no default export")
}
