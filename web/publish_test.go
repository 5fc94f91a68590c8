package web

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/stretchr/testify/require"
)

func TestPublishOptions(t *testing.T) {
	t.Parallel()
	e := startShared(t)
	post := func(query string, headers ...string) published {
		t.Helper()
		got := e.do(http.MethodPost, "/v1/channels/room:1/messages"+query, devKey, `{"n":1}`, headers...)
		require.Equal(t, http.StatusOK, got.status, "%s %s", got.body, e.log)
		var p published
		got.json(t, &p)
		require.Equal(t, p.Repeated, got.header.Get("Idempotency-Replayed") == "true")
		return p
	}
	first := post("?version=7&version_epoch=e1&tag=kind:a:b&tag=by:me", "Idempotency-Key", "once")
	require.Equal(t, position{Offset: 1, Epoch: first.Epoch}, first.position)
	require.Equal(t, published{position: first.position, Repeated: true}, post("", "Idempotency-Key", "once"))
	require.Equal(t, published{position: first.position, Skipped: true}, post("?version=7&version_epoch=e1"))
	require.EqualValues(t, 2, post("?version=8&version_epoch=e1&history_ttl=5s").Offset)

	page := e.do(http.MethodGet, "/v1/channels/room:1/history?limit=1", devKey, "")
	require.Contains(t, page.body, `"tags":{"by":"me","kind":"a:b"}`)

	for query, code := range map[string]Code{
		"?version=-1": CodeInvalidRequest, "?version=x": CodeInvalidRequest, "?version=9223372036854775808": CodeValidationFailed,
		"?version_epoch=x": CodeValidationFailed, "?tag=x": CodeInvalidRequest, "?tag=:x": CodeValidationFailed,
		"?tag=a:" + strings.Repeat("x", 2000): CodeValidationFailed, "?history_ttl=soon": CodeInvalidRequest, "?history_ttl=-1s": CodeValidationFailed,
		"?history_ttl=9h": CodeValidationFailed, "?delta=1": CodeInvalidRequest, "?delta=true": CodeValidationFailed,
	} {
		got := e.do(http.MethodPost, "/v1/channels/room:1/messages"+query, devKey, `1`)
		require.Equal(t, code, got.problem(t).Code, "%.60s: %s", query, got.body)
		for _, wrong := range []string{"HistoryTTL", "Version", "Delta"} {
			require.NotContains(t, got.body, wrong, "fields have their names of here")
		}
		require.Equal(t, strings.Contains(got.body, "Each entry of 'errors'"), got.problem(t).Errors != nil && code == CodeValidationFailed, got.body)
	}
	require.Contains(t, e.do(http.MethodPost, "/v1/channels/room:1/messages?history_ttl=9h", devKey, `1`).body, "history_ttl must be between 0 and the namespace's, 10m0s")
}

// gotMessage is a messageResult as a client reads it.
type gotMessage struct {
	Index    int
	Channel  string
	Offset   uint64 `json:",string"`
	Skipped  bool
	Repeated bool
	Error    *Problem
}

// messages publishes lines and returns the results.
func (e *env) messages(key, body string) []gotMessage {
	e.t.Helper()
	got := e.do(http.MethodPost, "/v1/messages", key, body, "Content-Type", mimeNDJSON)
	require.Equal(e.t, http.StatusOK, got.status, got.body)
	var results []gotMessage
	for lines := bufio.NewScanner(strings.NewReader(got.body)); lines.Scan(); {
		var r gotMessage
		require.NoError(e.t, json.Unmarshal(lines.Bytes(), &r))
		results = append(results, r)
	}
	return results
}

func TestBatchOfMessages(t *testing.T) {
	t.Parallel()
	e := startShared(t)
	results := e.messages(devKey, strings.Join([]string{
		`{"channel":"room:1","data":{"n":1}}`,
		`{"channels":["room:1","room:2","jobs","room:"],"data":2,"options":{"tags":{"a":"b"}}}`,
		`{"channel":"room:1","data":3,"options":{"idempotency_key":"k","version":"9007199254740993"}}`,
		`{"channel":"room:1","data":3,"options":{"idempotency_key":"k"}}`,
		`{"channel":"room:1","data":4,"options":{"version":1}}`,
		`{"channel":"bytes:1","base64":"AP8="}`,
		`{"channel":"room:1"}`,
		`{"channel":"room:1","data":1,"base64":"AP8="}`,
		`{"channel":"room:1","channels":["room:2"],"data":1}`,
		`{"channels":[],"data":1}`,
		`{"data":1}`,
		`{"channel":"bytes:1","base64":"%"}`,
		`{"channel":"room:1","data":1,"options":{"ttl":1}}`,
		`not JSON`,
		`{"channel":"room:1","data":1,"options":{"version":-1}}`,
		`{"channel":"room:1","data":1,"options":{"version":"x"}}`,
		`{"channel":"room:1","data":5}`,
	}, "\n"))
	type brief struct {
		index  int
		name   string
		offset uint64
		code   Code
	}
	var got []brief
	for _, r := range results {
		b := brief{index: r.Index, name: r.Channel, offset: r.Offset}
		if r.Error != nil {
			b.code = r.Error.Code
		}
		got = append(got, b)
	}
	require.Equal(t, []brief{
		{0, "room:1", 1, ""},
		{1, "room:1", 2, ""}, {1, "room:2", 1, ""}, {1, "jobs", 0, CodeChannelReadOnly}, {1, "room:", 0, CodeInvalidRequest},
		{2, "room:1", 3, ""}, {3, "room:1", 3, ""}, {4, "room:1", 3, ""}, {5, "bytes:1", 1, ""},
		{6, "", 0, CodeValidationFailed}, {7, "", 0, CodeValidationFailed}, {8, "", 0, CodeValidationFailed}, {9, "", 0, CodeValidationFailed},
		{10, "", 0, CodeValidationFailed}, {11, "", 0, CodeValidationFailed}, {12, "", 0, CodeInvalidRequest}, {13, "", 0, CodeInvalidJSON},
		{14, "", 0, CodeInvalidRequest}, {15, "", 0, CodeInvalidRequest}, {16, "room:1", 4, ""},
	}, got)
	require.Equal(t, []FieldError{{Field: "options.version", Message: "cannot be a value that is no whole number"}}, results[len(results)-2].Error.Errors)
	require.True(t, results[6].Repeated)
	require.True(t, results[7].Skipped)
	require.Contains(t, e.do(http.MethodGet, "/v1/channels/bytes:1/history", devKey, "").body, `"base64":"AP8="`)

	array := e.do(http.MethodPost, "/v1/messages", devKey, `[{"channel":"room:3","data":1},{"channel":"room:3","data":2}]`)
	require.JSONEq(t, `[0,1]`, fmt.Sprint("[", strings.Count(array.body, `"index":0`)-1, ",", strings.Count(array.body, `"offset":"2"`), "]"))
}

// A broadcast reaches every one of its channels, and no request makes more messages than it may.
func TestBroadcastIsBounded(t *testing.T) {
	t.Parallel()
	e := startShared(t)
	names := make([]string, maxBroadcast)
	for i := range names {
		names[i] = strconv.Quote(fmt.Sprint("room:", i))
	}
	line := `{"channels":[` + strings.Join(names, ",") + `],"data":1}`
	results := e.messages(devKey, line+"\n"+line)
	require.Len(t, results, 2*maxBroadcast)
	for i, r := range results {
		require.Nil(t, r.Error)
		require.EqualValues(t, 1+i/maxBroadcast, r.Offset)
	}
	over := e.messages(devKey, `{"channels":[`+strings.Join(names, ",")+`,"room:x"],"data":1}`)
	require.Equal(t, CodeValidationFailed, over[0].Error.Code)
}

// Who may publish somewhere is told, channel by channel, where they may not.
func TestBatchOfANarrowedKey(t *testing.T) {
	t.Parallel()
	e := start(t)
	results := e.messages(e.key("channels:publish:room:*"), `{"channels":["room:1","secret","plaza:1"],"data":1}`)
	require.Nil(t, results[0].Error)
	for _, r := range results[1:] {
		require.Equal(t, CodeForbidden, r.Error.Code)
		require.Contains(t, r.Error.Detail, "channels:publish")
	}
	require.NotContains(t, e.do(http.MethodGet, "/v1/channels/secret/history", devKey, "").body, `"data"`)
}

// Where nothing can be published, the request says so, and when to come back.
func TestPublishingToAStoppedHub(t *testing.T) {
	t.Parallel()
	e := start(t)
	require.Equal(t, http.StatusOK, e.do(http.MethodGet, "/session", devKey, "").status)
	require.NoError(t, e.hub.Stop(t.Context()))
	for path, body := range map[string]string{
		"/v1/channels/a/messages": `1`, "/v1/messages": `[{"channel":"a","data":1},{"channel":"b","data":1}]`,
	} {
		got := e.do(http.MethodPost, path, devKey, body)
		require.Equal(t, http.StatusServiceUnavailable, got.status, got.body)
		require.NotEmpty(t, got.header.Get("Retry-After"), path)
	}
}

// What waits behind a commit that does not end is refused, and was not published.
func TestPublishingWhileACommitStalls(t *testing.T) {
	t.Parallel()
	e := startShared(t)
	hasty := e.sibling(Route{
		Method: http.MethodPost, Path: "/hasty/:channel", Scope: Public, BodyLimit: smallBody, Timeout: 100 * time.Millisecond,
		Handler: func(c *fiber.Ctx) error { return e.server.publish(c) }, Summary: "publishes, with little patience",
	})
	require.Equal(t, http.StatusOK, e.do(http.MethodPost, "/v1/channels/room:1/messages", devKey, `1`).status)
	tx, err := e.db.Pool.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), `lock table millrace.message in access exclusive mode`)
	require.NoError(t, err)
	first := make(chan answer, 1)
	go func() { first <- e.do(http.MethodPost, "/v1/channels/room:1/messages", devKey, `2`) }()
	require.Eventually(t, func() bool {
		var waiting bool
		err := tx.QueryRow(t.Context(), `select exists (select from pg_locks where not granted and relation = 'millrace.message'::regclass)`).Scan(&waiting)
		return err == nil && waiting
	}, patience, time.Millisecond)

	refused := hasty.do(http.MethodPost, "/hasty/room:1", "", `3`)
	require.Equal(t, http.StatusServiceUnavailable, refused.status, refused.body)
	require.Equal(t, CodeBusy, refused.problem(t).Code)
	require.NotEmpty(t, refused.header.Get("Retry-After"))
	require.NoError(t, tx.Rollback(t.Context()))
	require.Equal(t, http.StatusOK, (<-first).status)
	require.NotContains(t, e.do(http.MethodGet, "/v1/channels/room:1/history", devKey, "").body, `"data":3`)
}

// What channels are called is compared byte by byte, however the path spells it.
func TestChannelNamesInPaths(t *testing.T) {
	t.Parallel()
	e := start(t)
	key := e.key("channels:publish:room:*")
	for path, status := range map[string]int{
		"room:1": 200, "room%3A1": 200, "room:a%2Fb": 200, "room:..": 200, "room:*": 200, "room:%2e%2e%2fsecret": 200, "room:%252F": 200,
		"room:%C3%A4": 200, "%72oom:1": 200,
		"secret": 403, "room": 403, "*": 403, "..%2Fsecret": 403, "ROOM:1": 403, "r%D0%BEom:1": 403, "%2A": 403, // о is Cyrillic
		"room:1%00": 400, "room:1%0A": 400, "room:%0D": 400, "room:" + strings.Repeat("a", 300): 400, "room:%FF": 400, "room:": 400,
		"room:1/x": 404, "room:%zz": 400,
	} {
		answer := e.raw("POST /v1/channels/" + path + "/messages HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer " + key +
			"\r\nContent-Length: 1\r\n\r\n1")
		require.Equal(t, strconv.Itoa(status), strings.SplitN(answer, " ", 3)[1], "%.60s: %s", path, answer)
	}
	require.NotContains(t, e.do(http.MethodGet, "/v1/channels/secret/history", devKey, "").body, `"data"`)
}
