package web

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A misspelt parameter is refused on every route, and the refusal says which there are.
func TestUnknownParametersAreRefused(t *testing.T) {
	t.Parallel()
	e := startShared(t)
	for _, route := range e.server.Routes() {
		if route.AnyQuery {
			continue
		}
		path, _, _ := strings.Cut(examplePath(route), "?")
		got := e.do(route.Method, path+"?limt=3", devKey, `{}`)
		require.Equal(t, http.StatusBadRequest, got.status, "%s %s: %s", route.Method, route.Path, got.body)
		problem := got.problem(t)
		require.Equal(t, CodeInvalidRequest, problem.Code)
		require.Len(t, problem.Errors, 1)
		require.Equal(t, "limt", problem.Errors[0].Field)
		for _, name := range route.queryNames() {
			require.Contains(t, problem.Errors[0].Message, name)
		}
	}
	problem := e.do(http.MethodGet, "/v1/keys?limit=2&curser=x&%FF=1&limti", devKey, "").problem(t)
	require.Len(t, problem.Errors, 3)
	require.Equal(t, FieldError{Field: "curser", Message: "is no parameter; this route takes: limit, cursor"}, problem.Errors[0])
	require.Equal(t, "is no parameter; this route takes none", e.do(http.MethodGet, "/v1/nodes?x=1", devKey, "").problem(t).Errors[0].Message)
	require.Equal(t, http.StatusOK, e.do(http.MethodGet, "/healthz?probe=1", "", "").status)
	require.Equal(t, http.StatusUnauthorized, e.do(http.MethodGet, "/v1/keys?x=1", "", "").status, "nobody learns anything before who they are")
}
