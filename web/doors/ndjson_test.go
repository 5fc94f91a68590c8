package doors_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/realtime"
	"github.com/millrace-dev/millrace/web/doors"
)

// lines opens a stream of NDJSON.
func (s *site) lines(query url.Values, header http.Header) *events {
	s.t.Helper()
	header = header.Clone()
	header.Set("Accept", "application/x-ndjson")
	return s.events(query, header)
}

// object is the next line that says something; blank ones are counted.
func (e *events) object() (message, error) {
	for {
		line, err := e.lines.ReadString('\n')
		if err != nil {
			return nil, err
		}
		if line == "\n" {
			e.comments++
			continue
		}
		var m message
		return m, json.Unmarshal([]byte(line), &m)
	}
}

func (e *events) nextObject() message {
	e.t.Helper()
	m, err := e.object()
	require.NoError(e.t, err)
	return m
}

func TestLinesAreTheMessagesOfTheOtherDoors(t *testing.T) {
	t.Parallel()
	s := open(t, setup{
		doors: doors.Config{Heartbeat: 20 * time.Millisecond},
		hub: realtime.Config{Namespaces: append(realtime.DefaultNamespaces(),
			realtime.Namespace{Name: "job", Source: oneJob{}},
			realtime.Namespace{Name: "bytes", Ephemeral: true, Binary: true},
		)},
	})
	stream := s.lines(on("a,bytes:x,job:1"), ann)
	require.Equal(t, http.StatusOK, stream.response.StatusCode)
	require.Equal(t, "application/x-ndjson", stream.response.Header.Get("Content-Type"))
	require.Equal(t, "no-store", stream.response.Header.Get("Cache-Control"))
	require.Equal(t, "subscribed", stream.nextObject()["event"])
	require.Equal(t, message{"event": "subscribed", "channel": "bytes:x", "recovered": false}, stream.nextObject())
	require.Equal(t, "job:1", stream.nextObject()["channel"])
	require.Equal(t, message{"channel": "job:1", "snapshot": true, "data": map[string]any{"state": "queued"}}, stream.nextObject())
	time.AfterFunc(200*time.Millisecond, func() { s.publish("a", "{\n  \"x\": \"one\\ntwo\",\r\n  \"y\": [2]\r}") })
	got := stream.nextObject()
	require.Equal(t, map[string]any{"x": "one\ntwo", "y": []any{2.0}}, got["data"], "pretty-printed JSON stays on its line")
	require.Positive(t, stream.comments, "signs of life in between")
	s.publish("bytes:x", "\x00\n\xff")
	require.Equal(t, message{"channel": "bytes:x", "base64": "AAr/"}, stream.nextObject())
	s.hub.DisconnectWhere(func(c realtime.Credentials) bool { return c.Key == "key-ann" })
	require.Equal(t, message{"event": "disconnect", "code": 3503.0, "reason": "force disconnect", "reconnect": false}, stream.nextObject())
	_, err := stream.object()
	require.ErrorIs(t, err, io.EOF)
}

func TestLinesResume(t *testing.T) {
	t.Parallel()
	s := open(t, setup{})
	for _, data := range []string{`1`, `2`, `3`} {
		s.publish("a", data)
	}
	at := s.publish("b", `1`)
	stream := s.lines(on("a"), ann)
	epoch := stream.nextObject()["epoch"].(string)
	for name, query := range map[string]url.Values{
		"one channel": {"channels": {"a"}, "last_event_id": {epoch + ":1"}},
		"by name":     {"channels": {"a"}, "last_event_id": {"a=" + epoch + ":1"}},
		"several":     {"channels": {"a,b"}, "last_event_id": {"a=" + epoch + ":1&b=" + at.Epoch + ":1"}},
	} {
		again := s.lines(query, ann)
		require.Equal(t, message{"event": "subscribed", "channel": "a", "offset": 1.0, "epoch": epoch, "recovered": true}, again.nextObject(), name)
		require.InEpsilon(t, 2, again.nextObject()["data"], 0, name)
		require.InEpsilon(t, 3, again.nextObject()["data"], 0, name)
	}
	gone := s.lines(url.Values{"channels": {"a"}, "last_event_id": {"other:1"}}, ann)
	require.Equal(t, "unrecoverable", gone.nextObject()["event"])
}

func TestWhoWantsLines(t *testing.T) {
	t.Parallel()
	s := open(t, setup{})
	for accept, want := range map[string]string{
		"": "text/event-stream", "*/*": "text/event-stream", "application/json": "text/event-stream",
		"text/event-stream": "text/event-stream", "application/x-ndjson": "application/x-ndjson",
		"application/x-ndjson, */*;q=0.1": "application/x-ndjson", "text/event-stream, application/x-ndjson;q=0.5": "text/event-stream",
	} {
		header := ann.Clone()
		if accept != "" {
			header.Set("Accept", accept)
		}
		got := s.events(on("a"), header).response.Header
		require.Equal(t, want, got.Get("Content-Type"), "Accept: %s", accept)
		require.Contains(t, got.Values("Vary"), "Accept")
	}
}
