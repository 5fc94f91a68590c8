package main

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestQueues(t *testing.T) {
	t.Parallel()
	a := newAPI(t, map[string]http.HandlerFunc{
		"GET /v1/queues": answerJSON(`{"queues":[{"name":"default","queued":3,"running":1,"paused_at":null},
			{"name":"mail","queued":10000,"running":0,"paused_at":"2026-01-01T00:00:00Z"}]}`),
		"POST /v1/queues/mail/pause":  answerJSON(`{"name":"mail","queued":2,"running":1,"paused_at":"2026-01-01T00:00:00Z"}`),
		"POST /v1/queues/mail/resume": answerJSON(`{"name":"mail","queued":2,"running":1,"paused_at":null}`),
	})
	got := a.run(t, "", "queues", "list")
	require.Zero(t, got.code, got.stderr)
	lines := strings.Split(got.stdout, "\n")
	require.Regexp(t, `^QUEUE +QUEUED +RUNNING +STATE$`, strings.TrimSpace(lines[0]))
	require.Regexp(t, `^default +3 +1 +active$`, strings.TrimSpace(lines[1]))
	require.Regexp(t, `^mail +10000 +0 +paused \d+ d ago$`, strings.TrimSpace(lines[2]))
	require.Contains(t, a.run(t, "", "queues", "list", "--json").stdout, `"name":"mail"`)

	got = a.run(t, "", "queues", "pause", "mail")
	require.Zero(t, got.code, got.stderr)
	require.Regexp(t, `^mail  paused \d+ d ago  \(2 queued, 1 running\)\n$`, got.stdout)
	require.Equal(t, "mail  active  (2 queued, 1 running)\n", a.run(t, "", "queues", "resume", "mail").stdout)
}

func TestMistypedQueuesAreNoticed(t *testing.T) {
	t.Parallel()
	a := newAPI(t, map[string]http.HandlerFunc{
		"GET /v1/queues":              answerJSON(`{"queues":[{"name":"default"},{"name":"mail"}]}`),
		"POST /v1/queues/later/pause": answerJSON(`{"name":"later","queued":0,"running":0,"paused_at":"2026-01-01T00:00:00Z"}`),
	})
	for _, verb := range []string{"pause", "resume"} {
		got := a.run(t, "", "queues", verb, "later")
		require.Equal(t, exitFailed, got.code)
		require.Contains(t, got.stderr, verb+" queue later: no queue of that name has been seen; there are: default, mail")
	}
	require.Len(t, a.asked(), 2, "nothing was changed")
	require.Contains(t, a.run(t, "", "queues", "pause", "later").stderr, "add --ahead")
	require.Regexp(t, `^later  paused `, a.run(t, "", "queues", "pause", "later", "--ahead").stdout)
}

func TestFunctionsPauseAndResume(t *testing.T) {
	t.Parallel()
	a := newAPI(t, map[string]http.HandlerFunc{
		"POST /v1/functions/a.b/pause":  answerJSON(`{"name":"a.b","paused_at":"2026-01-01T00:00:00Z"}`),
		"POST /v1/functions/a.b/resume": answerJSON(`{"name":"a.b","paused_at":null}`),
		"POST /v1/functions/x/pause":    problem(http.StatusNotFound, `"code":"unknown_function","title":"No such function"`),
		"GET /v1/functions": answerJSON(`{"functions":[{"name":"a.b","runtime":"js","version":"v1","updated_at":"2026-01-01T00:00:00Z",
			"paused_at":"2026-01-01T00:00:00Z"}]}`),
	})
	require.Regexp(t, `^a\.b  paused \d+ d ago\n$`, a.run(t, "", "functions", "pause", "a.b").stdout)
	require.Equal(t, "a.b  active\n", a.run(t, "", "functions", "resume", "a.b").stdout)
	require.Contains(t, a.run(t, "", "functions", "pause", "x").stderr, "pause function x: No such function")
	require.Regexp(t, `a\.b +js +v1 +\d+ d ago +paused \d+ d ago`, a.run(t, "", "functions", "list").stdout)
}
