package web

import (
	"net/http"
	"testing"
	"time"

	"github.com/fasthttp/websocket"
	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/functions"
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
	_, err := e.server.cfg.Functions.Deploy(e.t.Context(), functions.Deployment{Functions: []functions.Source{
		{Name: name, Entry: name + ".js", Files: map[string][]byte{name + ".js": []byte(text)}},
	}})
	require.NoError(e.t, err)
}

// client is a peer of a consumer.
type client struct {
	*websocket.Conn

	t testing.TB
}

// connectTo opens a WebSocket; headers are pairs.
func (e *env) connectTo(path string, headers ...string) client {
	e.t.Helper()
	header := http.Header{}
	for i := 0; i < len(headers); i += 2 {
		header.Set(headers[i], headers[i+1])
	}
	conn, response, err := websocket.DefaultDialer.DialContext(e.t.Context(), "ws://"+e.server.Addr()+path, header)
	require.NoError(e.t, err)
	require.NoError(e.t, response.Body.Close())
	e.t.Cleanup(func() { _ = conn.Close() })
	return client{conn, e.t}
}

func (c client) say(text string) {
	c.t.Helper()
	require.NoError(c.t, c.WriteMessage(websocket.TextMessage, []byte(text)))
}

func (c client) hear() string {
	c.t.Helper()
	require.NoError(c.t, c.SetReadDeadline(time.Now().Add(patience)))
	form, data, err := c.ReadMessage()
	require.NoError(c.t, err)
	require.Equal(c.t, websocket.TextMessage, form)
	return string(data)
}

func (c client) hearsOf(code int) *websocket.CloseError {
	c.t.Helper()
	require.NoError(c.t, c.SetReadDeadline(time.Now().Add(patience)))
	_, _, err := c.ReadMessage()
	var closed *websocket.CloseError
	require.ErrorAs(c.t, err, &closed)
	require.Equal(c.t, code, closed.Code, closed.Text)
	return closed
}

func TestTheClassicalExchange(t *testing.T) {
	t.Parallel()
	e := start(t)
	e.deployJS("chat", classical)
	c := e.connectTo("/ws/chat")
	require.Equal(t, `{"message": "연결 성공"}`, c.hear())
	c.say(`{"message": "안녕"}`)
	require.Equal(t, `{"message": "안녕"}`, c.hear())
}
