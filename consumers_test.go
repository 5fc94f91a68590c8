package millrace_test

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace"
	"github.com/millrace-dev/millrace/functions"
	"github.com/millrace-dev/millrace/internal/testdb"
	"github.com/millrace-dev/millrace/jobs"
	"github.com/millrace-dev/millrace/millracetest"
)

// room is the chat room of every tutorial of Channels.
const room = `export const socket = { route: "/ws/chat/:room", access: "public" };

export async function connect(event, ctx) {
  await ctx.join("chat:" + ctx.params.room);
  ctx.send('{"message": "연결 성공"}');
}

export async function receive(event, ctx) {
  await ctx.publish("chat:" + ctx.params.room, event.json());
}

export function message(event, ctx) {
  ctx.send(` + "`{\"message\": ${JSON.stringify(event.data.message)}}`" + `);
}
`

func app(t *testing.T, db *testdb.DB, register func(*millrace.App)) *millrace.App {
	t.Helper()
	a, err := millrace.New(configure(db))
	require.NoError(t, err)
	if register != nil {
		register(a)
	}
	start(t, a)
	return a
}

func deployJS(t *testing.T, a *millrace.App, name, text string) {
	t.Helper()
	require.Eventually(t, func() bool { // a busy machine may take longer than a top level may
		_, err := a.Functions().Deploy(t.Context(), functions.Deployment{Functions: []functions.Source{
			{Name: name, Entry: name + ".js", Files: map[string][]byte{name + ".js": []byte(text)}},
		}})
		return err == nil
	}, time.Minute, time.Second)
}

// TestRoomOverTwoInstances: who is connected to one instance hears what is said on the other, byte for byte.
func TestRoomOverTwoInstances(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	one, two := app(t, db, nil), app(t, db, nil)
	deployJS(t, one, "chat", room)
	require.Eventually(t, func() bool {
		_, known := two.Functions().Consumer("/ws/chat/lobby")
		return known
	}, time.Minute, 5*time.Millisecond)

	ann := millracetest.Connect(t, one.Addr(), "/ws/chat/lobby")
	bob := millracetest.Connect(t, two.Addr(), "/ws/chat/lobby/")
	eve := millracetest.Connect(t, two.Addr(), "/ws/chat/kitchen")
	everybody := []*millracetest.Communicator{ann, bob, eve}
	for _, c := range everybody {
		require.Equal(t, `{"message": "연결 성공"}`, c.Receive()) //nolint:testifylint // byte for byte
	}
	ann.Send(`{"message": "안녕"}`)
	bob.Send(`{"message": "반가워"}`)
	for _, c := range []*millracetest.Communicator{ann, bob} {
		heard := map[string]bool{c.Receive(): true, c.Receive(): true}
		require.Equal(t, map[string]bool{`{"message": "안녕"}`: true, `{"message": "반가워"}`: true}, heard)
	}
	const lines = 20
	for i := range lines {
		ann.SendJSON(map[string]any{"message": i})
	}
	for i := range lines {
		want := fmt.Sprintf(`{"message": %d}`, i)
		require.Equal(t, want, bob.Receive(), "in the order of its speaker")
		require.Equal(t, want, ann.Receive())
	}
	eve.Send(`{"message": "me"}`)
	require.Equal(t, `{"message": "me"}`, eve.Receive(), "other rooms hear nothing") //nolint:testifylint // byte for byte
	ann.Disconnect()
}

// TestGoConsumer: the same in Go, with a state, typed frames, jobs and a disconnect.
func TestGoConsumer(t *testing.T) {
	t.Parallel()
	type counter struct{ Said int }
	ended := make(chan string, 10)
	register := func(a *millrace.App) {
		millrace.Handle(a, "note", func(_ context.Context, in string) (string, error) { return in, nil })
		millrace.HandleSocket(a, "/ws/echo/:room", millrace.Consumer{
			Access: millrace.AccessPublic,
			Connect: func(ctx context.Context, s *millrace.Socket) error {
				if err := s.Join(ctx, "echo:"+s.Params["room"]); err != nil {
					return err
				}
				return s.SendJSON(map[string]string{"room": s.Params["room"], "as": s.Query["as"]})
			},
			Receive: func(ctx context.Context, s *millrace.Socket, frame millrace.Frame) error {
				var state counter
				if err := s.State(&state); err != nil {
					return err
				}
				state.Said++
				switch {
				case frame.Text() == "panic":
					panic("as asked")
				case frame.Text() == "close":
					return s.Close(4000, "as asked")
				case frame.Binary:
					return s.SendBytes(frame.Data)
				}
				if err := s.SetState(state); err != nil {
					return err
				}
				return s.Publish(ctx, "echo:"+s.Params["room"], json.RawMessage(fmt.Sprintf(`[%d,%q]`, state.Said, frame.Text())))
			},
			Message: func(_ context.Context, s *millrace.Socket, m millrace.ChannelMessage) error {
				return s.Send(m.Channel + " " + string(m.Data))
			},
			Disconnect: func(ctx context.Context, s *millrace.Socket, end millrace.SocketEnd) error {
				ended <- fmt.Sprint(s.Query["as"], " ", end.Code)
				return nil
			},
		})
	}
	db := testdb.New(t)
	one, two := app(t, db, register), app(t, db, register)
	ann, bob := millracetest.Connect(t, one.Addr(), "/ws/echo/a?as=ann"), millracetest.Connect(t, two.Addr(), "/ws/echo/a?as=bob")
	require.JSONEq(t, `{"as":"ann","room":"a"}`, ann.Receive())
	var hello struct{ As, Room string }
	bob.ReceiveJSON(&hello)
	require.Equal(t, "bob", hello.As)
	for i := range 3 {
		ann.Send("hi")
		want := fmt.Sprintf(`echo:a [%d,"hi"]`, i+1)
		require.Equal(t, want, ann.Receive())
		require.Equal(t, want, bob.Receive())
	}
	ann.SendBytes([]byte{0xff, 0})
	require.Equal(t, []byte{0xff, 0}, ann.ReceiveBytes())
	ann.Send("panic")
	code, _ := ann.Closed()
	require.Equal(t, 1011, code)
	require.Equal(t, "ann 1011", <-ended)
	bob.Send("close")
	code, reason := bob.Closed()
	require.Equal(t, 4000, code)
	require.Equal(t, "as asked", reason)
	require.Equal(t, "bob 4000", <-ended)
}

// TestHandlersEndBeforeTheInstance: whoever is connected when an instance stops is told to come back, and what the
// handlers do then still counts.
func TestHandlersEndBeforeTheInstance(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var gone []int64
	db := testdb.New(t)
	a, err := millrace.New(configure(db))
	require.NoError(t, err)
	millrace.Handle(a, "note", func(context.Context, any) (any, error) { return nil, nil })
	millrace.HandleSocket(a, "/ws/stay", millrace.Consumer{
		Access:  millrace.AccessPublic,
		Connect: func(_ context.Context, s *millrace.Socket) error { return s.Send("here") },
		Disconnect: func(ctx context.Context, _ *millrace.Socket, end millrace.SocketEnd) error {
			job, err := a.Jobs().Submit(ctx, jobs.Submission{Function: "note"})
			mu.Lock()
			defer mu.Unlock()
			gone = append(gone, job.ID)
			return err
		},
	})
	require.NoError(t, a.Start(t.Context()))
	require.Panics(t, func() { millrace.HandleSocket(a, "/ws/late", millrace.Consumer{}) })
	var open []*millracetest.Communicator
	for range 3 {
		c := millracetest.Connect(t, a.Addr(), "/ws/stay")
		require.Equal(t, "here", c.Receive())
		open = append(open, c)
	}
	require.NoError(t, a.Stop(context.Background()))
	require.Len(t, gone, len(open))
	for _, id := range gone {
		require.Positive(t, id)
	}
	for _, c := range open {
		code, _ := c.Closed()
		require.Equal(t, 1001, code)
	}
}
