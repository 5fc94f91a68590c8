package main

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestPublish(t *testing.T) {
	t.Parallel()
	a := newAPI(t, map[string]http.HandlerFunc{
		"POST /v1/channels/room:a/messages": answerJSON(`{"offset":"12","epoch":"e"}`),
		"POST /v1/channels/live:a/messages": answerJSON(`{"offset":"0","epoch":""}`),
	})
	got := a.run(t, "", "publish", "room:a", `{"a":1}`)
	require.Zero(t, got.code, got.stderr)
	require.Equal(t, "room:a  offset 12\n", got.stdout)
	require.Contains(t, a.run(t, "", "publish", "room:a", "1", "--json").stdout, `{"offset":"12","epoch":"e"}`)
	require.Contains(t, a.run(t, "plain text", "publish", "live:a", "-", "--raw").stderr, "keeps no history")
	require.Equal(t, "POST /v1/channels/live:a/messages plain text", a.asked()[2])
}

func TestPublishOptions(t *testing.T) {
	t.Parallel()
	var asked []*http.Request
	a := newAPI(t, map[string]http.HandlerFunc{
		"POST /v1/channels/room:a/messages": func(w http.ResponseWriter, r *http.Request) {
			asked = append(asked, r)
			answer := `{"offset":"12","epoch":"e"}`
			if r.URL.Query().Has("version") {
				answer = `{"offset":"12","epoch":"e","skipped":true}`
			} else if r.Header.Get("Idempotency-Key") == "again" {
				answer = `{"offset":"12","epoch":"e","repeated":true}`
			}
			answerJSON(answer)(w, r)
		},
	})
	got := a.run(t, "", "publish", "room:a", "1", "--version", "18446744073709551615", "--version-epoch", "b", "--tag", "kind:a:b", "--tag", "x:",
		"--history-ttl", "5m", "--delta", "--idempotency-key", "once")
	require.Zero(t, got.code, got.stderr)
	require.Contains(t, got.stderr, "Skipped: room:a has had version 18446744073709551615, or a newer one.")
	query := asked[0].URL.Query()
	require.ElementsMatch(t, []string{"kind:a:b", "x:"}, query["tag"])
	query.Del("tag")
	require.Equal(t, "delta=true&history_ttl=5m0s&version=18446744073709551615&version_epoch=b", query.Encode())
	require.Equal(t, "once", asked[0].Header.Get("Idempotency-Key"))

	got = a.run(t, "", "publish", "room:a", "1", "--idempotency-key", "again")
	require.Contains(t, got.stderr, "Not published again")
	require.Equal(t, "room:a  offset 12\n", got.stdout)
	require.Empty(t, asked[1].URL.RawQuery)
	require.Contains(t, a.run(t, "", "publish", "room:a", "1", "--idempotency-key", "again", "--json").stdout, `"repeated":true`)
}

// tailUntil runs tail and interrupts it, as Ctrl-C does, at the given connection.
func tailUntil(t *testing.T, connections []string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	n := 0
	a := newAPI(t, map[string]http.HandlerFunc{
		"GET /v1/channels/room:a/history": answerJSON(`{"publications":[{"offset":"2","data":{"n":2}},{"offset":"1","data":{"n":1}}],"top":{"offset":"2","epoch":"e"}}`),
		"GET /v1/stream": func(w http.ResponseWriter, r *http.Request) {
			if args[len(args)-1] == "--json" && n == 0 {
				assert.Equal(t, "room%3Aa=e:2", r.URL.Query().Get("last_event_id"), "the stream goes on where the history ended")
			}
			if n == len(connections) {
				cancel()
				<-r.Context().Done()
				return
			}
			n++
			text("text/event-stream", connections[n-1])(w, r)
		},
	})
	return executeContext(ctx, "", append(append([]string{"tail"}, args...), "--url", a.url, "--key", "test-key")...)
}

func TestTail(t *testing.T) {
	t.Parallel()
	first := "event: subscribed\ndata: {\"event\":\"subscribed\",\"channel\":\"room:a\",\"offset\":1,\"epoch\":\"e\",\"recovered\":false}\n\n" +
		"id: 1\ndata: {\"channel\":\"room:a\",\"offset\":2,\"epoch\":\"e\",\"data\":{\"n\":2}}\n\n" +
		"id: 2\ndata: {\"channel\":\"room:a\",\"offset\":3,\"epoch\":\"e\",\"base64\":\"aBtp\"}\n\n"
	second := "data: {\"event\":\"unrecoverable\",\"channel\":\"room:a\"}\n\n" +
		"data: {\"channel\":\"jobs\",\"snapshot\":true,\"data\":[1, 2]}\n\n"
	got := tailUntil(t, []string{first, second}, "room:a", "jobs")
	require.Zero(t, got.code, "Ctrl-C is the normal end: %s", got.stderr)
	require.Equal(t, "room:a  2  {\"n\":2}\nroom:a  3  h\ufffdi\njobs  -  [1,2]\n", got.stdout)
	require.Regexp(t, `listening on room:a, jobs\nconnection lost \(.*\), trying again\nconnected again\n`, got.stderr)
	require.Contains(t, got.stderr, "room:a: some messages were missed")

	got = tailUntil(t, []string{first}, "room:a", "--history", "2", "--json")
	require.Zero(t, got.code)
	lines := strings.Split(strings.TrimSpace(got.stdout), "\n")
	require.Len(t, lines, 3, "a message that is in the history and in the stream is printed once: %s", got.stdout)
	require.JSONEq(t, `{"channel":"room:a","kind":"message","offset":1,"epoch":"e","data":{"n":1}}`, lines[0])
}
