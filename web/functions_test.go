package web

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/valyala/fasthttp"

	"github.com/millrace-dev/millrace/functions"
)

// TestDeployRunRollBack is the way of a function's source through the API.
func TestDeployRunRollBack(t *testing.T) {
	t.Parallel()
	e := start(t)
	deploy := func(n int) functions.DeployResult {
		got := e.do(http.MethodPut, "/v1/functions/hello", devKey, fmt.Sprintf("export default (input: number): number => input + %d", n))
		require.Equal(t, http.StatusOK, got.status, got.body)
		var result functions.DeployResult
		got.json(t, &result)
		require.Len(t, result.Functions, 1)
		return result
	}
	run := func() string {
		got := e.do(http.MethodPost, "/v1/functions/hello/jobs?wait=20s", devKey, `40`)
		require.Equal(t, http.StatusOK, got.status, got.body)
		return string(got.job(t).Output)
	}
	first := deploy(1).Functions[0]
	require.True(t, first.Changed)
	require.Equal(t, "41", run())
	require.Equal(t, first.Version, deploy(2).Functions[0].Previous)
	require.Equal(t, "42", run())

	versions := e.do(http.MethodGet, "/v1/functions/hello/versions", devKey, "")
	require.Equal(t, http.StatusOK, versions.status)
	require.Contains(t, versions.body, first.Version)
	back := e.do(http.MethodPost, "/v1/functions/hello/rollback", devKey, fmt.Sprintf(`{"version":%q}`, first.Version))
	require.Equal(t, http.StatusOK, back.status, back.body)
	var function functions.Function
	back.json(t, &function)
	require.Equal(t, first.Version, function.Version)
	require.Equal(t, "41", run())
	unknown := e.do(http.MethodPost, "/v1/functions/hello/rollback", devKey, `{"version":"nosuch"}`)
	require.Equal(t, http.StatusNotFound, unknown.status)
	require.Equal(t, CodeUnknownVersion, unknown.problem(t).Code)

	const many = `{"functions":[{"name":"a.b","entry":"b.js","files":{"b.js":"import {c} from './lib/c.js'; export default () => c","lib/c.js":"export const c = 7"}}],"remove":["hello"]}`
	dry := e.do(http.MethodPost, "/v1/deployments?dry_run=true", devKey, many)
	require.Equal(t, http.StatusOK, dry.status, dry.body)
	require.Equal(t, "41", run(), "a dry run changes nothing")
	got := e.do(http.MethodPost, "/v1/deployments", devKey, many)
	require.Equal(t, http.StatusOK, got.status, got.body)
	require.Contains(t, got.body, `"removed":["hello"]`)
	require.Equal(t, http.StatusNotFound, e.do(http.MethodPost, "/v1/functions/hello/jobs", devKey, `1`).status)
	ran := e.do(http.MethodPost, "/v1/functions/a.b/jobs?wait=20s", devKey, ``)
	require.Equal(t, "7", string(ran.job(t).Output), ran.body)
}

// BenchmarkRequest is what every request costs before its handler does anything, with a known key.
func BenchmarkRequest(b *testing.B) {
	e := start(b)
	handler := e.server.app.Server().Handler
	b.ReportAllocs()
	for b.Loop() {
		var ctx fasthttp.RequestCtx
		ctx.Request.SetRequestURI("/session")
		ctx.Request.Header.Set("Authorization", "Bearer "+devKey)
		ctx.Request.Header.SetProtocol("HTTP/1.1")
		handler(&ctx)
		if ctx.Response.StatusCode() != http.StatusOK {
			b.Fatal(string(ctx.Response.Body()))
		}
	}
}
