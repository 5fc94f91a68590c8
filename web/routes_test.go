package web

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/auth"
)

// public is the whole list of what may be reached by nobody in particular. A route that becomes public has to be
// added here, in view of a reviewer.
func public() []string {
	return []string{
		"GET /", "GET /assets/app.js", "GET /healthz", "GET /readyz", "GET /openapi.json", "POST /session", "GET /v1/ws",
		"GET /v1/stream", "GET /v1/ws/raw", // where a namespace is open to anyone
		"GET /ws/*", // where a function is open to anybody
	}
}

func examplePath(route Route) string {
	path := strings.NewReplacer(":name", "orders.charge", ":channel", "room:lobby", ":id", "1").Replace(route.Path)
	if strings.HasPrefix(path, "/v1/stream") || strings.HasPrefix(path, "/v1/ws/raw") {
		path += "?channels=room:lobby"
	}
	return path
}

// withoutID is a problem's text without the request's id, which differs by nature.
func withoutID(body string) string {
	return regexp.MustCompile(`,?"request_id":"[^"]*"`).ReplaceAllString(body, "")
}

// TestNobodyGetsInWithoutACredential walks the table: 401, with one and the same answer for none and for a bad one.
func TestNobodyGetsInWithoutACredential(t *testing.T) {
	t.Parallel()
	e := start(t)
	_, revoked, err := e.store.CreateKey(t.Context(), auth.KeyParams{Scopes: []string{"admin"}})
	require.NoError(t, err)
	keys, err := e.store.ListKeys(t.Context(), "", 10)
	require.NoError(t, err)
	for _, key := range keys {
		if strings.Contains(revoked, key.ID) {
			require.NoError(t, e.store.Revoke(t.Context(), key.ID))
		}
	}
	var open []string
	var answers []string
	for _, route := range e.server.Routes() {
		if route.Scope == Public || route.Scope == Optional {
			open = append(open, route.Method+" "+route.Path)
			continue
		}
		methods := []string{route.Method}
		if route.Method == http.MethodGet && !route.Upgrade {
			methods = append(methods, http.MethodHead)
		}
		for _, method := range methods {
			for _, headers := range [][]string{
				nil, {"Authorization", "Bearer "}, {"Authorization", "Bearer wrong"}, {"Authorization", "Bearer " + revoked},
				{"Authorization", "Basic YTpi"}, {"Authorization", devKey}, {"Cookie", cookieName + "=guessed", "Sec-Fetch-Site", "same-origin"},
				{"X-Api-Key", devKey}, {"X-Forwarded-For", "127.0.0.1", "X-Original-URL", "/healthz"},
			} {
				got := e.do(method, examplePath(route), "", "", headers...)
				require.Equal(t, http.StatusUnauthorized, got.status, "%s %s %v", method, route.Path, headers)
				require.NotEmpty(t, got.header.Get("WWW-Authenticate"))
				if method != http.MethodHead {
					answers = append(answers, withoutID(got.body))
				}
			}
		}
	}
	slices.Sort(answers)
	require.Len(t, slices.Compact(answers), 1, "every refusal looks the same")
	want := public()
	slices.Sort(open)
	slices.Sort(want)
	require.Equal(t, want, open)
}

// TestEveryScopeButTheNeededOne walks the table with a key that may do everything else.
func TestEveryScopeButTheNeededOne(t *testing.T) {
	t.Parallel()
	e := start(t)
	everythingBut := func(needed string) string {
		var scopes []string
		for _, name := range auth.Scopes() {
			switch {
			case name == needed || name == auth.ScopeAdmin:
			case auth.Patterned(name):
				scopes = append(scopes, name+":*")
			default:
				scopes = append(scopes, name)
			}
		}
		return e.key(scopes...)
	}
	keys := map[string]string{}
	for _, route := range e.server.Routes() {
		if route.Scope == Public || route.Scope == Optional || route.Scope == AnyKey {
			continue
		}
		if keys[route.Scope] == "" {
			keys[route.Scope] = everythingBut(route.Scope)
		}
		got := e.do(route.Method, examplePath(route), keys[route.Scope], `{}`)
		require.Equal(t, http.StatusForbidden, got.status, "%s %s: %s", route.Method, route.Path, got.body)
		problem := got.problem(t)
		require.Equal(t, CodeForbidden, problem.Code)
		require.Contains(t, problem.Detail, route.Scope)
	}
}

func TestTheTableHasNoHoles(t *testing.T) {
	t.Parallel()
	e := start(t)
	require.NoError(t, checkTable(e.server.Routes()))
	good := e.server.Routes()[0]
	for name, change := range map[string]func(*Route){
		"no scope":      func(r *Route) { r.Scope = "" },
		"unknown scope": func(r *Route) { r.Scope = "jobs" },
		"no handler":    func(r *Route) { r.Handler = nil },
		"no summary":    func(r *Route) { r.Summary = "" },
	} {
		broken := good
		change(&broken)
		require.Error(t, checkTable([]Route{broken}), name)
	}
	require.Error(t, checkTable([]Route{good, good}), "twice")
	for _, route := range e.server.Routes() {
		takesBody := route.Method == http.MethodPost || route.Method == http.MethodPut || route.Method == http.MethodPatch
		if route.BodyLimit > 0 {
			require.True(t, takesBody, "%s %s", route.Method, route.Path)
		}
		if route.Resource != "" {
			require.True(t, auth.Patterned(route.Scope))
			require.Contains(t, route.Path, ":"+route.Resource)
		}
	}
}

// TestPathTricks: no spelling of a path is asked for less than the path itself (W10 among them).
func TestPathTricks(t *testing.T) {
	t.Parallel()
	e := start(t)
	for _, path := range []string{
		"/v1/jobs/x%2Fhealthz", "/v1/jobs/x%252Fhealthz", "//v1/jobs", "/v1//jobs", "/v1/jobs/..;/healthz", "/healthz/..;/v1/jobs",
		"/v1/jobs;/healthz", "/v1/jobs/%2e%2e/jobs", "/v1/jobs/%252e%252e/jobs", "/healthz/../v1/jobs", "/v1/jobs/healthz", "/v1/jobs/readyz",
		"/v1/jobs/configs", "/v1/jobs%00", "/v1/jobs%20", "/V1/JOBS", "/v1/jobs/", "/v1/jobs?x=/healthz", "/v1/jobs/1/logs/healthz",
		"/%76%31/jobs", "/assets/../v1/jobs", "/assets/%2e%2e/index.html", "/assets/%252e%252e%252findex.html", "/assets/..%2f..%2fetc/passwd",
		"/assets\\..\\index.html", "/session/healthz",
	} {
		answer := e.raw("GET " + path + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		status := strings.SplitN(answer, " ", 3)[1]
		require.Contains(t, []string{"401", "404", "400"}, status, "%s: %s", path, answer)
		require.NotContains(t, answer, "root:")
	}
	broken := e.raw("POST /v1/functions/a%zz/jobs HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer " + devKey + "\r\nContent-Length: 1\r\n\r\n1")
	require.Contains(t, broken, "400 Bad Request")
	absolute := e.raw("GET http://other.example/v1/jobs HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	require.Contains(t, absolute, "401 Unauthorized")
}
