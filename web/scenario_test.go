package web

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// scenario is one request and what its answer must and must not hold.
type scenario struct {
	name   string
	method string
	path   string
	key    string // devKey when empty, none when "-"
	body   string
	header []string
	status int
	code   Code // of the problem, empty when there is none
	want   []string
	never  []string
}

// internals must not be seen in any answer: Go, SQL, addresses of ours.
func internals() []string {
	return []string{".go:", "goroutine", "SQLSTATE", "pgx", "millrace.api_key", "river_job", "json: ", "fiber", secret}
}

func (e *env) play(t *testing.T, s scenario) answer {
	t.Helper()
	key := s.key
	switch key {
	case "":
		key = devKey
	case "-":
		key = ""
	}
	got := e.do(s.method, s.path, key, s.body, s.header...)
	require.Equal(t, s.status, got.status, got.body)
	if s.status == http.StatusMethodNotAllowed {
		require.NotEmpty(t, got.header.Get("Allow"))
	}
	if s.code != "" {
		problem := got.problem(t)
		require.Equal(t, s.code, problem.Code, got.body)
		require.Equal(t, s.status, problem.Status)
		require.Equal(t, got.header.Get(headerRequestID), problem.RequestID)
		require.NotEmpty(t, problem.Title)
	}
	for _, text := range s.want {
		require.Contains(t, got.body, text)
	}
	for _, text := range append(internals(), s.never...) {
		require.NotContains(t, got.body, text)
	}
	return got
}

func TestScenarios(t *testing.T) { //nolint:tparallel // one server; some build on those before
	t.Parallel()
	e := start(t)
	deep := strings.Repeat("[", 100) + strings.Repeat("]", 100)
	const submit = "/v1/functions/echo/jobs"
	for _, s := range []scenario{
		// What is not there.
		{name: "no route", method: "GET", path: "/v1/nothing", status: 404, code: CodeNotFound},
		{name: "no route, no key", method: "GET", path: "/v1/nothing", key: "-", status: 404, code: CodeNotFound},
		{name: "wrong method", method: "PATCH", path: "/v1/jobs", status: 405, code: CodeMethodNotAllowed},
		{name: "unheard-of method", method: "BREW", path: "/v1/jobs", status: 405, code: CodeMethodNotAllowed},
		{name: "trailing slash", method: "GET", path: "/v1/jobs/", status: 404, code: CodeNotFound},
		{name: "other case", method: "GET", path: "/V1/jobs", status: 404, code: CodeNotFound},

		// Submitting.
		{name: "submit", method: "POST", path: submit, body: `{"a":1}`, status: 202, want: []string{`"state":"queued"`, `"input":{"a":1}`, `"id":"`}},
		{name: "submit in the body", method: "POST", path: "/v1/jobs", body: `{"function":"echo","input":[1],"options":{"delay":"1h","tags":["abc"]}}`, status: 202, want: []string{`"state":"scheduled"`, `"abc"`}},
		{name: "no input", method: "POST", path: submit, status: 202, want: []string{`"input":null`}},
		{name: "options", method: "POST", path: submit + "?priority=1&max_attempts=3&delay=60&tags=abc,def", body: `1`, status: 202, want: []string{`"priority":1`, `"max_attempts":3`, `"scheduled"`, `"def"`}},
		{name: "unknown function", method: "POST", path: "/v1/functions/no.such/jobs", body: `1`, status: 404, code: CodeUnknownFunction},
		{name: "unknown function in the body", method: "POST", path: "/v1/jobs", body: `{"function":"no.such"}`, status: 404, code: CodeUnknownFunction},
		{name: "function name with a newline", method: "POST", path: "/v1/functions/a%0Ab/jobs", body: `1`, status: 422, code: CodeValidationFailed},
		{name: "function name of nonsense", method: "POST", path: "/v1/functions/%1b%5b31m/jobs", body: `1`, status: 422, code: CodeValidationFailed},
		{name: "broken JSON", method: "POST", path: submit, body: `{"a":`, status: 400, code: CodeInvalidJSON, want: []string{`"field":"input"`}},
		{name: "broken JSON in the body", method: "POST", path: "/v1/jobs", body: `{"function":"echo","input":}`, status: 400, code: CodeInvalidJSON},
		{name: "two values", method: "POST", path: "/v1/jobs", body: `{"function":"echo"}{}`, status: 400, code: CodeInvalidJSON},
		{name: "empty body", method: "POST", path: "/v1/jobs", status: 400, code: CodeInvalidJSON},
		{name: "misspelt option", method: "POST", path: "/v1/jobs", body: `{"function":"echo","options":{"dely":"1h"}}`, status: 400, code: CodeInvalidRequest, want: []string{`"dely"`}},
		{name: "wrong type", method: "POST", path: "/v1/jobs", body: `{"function":7}`, status: 400, code: CodeInvalidRequest, want: []string{`"field":"function"`}},
		{name: "not a duration", method: "POST", path: "/v1/jobs", body: `{"function":"echo","options":{"delay":"soon"}}`, status: 400, code: CodeInvalidRequest},
		{name: "NUL", method: "POST", path: submit, body: `{"a":"\u0000"}`, status: 422, code: CodeValidationFailed, want: []string{"input", "0000"}},
		{name: "lone surrogate", method: "POST", path: submit, body: `"\ud800"`, status: 422, code: CodeValidationFailed},
		{name: "huge number", method: "POST", path: submit, body: `1e400`, status: 422, code: CodeValidationFailed},
		{name: "NaN", method: "POST", path: submit, body: `NaN`, status: 400, code: CodeInvalidJSON},
		{name: "invalid UTF-8", method: "POST", path: submit, body: "\"\xff\"", status: 422, code: CodeValidationFailed},
		{name: "too deep", method: "POST", path: submit, body: deep, status: 422, code: CodeValidationFailed},
		{name: "duplicate keys", method: "POST", path: submit, body: `{"a":1,"a":2}`, status: 422, code: CodeValidationFailed, want: []string{`twice`}},
		{name: "impossible options", method: "POST", path: submit + "?priority=-1&max_attempts=2000000&run_at=9999-01-01T00:00:00Z&tags=a&queue=%22%3B--", body: `1`, status: 422, code: CodeValidationFailed, want: []string{`"priority"`, `"max_attempts"`, `"run_at"`, `"tags"`, `"queue"`}},
		{name: "options that are no numbers", method: "POST", path: submit + "?priority=high&max_attempts=99999999999999&delay=x&run_at=now", body: `1`, status: 400, code: CodeInvalidRequest, want: []string{`"priority"`, `"max_attempts"`, `"delay"`, `"run_at"`}},
		{name: "wait of nonsense", method: "POST", path: submit + "?wait=long", body: `1`, status: 400, code: CodeInvalidRequest},
		{name: "versions of no text", method: "GET", path: "/v1/functions/%ff/versions", status: 400, code: CodeInvalidRequest},
		{name: "rollback of NUL", method: "POST", path: "/v1/functions/%00/rollback", body: `{"version":"x"}`, status: 400, code: CodeInvalidRequest},
		{name: "removal of NUL", method: "POST", path: "/v1/deployments", body: `{"remove":["\u0000"]}`, status: 400, code: CodeInvalidRequest},
		{name: "revocation of NUL", method: "DELETE", path: "/v1/keys/%00", status: 400, code: CodeInvalidRequest},
		{name: "revocation of no text", method: "DELETE", path: "/v1/keys/%ff", status: 400, code: CodeInvalidRequest},
		{name: "keys after NUL", method: "GET", path: "/v1/keys?cursor=%00", status: 400, code: CodeInvalidRequest},
		{name: "keys after no text", method: "GET", path: "/v1/keys?cursor=%ff", status: 400, code: CodeInvalidRequest},
		{name: "preference of nonsense is ignored", method: "POST", path: submit, body: `1`, header: []string{"Prefer", "wait=long"}, status: 202},
		{name: "minimal answer", method: "POST", path: submit, body: `1`, header: []string{"Prefer", "respond-async, return=minimal"}, status: 202, want: []string{`"function":`, `"state":`}},
		{name: "negative preference is ignored", method: "POST", path: submit, body: `1`, header: []string{"Prefer", "wait=-5"}, status: 202},
		{name: "dry run of nonsense", method: "POST", path: "/v1/deployments?dry_run=1", body: `{"functions":[{"name":"dry","entry":"a.js","files":{"a.js":"export default () => 1"}}]}`, status: 400, code: CodeInvalidRequest, want: []string{"dry_run"}},
		{name: "and nothing was deployed", method: "GET", path: "/v1/functions/dry", status: 404, code: CodeUnknownFunction},
		{name: "direction of nonsense", method: "GET", path: "/v1/channels/room/history?reverse=yes", status: 400, code: CodeInvalidRequest, want: []string{"reverse"}},
		{name: "multipart", method: "POST", path: submit, body: "--x--", header: []string{"Content-Type", "multipart/form-data; boundary=x"}, status: 415, code: CodeUnsupportedMedia},
		{name: "media type of nonsense", method: "POST", path: submit, body: "1", header: []string{"Content-Type", ";;"}, status: 415, code: CodeUnsupportedMedia},
		{name: "coded body", method: "POST", path: submit, body: "1", header: []string{"Content-Encoding", "br"}, status: 415, code: CodeUnsupportedEncoding},
		{name: "identity", method: "POST", path: submit, body: "1", header: []string{"Content-Encoding", "identity"}, status: 202},
		{name: "idempotency key of nonsense", method: "POST", path: submit, body: "1", header: []string{headerIdempotencyKey, strings.Repeat("k", 300)}, status: 400, code: CodeInvalidRequest},

		// Reading.
		{name: "job id of letters", method: "GET", path: "/v1/jobs/abc", status: 404, code: CodeNotFound},
		{name: "job id too large", method: "GET", path: "/v1/jobs/99999999999999999999", status: 404, code: CodeNotFound},
		{name: "job id negative", method: "GET", path: "/v1/jobs/-1", status: 404, code: CodeNotFound},
		{name: "job id with a sign", method: "GET", path: "/v1/jobs/+1", status: 404, code: CodeNotFound},
		{name: "job id unknown", method: "GET", path: "/v1/jobs/999999999", status: 404, code: CodeNotFound},
		{name: "result of unknown", method: "GET", path: "/v1/jobs/999999999/result", status: 404, code: CodeNotFound},
		{name: "logs of unknown", method: "GET", path: "/v1/jobs/999999999/logs", status: 404, code: CodeNotFound},
		{name: "events of unknown", method: "GET", path: "/v1/jobs/999999999/events", status: 404, code: CodeNotFound},
		{name: "cancel unknown", method: "POST", path: "/v1/jobs/999999999/cancel", status: 404, code: CodeNotFound},
		{name: "retry unknown", method: "POST", path: "/v1/jobs/999999999/retry", status: 404, code: CodeNotFound},
		{name: "cursor of nonsense", method: "GET", path: "/v1/jobs?cursor=%27%3B--", status: 400, code: CodeInvalidRequest},
		{name: "state of nonsense", method: "GET", path: "/v1/jobs?state=%24%24", status: 400, code: CodeInvalidRequest},
		{name: "limit of nonsense", method: "GET", path: "/v1/jobs?limit=1000000", status: 400, code: CodeInvalidRequest},
		{name: "queue of SQL", method: "GET", path: "/v1/jobs?queue=%22%3Bdrop%20table--&tag=%25&function=%24%24", status: 200, want: []string{`"jobs":[]`}},
		{name: "function unknown", method: "GET", path: "/v1/functions/no.such", status: 404, code: CodeUnknownFunction},
		{name: "versions of unknown", method: "GET", path: "/v1/functions/no.such/versions", status: 404, code: CodeUnknownFunction},
		{name: "functions", method: "GET", path: "/v1/functions", status: 200, want: []string{`"orders.charge"`}},
		{name: "stats", method: "GET", path: "/v1/stats", status: 200, want: []string{`"states"`}},
		{name: "nodes", method: "GET", path: "/v1/nodes", status: 200, want: []string{`"test-node"`}},
		{name: "who am I", method: "GET", path: "/session", status: 200, want: []string{`"admin"`}, never: []string{devKey}},

		// Deploying.
		{name: "source that does not build", method: "PUT", path: "/v1/functions/bad", body: "export default (", status: 422, code: CodeBuildFailed, want: []string{`"diagnostics"`, `"line":1`}},
		{name: "deploy nothing", method: "POST", path: "/v1/deployments", body: `{}`, status: 422, code: CodeValidationFailed},
		{name: "language of nonsense", method: "PUT", path: "/v1/functions/f?language=cobol", body: "x", status: 400, code: CodeInvalidRequest},
		{name: "deploy over a native one", method: "PUT", path: "/v1/functions/echo", body: "export default () => 1", status: 422, code: CodeBuildFailed},
		{name: "roll back to nothing", method: "POST", path: "/v1/functions/echo/rollback", body: `{}`, status: 422, code: CodeValidationFailed},

		// Channels.
		{name: "publish", method: "POST", path: "/v1/channels/room:lobby/messages", body: `{"a":1}`, status: 200, want: []string{`"offset":"1"`, `"epoch"`}},
		{name: "history", method: "GET", path: "/v1/channels/room%3Alobby/history", status: 200, want: []string{`"data":{"a":1}`}},
		{name: "channel of nonsense", method: "POST", path: "/v1/channels/a%00b/messages", body: `1`, status: 400, code: CodeInvalidRequest},
		{name: "channel too long", method: "POST", path: "/v1/channels/" + strings.Repeat("c", 300) + "/messages", body: `1`, status: 400, code: CodeInvalidRequest},
		{name: "publish to a view", method: "POST", path: "/v1/channels/jobs/messages", body: `1`, status: 409, code: CodeChannelReadOnly},
		{name: "publish no JSON", method: "POST", path: "/v1/channels/room:lobby/messages", body: `{`, status: 400, code: CodeInvalidJSON},
		{name: "history of a view", method: "GET", path: "/v1/channels/job:1/history", status: 404, code: CodeNoHistory},
		{name: "position of nonsense", method: "GET", path: "/v1/channels/room:lobby/history?offset=-1&epoch=x", status: 400, code: CodeInvalidRequest},
		{name: "position of another epoch", method: "GET", path: "/v1/channels/room:lobby/history?offset=1&epoch=x", status: 410, code: CodeUnrecoverable},

		// Keys and tokens.
		{name: "scope of nonsense", method: "POST", path: "/v1/keys", body: `{"scopes":["everything"]}`, status: 422, code: CodeValidationFailed, want: []string{`scopes[0]`}},
		{name: "no scopes", method: "POST", path: "/v1/keys", body: `{}`, status: 422, code: CodeValidationFailed},
		{name: "revoke unknown", method: "DELETE", path: "/v1/keys/nosuch", status: 404, code: CodeNotFound},
		{name: "token for nobody", method: "POST", path: "/v1/tokens", body: `{}`, status: 422, code: CodeValidationFailed},

		// Open to all.
		{name: "healthz", method: "GET", path: "/healthz", key: "-", status: 200},
		{name: "readyz", method: "GET", path: "/readyz", key: "-", status: 200},
		{name: "openapi", method: "GET", path: "/openapi.json", key: "-", status: 200, want: []string{`"/v1/jobs/{id}"`, `"x-scope":"jobs:read:{pattern}"`, `"wait"`, `"Prefer"`, `"Idempotency-Key"`, `"` + mimeNDJSON + `":`}, never: []string{"/assets/app.js"}},
		{name: "page", method: "GET", path: "/", key: "-", status: 200, want: []string{"<!doctype html>"}},
		{name: "asset", method: "GET", path: "/assets/app.js", key: "-", status: 200, want: []string{"page"}},
		{name: "no directory", method: "GET", path: "/assets/", key: "-", status: 404, code: CodeNotFound},
		{name: "no fallback to the page", method: "GET", path: "/some/view", key: "-", status: 404, code: CodeNotFound},
		{name: "metrics", method: "GET", path: "/metrics", status: 200, want: []string{"millrace_http_request_duration_seconds"}, never: []string{"abc"}},
	} {
		t.Run(s.name, func(t *testing.T) { e.play(t, s) })
	}
	require.NotContains(t, e.log.String(), devKey)
	require.NotContains(t, e.log.String(), `"level":"ERROR"`)
}

func TestSecurityHeadersAreOnEveryAnswer(t *testing.T) {
	t.Parallel()
	e := start(t)
	for _, path := range []string{"/", "/v1/jobs", "/nothing", "/healthz"} {
		got := e.do(http.MethodGet, path, "", "")
		require.Equal(t, "nosniff", got.header.Get("X-Content-Type-Options"), path)
		require.Equal(t, "DENY", got.header.Get("X-Frame-Options"), path)
		require.Contains(t, got.header.Get("Content-Security-Policy"), "frame-ancestors 'none'", path)
		require.NotContains(t, got.header.Get("Content-Security-Policy"), "unsafe", path)
		require.Empty(t, got.header.Get("Access-Control-Allow-Origin"), path)
		require.Empty(t, got.header.Get("Server"), path)
	}
	page := e.do(http.MethodGet, "/", "", "")
	again := e.do(http.MethodGet, "/", "", "", "If-None-Match", page.header.Get("ETag"))
	require.Equal(t, http.StatusNotModified, again.status)
	require.Empty(t, again.body)
	head := e.do(http.MethodHead, "/v1/functions", devKey, "")
	require.Equal(t, http.StatusOK, head.status)
	require.Empty(t, head.body)
}
