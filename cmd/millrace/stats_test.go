package main

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

func seeingAPI(t *testing.T) *api {
	t.Helper()
	const numbers = `"attempts":7,"completed":5,"failed":2,"dead":1,"cancelled":0,"per_minute":0.1,"wait_ms":{"p50":3,"p95":40},"run_ms":{"p50":120,"p95":900}`
	group := func(state string) string {
		return `{"id":"3f0c","function":"f","code":"exception","pattern":"user # is gone","frame":"at f (f.ts)","message":"user 7 is gone","state":"` +
			state + `","count":12,"first_seen":"2026-01-01T00:00:00Z","last_seen":"2026-01-01T00:00:01Z","changed_at":null,"jobs":["9","8"]}`
	}
	return newAPI(t, map[string]http.HandlerFunc{
		"GET /v1/stats/functions":        answerJSON(`{"functions":[{"function":"f",` + numbers + `,"points":[{"at":"2026-01-01T00:00:00Z",` + numbers + `}]}]}`),
		"GET /v1/failures":               answerJSON(`{"failures":[` + group("open") + `],"next":""}`),
		"GET /v1/failures/3f0c":          answerJSON(group("open")),
		"POST /v1/failures/3f0c/resolve": answerJSON(group("resolved")),
		"POST /v1/failures/3f0c/ignore":  answerJSON(group("ignored")),
		"POST /v1/failures/3f0c/reopen":  answerJSON(group("open")),
	})
}

func TestStatsShowsFunctions(t *testing.T) {
	t.Parallel()
	a := seeingAPI(t)
	for _, args := range [][]string{{"stats"}, {"stats", "f", "--since", "24h", "--step", "1h"}} {
		got := a.run(t, "", args...)
		require.Equal(t, exitOK, got.code, got.stderr)
		require.Regexp(t, `f +.*7 +0\.1 +2 +3.*ms +40.*ms +120.*ms +900.*ms`, got.stdout)
	}
	require.Equal(t, exitUsage, a.run(t, "", "stats", "--since", "0s").code)
}

func TestFailuresAreShownAndSet(t *testing.T) {
	t.Parallel()
	a := seeingAPI(t)
	list := a.run(t, "", "failures", "list")
	require.Equal(t, exitOK, list.code, list.stderr)
	require.Regexp(t, `3f0c +f +open +12 .*exception: user # is gone`, list.stdout)
	get := a.run(t, "", "failures", "get", "3f0c")
	require.Contains(t, get.stdout, "user 7 is gone")
	require.Contains(t, get.stdout, "9, 8")
	for action, state := range map[string]string{"resolve": "resolved", "ignore": "ignored", "reopen": "open"} {
		require.Contains(t, a.run(t, "", "failures", action, "3f0c").stdout, state)
	}
	require.Equal(t, exitUsage, a.run(t, "", "failures", "list", "--state", "gone").code)
}
