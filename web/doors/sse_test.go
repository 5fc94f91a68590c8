package doors_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/realtime"
	"github.com/millrace-dev/millrace/web/doors"
)

func on(channels string) url.Values { return url.Values{"channels": {channels}} }

func TestSSEStreamsWhileItIsOpen(t *testing.T) {
	t.Parallel()
	s := open(t, setup{})
	stream := s.events(on("room:a,b"), ann)
	require.Equal(t, http.StatusOK, stream.response.StatusCode)
	require.Equal(t, "text/event-stream", stream.response.Header.Get("Content-Type"))
	require.Equal(t, "no-store", stream.response.Header.Get("Cache-Control"))
	for _, channel := range []string{"room:a", "b"} {
		first := stream.next()
		require.Equal(t, "subscribed", first.name)
		require.Equal(t, channel, first.json(t)["channel"])
		require.Equal(t, false, first.json(t)["recovered"])
	}
	position := s.publish("b", "{\n  \"x\": 1,\r\n  \"y\": [2]\r}")
	got := stream.next()
	require.Empty(t, got.name, "publications are what onmessage gets")
	require.Equal(t, message{
		"channel": "b", "offset": 1.0, "epoch": position.Epoch, "data": map[string]any{"x": 1.0, "y": []any{2.0}},
	}, got.json(t))
}

// Over any number of breaks each offset comes once, in order.
func TestSSEResumes(t *testing.T) {
	t.Parallel()
	s := open(t, setup{hub: realtime.Config{
		Namespaces: []realtime.Namespace{{HistorySize: 1000, HistoryTTL: time.Minute}},
	}})
	const total = 300
	published := make(chan struct{})
	stream := s.events(on("a,b"), ann)
	stream.next()
	id := stream.next().id
	go func() {
		defer close(published)
		for n := 1; n <= total; n++ {
			s.publish("a", fmt.Sprint(n))
			s.publish("b", fmt.Sprint(n))
		}
	}()
	seen := map[any]float64{}
	for turn := 0; seen["a"]+seen["b"] < 2*total; turn++ {
		header, query := ann.Clone(), on("a,b")
		if turn%2 == 0 {
			header.Set("Last-Event-ID", id)
			query.Set("last_event_id", "old:0") // what the address began with; the header is newer
		} else {
			query.Set("last_event_id", id)
		}
		stream.response.Body.Close()
		stream = s.events(query, header)
		for read := 0; read < 40 && seen["a"]+seen["b"] < 2*total; {
			got := stream.next()
			id = got.id
			body := got.json(t)
			if got.name != "" {
				require.Equal(t, "subscribed", got.name, body)
				require.Equal(t, true, body["recovered"])
				continue
			}
			read++
			seen[body["channel"]]++
			require.InEpsilon(t, seen[body["channel"]], body["offset"], 0)
			require.InEpsilon(t, seen[body["channel"]], body["data"], 0)
		}
	}
	<-published
}

func TestSSETellsWhatCannotBeRecovered(t *testing.T) {
	t.Parallel()
	s := open(t, setup{})
	position := s.publish("a", `1`)
	for _, id := range []string{"other:0", "a=other:0", position.Epoch + ":9", "nonsense", "a=y:x", "%zz"} {
		query := on("a")
		query.Set("last_event_id", id)
		first := s.events(query, ann).next()
		require.Equal(t, "unrecoverable", first.name, id)
		require.InEpsilon(t, 1, first.json(t)["offset"], 0)
		require.Equal(t, position.Epoch+":1", first.id)
	}
}

func TestSSEHeartbeatAndTimeouts(t *testing.T) {
	t.Parallel()
	s := open(t, setup{
		doors:  doors.Config{Heartbeat: 20 * time.Millisecond},
		server: fiber.Config{ReadTimeout: 100 * time.Millisecond, WriteTimeout: 100 * time.Millisecond},
	})
	stream := s.events(on("a"), ann)
	stream.next()
	time.AfterFunc(500*time.Millisecond, func() { s.publish("a", `1`) })
	require.InEpsilon(t, 1, stream.next().json(t)["data"], 0)
	require.Greater(t, stream.comments, 5)
}

func TestSSERefusals(t *testing.T) {
	t.Parallel()
	s := open(t, setup{hub: realtime.Config{Namespaces: append(realtime.DefaultNamespaces(), realtime.Namespace{Name: "job", Source: noJobs{}})}})
	for _, c := range []struct {
		query  url.Values
		header http.Header
		status int
	}{
		{on("a"), nil, 401},
		{on("a"), headers("Authorization: Bearer bad"), 401},
		{on(""), ann, 400},
		{nil, ann, 400},
		{on("a\x07"), ann, 400},
		{on("a,secret"), ann, 403},
		{on("job:1"), ann, 404},
		{on("a"), headers("Authorization: Bearer ann", "Origin: https://evil.example.com"), 403},
		{on("a"), headers("Authorization: Bearer ann", "Origin: null"), 403},
		{on("a"), headers("Cookie: session=ann", "Sec-Fetch-Site: cross-site"), 403},
		{on("a"), headers("Cookie: session=ann", "Sec-Fetch-Site: same-origin"), 200},
		{on("a"), headers("Authorization: Bearer ann", "Origin: https://APP.example.com"), 200},
		{url.Values{"channels": {"a"}, "token": {"ann"}}, nil, 200},
		{url.Values{"channel": {"a,b"}}, ann, 200},
	} {
		stream := s.events(c.query, c.header)
		require.Equal(t, c.status, stream.response.StatusCode, "%v %v", c.query, c.header)
		if c.status != http.StatusOK {
			require.Equal(t, "application/problem+json", stream.response.Header.Get("Content-Type"))
			stream.response.Body.Close()
		}
	}
	require.Eventually(t, func() bool { return s.hub.Connections() == 4 }, patience, time.Millisecond)
}

func TestSSEEndsWithAReason(t *testing.T) {
	t.Parallel()
	s := open(t, setup{})
	stream := s.events(on("a"), ann)
	stream.next()
	s.hub.DisconnectWhere(func(c realtime.Credentials) bool { return c.Key == "key-ann" })
	last := stream.next()
	require.Equal(t, "disconnect", last.name)
	require.Equal(t, message{"event": "disconnect", "code": 3503.0, "reason": "force disconnect", "reconnect": false}, last.json(t))
	_, err := stream.read()
	require.ErrorIs(t, err, io.EOF)
}

// A reader that is too slow is cut; what the browser does then, coming back with the last id, loses nothing.
func TestSlowSSEIsCutAndResumes(t *testing.T) {
	t.Parallel()
	s := open(t, setup{hub: realtime.Config{
		QueueSize:  64 << 10,
		Namespaces: []realtime.Namespace{{HistorySize: 1000, HistoryTTL: time.Minute}},
	}})
	stream := s.events(on("a"), ann)
	id := stream.next().id
	data := `"` + strings.Repeat("x", 50<<10) + `"`
	sent := 0
	for s.hub.Connections() > 0 {
		require.Less(t, sent, 900)
		s.publish("a", data)
		sent++
	}
	seen := 0
	for {
		got, err := stream.read()
		if err != nil {
			require.True(t, errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF), "%v", err)
			break
		}
		if got.name == "disconnect" {
			require.InEpsilon(t, 3008, got.json(t)["code"], 0)
			continue
		}
		seen++
		id = got.id
	}
	require.LessOrEqual(t, seen, sent) // on a busy machine the first ones may all have been written
	header := ann.Clone()
	header.Set("Last-Event-ID", id)
	again := s.events(on("a"), header)
	require.Equal(t, true, again.next().json(t)["recovered"])
	for ; seen < sent; seen++ {
		require.InEpsilon(t, seen+1, again.next().json(t)["offset"], 0)
	}
}

// A channel that is refused later ends the stream, with a reason: coming back, the client is told more.
func TestStreamThatLosesAChannelEnds(t *testing.T) {
	t.Parallel()
	s := open(t, setup{hub: realtime.Config{Namespaces: append(realtime.DefaultNamespaces(), realtime.Namespace{Name: "job", Source: noJobs{}})}})
	// What is recovered of "a" is more than is held before the answer, so "job:1" comes after it.
	position := s.publish("a", `1`)
	for range 20 {
		s.publish("a", `"`+strings.Repeat("x", 60<<10)+`"`)
	}
	query := on("a,job:1")
	query.Set("last_event_id", "a="+position.Epoch+":1")
	stream := s.events(query, ann)
	require.Equal(t, http.StatusOK, stream.response.StatusCode)
	got := stream.next()
	for got.name != "disconnect" {
		got = stream.next()
	}
	require.Equal(t, message{"event": "disconnect", "code": 3002.0, "reason": "force reconnect", "reconnect": true}, got.json(t))
	require.Equal(t, 3002, s.client("/v1/ws/raw?"+query.Encode(), ann).closed())
}

// A stream that is let in can come back: the id of its events fits beside the rest of its request.
func TestEveryStreamCanComeBack(t *testing.T) {
	t.Parallel()
	s := open(t, setup{})
	refused := false
	for count := 48; count <= 128 && !refused; count += 4 {
		var names []string
		for n := range count {
			names = append(names, fmt.Sprint("room:channel-", n))
			s.publish(names[n], `1`)
		}
		stream := s.events(on(strings.Join(names, ",")), ann)
		if refused = stream.response.StatusCode != http.StatusOK; refused {
			require.Equal(t, http.StatusBadRequest, stream.response.StatusCode)
			break
		}
		var last event
		for range names {
			last = stream.next()
		}
		header := ann.Clone()
		header.Set("Last-Event-ID", last.id)
		again := s.events(on(strings.Join(names, ",")), header)
		require.Equal(t, http.StatusOK, again.response.StatusCode, "%d channels", count)
		require.Equal(t, true, again.next().json(t)["recovered"])
	}
	require.True(t, refused)
}
