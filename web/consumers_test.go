package web

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/functions"
	"github.com/millrace-dev/millrace/internal/auth"
	"github.com/millrace-dev/millrace/jobs"
	"github.com/millrace-dev/millrace/millracetest"
	"github.com/millrace-dev/millrace/realtime"
)

// classical is the consumer that every tutorial of Channels begins with, ten lines long.
const classical = `export const socket = { route: "/ws/chat", access: "public" };

export function connect(event, ctx) {
  ctx.send('{"message": "연결 성공"}');
}

export function receive(event, ctx) {
  const { message } = event.json();
  ctx.send(` + "`{\"message\": ${JSON.stringify(message)}}`" + `);
}
`

// deployJS makes a function of one file live.
func (e *env) deployJS(name, text string) {
	e.t.Helper()
	_, err := e.tryDeploy(name, text)
	require.NoError(e.t, err)
}

func (e *env) tryDeploy(name, text string) (functions.DeployResult, error) {
	e.t.Helper()
	return e.server.cfg.Functions.Deploy(e.t.Context(), functions.Deployment{Functions: []functions.Source{
		{Name: name, Entry: name + ".js", Files: map[string][]byte{name + ".js": []byte(text)}},
	}})
}

func (e *env) connect(path string, options ...millracetest.Option) *millracetest.Communicator {
	e.t.Helper()
	return millracetest.Connect(e.t, e.server.Addr(), path, options...)
}

// userToken is one of a user.
func (e *env) userToken(user string) string {
	e.t.Helper()
	return e.token(fmt.Sprintf(`{"user":%q,"info":{"name":"Ann"}}`, user))
}

// enqueued waits for the jobs of a function, which tests use to see what handlers did, and returns their inputs.
func (e *env) enqueued(function string, count int) []string {
	e.t.Helper()
	var inputs []string
	require.Eventually(e.t, func() bool {
		page, err := e.jobs.List(e.t.Context(), jobs.ListQuery{Function: function})
		require.NoError(e.t, err)
		inputs = nil
		for _, job := range page.Jobs {
			var input bytes.Buffer
			require.NoError(e.t, json.Compact(&input, job.Input))
			inputs = append(inputs, input.String())
		}
		return len(inputs) >= count
	}, patience, 5*time.Millisecond)
	return inputs
}

func TestTheClassicalExchange(t *testing.T) {
	t.Parallel()
	e := start(t)
	e.deployJS("chat", classical)
	require.Equal(t, 10, strings.Count(classical, "\n"))
	c := e.connect("/ws/chat")
	require.Equal(t, `{"message": "연결 성공"}`, c.Receive()) //nolint:testifylint // byte for byte
	c.Send(`{"message": "안녕"}`)
	require.Equal(t, `{"message": "안녕"}`, c.Receive()) //nolint:testifylint // byte for byte
	c.Disconnect()
}

func TestWhatAConsumerSees(t *testing.T) {
	t.Parallel()
	e := start(t)
	e.deployJS("see", `
		export const socket = { route: "/ws/see/:room/:seat" };
		export function connect(event, ctx) {
		  const { id, params, query, headers, user, state } = ctx;
		  ctx.send({ type: event.type, id: id.length > 10, params, query, headers: Object.keys(headers).sort(), user, state });
		  ctx.state.count = 1;
		}
		export async function receive(event, ctx) {
		  ctx.state.count++;
		  if (event.data instanceof Uint8Array) ctx.send(event.data.map((b) => b + 1));
		  else ctx.send({ heard: event.data, count: ctx.state.count, frozen: Object.isFrozen(event) });
		}`)
	c := e.connect("/ws/see/%EA%B0%80%2Fb/7/?a=1&b=x%20y&token="+e.userToken("ann"), millracetest.Header("Accept-Language", "ko"),
		millracetest.Header("X-Secret", "hunter2"))
	require.JSONEq(t, `{"type":"connect","id":true,"params":{"room":"가/b","seat":"7"},"query":{"a":"1","b":"x y"},`+
		`"headers":["accept-language","host","user-agent"],"user":{"id":"ann","info":{"name":"Ann"}},"state":{}}`, c.Receive())
	c.Send("안녕")
	require.JSONEq(t, `{"heard":"안녕","count":2,"frozen":true}`, c.Receive())
	c.SendBytes([]byte{0, 1, 254})
	require.Equal(t, []byte{1, 2, 255}, c.ReceiveBytes())
	c.Send("")
	require.JSONEq(t, `{"heard":"","count":4,"frozen":true}`, c.Receive(), "the state is kept over events")
}

func TestWhoMayConnect(t *testing.T) {
	t.Parallel()
	e := start(t)
	for access, name := range map[string]string{"public": "open", "user": "users", "key": "keys"} {
		e.deployJS(name, fmt.Sprintf(`
			export const socket = { route: "/ws/%s", access: %q };
			export function connect(event, ctx) { ctx.send("welcome"); }`, name, access))
	}
	e.deployJS("default", `export const socket = { route: "/ws/default" };
		export function connect(event, ctx) { ctx.send("welcome"); }`)
	user, runs, reads := e.userToken("ann"), e.key("jobs:submit:*"), e.key("jobs:read:*")
	const in = http.StatusSwitchingProtocols
	for name, row := range map[string]struct {
		option                     millracetest.Option
		open, users, keys, without int
	}{
		"nobody":             {millracetest.Header("X-Nothing", ""), in, 401, 401, 401},
		"a user":             {millracetest.Token(user), in, in, 403, in},
		"a key that may run": {millracetest.Key(runs), in, in, in, in},
		"a key that may not": {millracetest.Key(reads), in, 403, 403, 403},
		"a bad key":          {millracetest.Key("wrong"), 401, 401, 401, 401},
		"another site":       {millracetest.Origin("https://evil.example"), 403, 401, 401, 401},
		"a stray cookie":     {millracetest.Header("Cookie", "other=1"), 403, 401, 401, 401},
		"our page":           {millracetest.Origin("http://" + e.server.Addr()), in, 401, 401, 401},
	} {
		for path, want := range map[string]int{"open": row.open, "users": row.users, "keys": row.keys, "default": row.without} {
			if want == in {
				require.Equal(t, "welcome", e.connect("/ws/"+path, row.option).Receive(), "%s %s", name, path)
				continue
			}
			require.Equal(t, want, millracetest.Refused(t, e.server.Addr(), "/ws/"+path, row.option), "%s %s", name, path)
		}
	}
	require.Equal(t, 404, millracetest.Refused(t, e.server.Addr(), "/ws/nothing"))
	require.Equal(t, 404, millracetest.Refused(t, e.server.Addr(), "/ws"))
	answer := e.do(http.MethodGet, "/ws/open", "", "")
	require.Equal(t, http.StatusUpgradeRequired, answer.status)
	answer.problem(t)
	require.NotContains(t, e.log.String(), user, "no token is logged")
}

// TestOnesFramesAreNotAnothers: many users at once, each with a state and frames of their own (W1, W6).
func TestOnesFramesAreNotAnothers(t *testing.T) {
	t.Parallel()
	e := start(t)
	e.deployJS("parrot", `
		export const socket = { route: "/ws/echo/:who", access: "public" };
		export function receive(event, ctx) {
		  ctx.state.said = (ctx.state.said ?? "") + event.data;
		  ctx.send(ctx.params.who + ctx.query.q + ctx.state.said);
		}`)
	var users sync.WaitGroup
	for i := range 8 {
		c := e.connect(fmt.Sprintf("/ws/echo/user%d?q=%d", i, i))
		users.Go(func() {
			said := ""
			for n := range 5 {
				c.Send(fmt.Sprintf("[%d/%d]", i, n))
				said += fmt.Sprintf("[%d/%d]", i, n)
				if got := c.Receive(); got != fmt.Sprintf("user%d%d%s", i, i, said) {
					t.Errorf("user %d got %q", i, got)
				}
			}
		})
	}
	users.Wait()
}

func TestHowHandlersFail(t *testing.T) {
	t.Parallel()
	e := start(t)
	e.deployJS("fragile", `
		export const config = { timeout: "5s" };
		export const socket = { route: "/ws/fragile", access: "public" };
		export async function receive(event, ctx) {
		  ctx.send("before");
		  switch (event.data) {
		    case "throw": throw new Error("as asked");
		    case "loop": for (;;);
		    case "wait": await new Promise(() => {});
		    case "state": ctx.state.large = "x".repeat(20000); break;
		    case "symbol": ctx.send(Symbol()); break;
		    case "code": ctx.close(1006); break;
		    case "unknown": await ctx.join("bad\nname"); break;
		    case "forge": await ctx.publish("job:1", {}); break;
		    case "close": ctx.close(4001, "enough"); break;
		  }
		}
		export async function disconnect(event, ctx) {
		  await ctx.enqueue("echo", [ctx.query.as, event.code]);
		}`)
	codes := map[string]int{
		"throw": 1011, "loop": 1011, "wait": 1011, "state": 1011, "symbol": 1011, "code": 1011, "unknown": 1011, "forge": 1011,
		"close": 4001,
	}
	neighbour := e.connect("/ws/fragile?as=neighbour")
	for how, want := range codes {
		c := e.connect("/ws/fragile?as=" + how)
		c.Send(how)
		require.Equal(t, "before", c.Receive(), "what was sent is sent")
		code, _ := c.Closed()
		require.Equal(t, want, code, how)
	}
	neighbour.Send("nothing")
	require.Equal(t, "before", neighbour.Receive())
	inputs := strings.Join(e.enqueued("echo", len(codes)), " ")
	for how, code := range codes {
		require.Equal(t, 1, strings.Count(inputs, fmt.Sprintf(`["%s",%d]`, how, code)), "%s in %s", how, inputs)
	}
	for _, why := range []string{"as asked", "longer than its timeout", "at most 16384", "use 1000, or 3000 to 4999", "written by the platform alone"} {
		require.True(t, strings.Contains(e.log.String(), why), why) //nolint:testifylint // the log is long
	}
}

func TestRefusedInConnect(t *testing.T) {
	t.Parallel()
	e := start(t)
	e.deployJS("guard", `
		export const socket = { route: "/ws/guard", access: "public" };
		export function connect(event, ctx) {
		  if (ctx.query.word !== "sesame") return ctx.close(4403, "say the word");
		  ctx.send("come in");
		}
		export const receive = (event, ctx) => ctx.enqueue("echo", "received");
		export const disconnect = (event, ctx) => ctx.enqueue("echo", [event.code, event.reason, ctx.query.word]);`)
	c := e.connect("/ws/guard?word=please")
	c.Send("let me in")
	code, reason := c.Closed()
	require.Equal(t, 4403, code)
	require.Equal(t, "say the word", reason)
	c = e.connect("/ws/guard?word=sesame")
	require.Equal(t, "come in", c.Receive())
	c.Close(3999, "bye")
	require.Equal(t, []string{`[3999,"bye","sesame"]`}, e.enqueued("echo", 1), "the refused one has no disconnect")
}

func TestAPeerThatVanishesIsTold(t *testing.T) {
	t.Parallel()
	e := start(t)
	e.deployJS("watch", `
		export const socket = { route: "/ws/watch", access: "public" };
		export const connect = (event, ctx) => ctx.send("hello");
		export const disconnect = (event, ctx) => ctx.enqueue("echo", event);`)
	c := e.connect("/ws/watch")
	require.Equal(t, "hello", c.Receive())
	c.Vanish()
	require.Equal(t, []string{`{"code":1006,"type":"disconnect","reason":""}`}, e.enqueued("echo", 1))
}

func TestFloodsKeepTheirOrder(t *testing.T) {
	t.Parallel()
	e := start(t)
	e.deployJS("order", `
		export const socket = { route: "/ws/order", access: "public" };
		export async function receive(event, ctx) {
		  if (+event.data % 7 === 0) await new Promise((done) => setTimeout(done, 5));
		  ctx.send(event.data);
		}`)
	c := e.connect("/ws/order")
	const frames = 300
	for i := range frames {
		c.Send(fmt.Sprint(i))
	}
	for i := range frames {
		require.Equal(t, fmt.Sprint(i), c.Receive())
	}
}

func TestRooms(t *testing.T) {
	t.Parallel()
	e := start(t)
	e.deployJS("direct", `
		export const socket = { route: "/ws/direct/:room", access: "public" };
		export async function connect(event, ctx) {
		  await ctx.join("room:" + ctx.params.room);
		  await ctx.join("room:" + ctx.params.room); // again does nothing
		  ctx.send("joined");
		}
		export async function receive(event, ctx) {
		  if (event.data !== "leave") return ctx.publish("room:" + ctx.params.room, event.json());
		  await ctx.leave("room:" + ctx.params.room);
		  ctx.send("left");
		}`)
	e.deployJS("handled", `
		export const socket = { route: "/ws/handled/:room", access: "public" };
		export async function connect(event, ctx) {
		  await ctx.join("room:" + ctx.params.room);
		  ctx.send("joined");
		}
		export function message({ channel, data, offset }, ctx) {
		  ctx.send({ channel, data, offset });
		}`)
	direct, handled, other := e.connect("/ws/direct/a"), e.connect("/ws/handled/a"), e.connect("/ws/direct/b")
	for _, c := range []*millracetest.Communicator{direct, handled, other} {
		require.Equal(t, "joined", c.Receive())
	}
	direct.Send(`{"message": "안녕"}`)
	require.JSONEq(t, `{"message":"안녕"}`, direct.Receive())
	require.JSONEq(t, `{"channel":"room:a","data":{"message":"안녕"},"offset":1}`, handled.Receive())
	direct.Send("leave")
	require.Equal(t, "left", direct.Receive())
	_, err := e.hub.Publish(t.Context(), "room:a", []byte(`"for those who are there"`), realtime.PublishOptions{})
	require.NoError(t, err)
	require.JSONEq(t, `{"channel":"room:a","data":"for those who are there","offset":2}`, handled.Receive())
	_, err = e.hub.Publish(t.Context(), "room:b", []byte(`"b"`), realtime.PublishOptions{})
	require.NoError(t, err)
	require.Equal(t, `"b"`, other.Receive(), "nothing of the other room came before")
	direct.Send(`"mine"`)
	require.Contains(t, handled.Receive(), "mine")
	direct.Disconnect()
}

// TestAccessThatEnds: what closes the connections of the hub's other doors closes those of consumers.
func TestAccessThatEnds(t *testing.T) {
	t.Parallel()
	e := start(t)
	e.deployJS("stay", `
		export const socket = { route: "/ws/stay" };
		export const connect = (event, ctx) => ctx.send("hello");
		export const disconnect = (event, ctx) => ctx.enqueue("echo", event.code);`)
	key, text, err := e.store.CreateKey(t.Context(), auth.KeyParams{Scopes: []string{"jobs:submit:*"}})
	require.NoError(t, err)
	revoked, kicked := e.connect("/ws/stay", millracetest.Key(text)), e.connect("/ws/stay", millracetest.Token(e.userToken("ann")))
	require.Equal(t, "hello", revoked.Receive())
	require.Equal(t, "hello", kicked.Receive())
	require.NoError(t, e.store.Revoke(t.Context(), key.ID))
	code, _ := revoked.Closed()
	require.GreaterOrEqual(t, code, 3000)
	answer := e.do(http.MethodPost, "/v1/connections/disconnect", devKey, `{"user":"ann","code":4507,"reason":"out"}`)
	require.Equal(t, http.StatusNoContent, answer.status, answer.body)
	code, reason := kicked.Closed()
	require.Equal(t, 4507, code)
	require.Equal(t, "out", reason)
	e.enqueued("echo", 2)
}

// TestDrainTellsConsumers: when the server stops, connections are told to come back, and every disconnect runs.
func TestDrainTellsConsumers(t *testing.T) {
	t.Parallel()
	e := start(t)
	e.deployJS("drained", `
		export const socket = { route: "/ws/drained", access: "public" };
		export const connect = (event, ctx) => ctx.send("hello");
		export const disconnect = (event, ctx) => ctx.enqueue("echo", event.code);`)
	side := e.sibling()
	const peers = 5
	var open []*millracetest.Communicator
	for range peers {
		c := side.connect("/ws/drained")
		require.Equal(t, "hello", c.Receive())
		open = append(open, c)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	require.NoError(t, side.server.Stop(ctx))
	page, err := e.jobs.List(t.Context(), jobs.ListQuery{Function: "echo"})
	require.NoError(t, err)
	require.Len(t, page.Jobs, peers, "Stop waits for the handlers")
	for _, c := range open {
		code, _ := c.Closed()
		require.Equal(t, 1001, code)
	}
}

// TestDeploysMeetOpenConnections: the next event runs the new version, on the state that the old one left.
func TestDeploysMeetOpenConnections(t *testing.T) {
	t.Parallel()
	e := start(t)
	version := func(n int, route string) string {
		return fmt.Sprintf(`
			export const socket = { route: %q, access: "public" };
			export function receive(event, ctx) {
			  ctx.state.by = [...(ctx.state.by ?? []), %d];
			  ctx.send(ctx.state.by);
			}`, route, n)
	}
	e.deployJS("live", version(1, "/ws/live"))
	c := e.connect("/ws/live")
	c.Send("")
	require.Equal(t, `[1]`, c.Receive())
	e.deployJS("live", version(2, "/ws/lively"))
	c.Send("")
	require.Equal(t, `[1,2]`, c.Receive(), "although new connections come by another route")
	require.Equal(t, 404, millracetest.Refused(t, e.server.Addr(), "/ws/live"))
	moved := e.connect("/ws/lively")
	moved.Send("")
	require.Equal(t, `[2]`, moved.Receive())
	_, err := e.server.cfg.Functions.Deploy(t.Context(), functions.Deployment{Remove: []string{"live"}})
	require.NoError(t, err)
	c.Send("")
	code, _ := c.Closed()
	require.Equal(t, 1012, code)
	require.Equal(t, 404, millracetest.Refused(t, e.server.Addr(), "/ws/lively"))
}

func TestAConsumerIsNoJob(t *testing.T) {
	t.Parallel()
	e := start(t)
	e.deployJS("chat", classical)
	answer := e.do(http.MethodPost, "/v1/functions/chat/jobs?wait=20s", devKey, `{}`)
	job := answer.job(t)
	require.Equal(t, jobs.StateFailed, job.State, answer.body)
	require.Equal(t, 1, job.Attempt)
	require.Contains(t, job.Error.Message, "no default export")
	var shown struct {
		Config struct{ Socket json.RawMessage }
	}
	e.do(http.MethodGet, "/v1/functions/chat", devKey, "").json(t, &shown)
	require.JSONEq(t, `{"route":"/ws/chat","access":"public","handlers":["connect","receive"],"only":true}`, string(shown.Config.Socket))
}
