package main

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRefusalsSayWhatToDo(t *testing.T) {
	t.Parallel()
	a := newAPI(t, map[string]http.HandlerFunc{
		"GET /v1/jobs/8": problem(http.StatusConflict, `"code":"job_state","title":"It is not finished","hint":"Wait for it."`),
		"GET /v1/channels/a/history": problem(http.StatusNotFound,
			`"code":"no_history","title":"The channel keeps no history","hint":"Ask over HTTP."`),
		"POST /v1/tokens": problem(http.StatusUnprocessableEntity,
			`"code":"validation_failed","title":"Not possible","hint":"Each entry of 'errors' names a field.","errors":[{"field":"user","message":"is too long"}]`),
		"GET /v1/keys":                 problem(http.StatusForbidden, `"code":"forbidden","title":"Not granted","detail":"It takes the scope keys:manage.","hint":"Use another."`),
		"POST /v1/functions/nope/jobs": problem(http.StatusNotFound, `"code":"unknown_function","title":"There is no such function","hint":"Look at GET /v1/functions."`),
		"POST /v1/schedules/x/pause": problem(http.StatusNotFound,
			`"code":"not_found","title":"There is nothing here","detail":"There is no such schedule."`),
	})
	for want, args := range map[string][]string{
		"millrace: read job 7: There is nothing here\nSee `millrace jobs list`.\n":                               {"jobs", "get", "7"},
		"millrace: pause schedule x: There is no such schedule.\nSee `millrace schedules list`.\n":               {"schedules", "pause", "x"},
		"millrace: read job 8: It is not finished\nWait for it.\n":                                               {"jobs", "get", "8"},
		"millrace: read the history of a: The channel keeps no history\nRead it live with `millrace tail`, or ":  {"channels", "history", "a"},
		"millrace: make a token: Not possible\n  user: is too long\n":                                            {"token", "--user", "ada"},
		"millrace: list keys: Not granted: It takes the scope keys:manage.\nThis API key does not cover it. ":    {"keys", "list"},
		"millrace: run nope: There is no such function\nSee `millrace functions list`, or deploy it with: millr": {"run", "nope"},
	} {
		got := a.run(t, "", args...)
		require.Equal(t, exitFailed, got.code)
		require.Contains(t, got.stderr, want)
		require.NotContains(t, got.stderr, "GET /v1")
		require.NotContains(t, got.stderr, "Each entry")
	}
}

func TestARefusedCredentialIsNamed(t *testing.T) { //nolint:paralleltest // sets the environment
	t.Setenv("MILLRACE_KEY", "")
	a := newAPI(t, nil)
	with := func(key string) string {
		t.Helper()
		got := execute(t, "", "jobs", "list", "--url", a.url, "--key", key)
		require.Equal(t, exitFailed, got.code)
		return got.stderr
	}
	require.Contains(t, with(""), "No valid credential\nNo key was given. Set MILLRACE_KEY or give --key")
	require.Contains(t, with("dev-wrong"), "The API key of --key is not accepted")
	require.Contains(t, with("dev-wrong"), "of another server than "+a.url)
	require.Contains(t, with("eyJhbGciOiJIUzI1NiJ9.e30.c2ln"), "The token of --key is not accepted: it has expired")
	require.NotContains(t, with("dev-wrong"), "dev-wrong", "a secret is not printed")

	t.Setenv("MILLRACE_KEY", "dev-kept")
	got := execute(t, "", "jobs", "list", "--url", a.url)
	require.Contains(t, got.stderr, "The API key of MILLRACE_KEY is not accepted")
}
