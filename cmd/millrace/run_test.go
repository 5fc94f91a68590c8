package main

import (
	"context"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

const (
	queuedJob    = `{"id":"7","function":"hello","state":"queued","attempt":0,"max_attempts":5}`
	completedJob = `{"id":"7","function":"hello","state":"completed","output":{"greeting":"<Hi>"},"attempt":1,"max_attempts":5}`
	failedJob    = `{"id":"7","function":"hello","state":"failed","attempt":2,"max_attempts":2,` +
		`"error":{"code":"exception","message":"no \u001b[31mluck","stack":"at hello.ts:3:9"}}`
)

const submitHello = "POST /v1/functions/hello/jobs"

func TestRunPrintsTheID(t *testing.T) {
	t.Parallel()
	a := newAPI(t, map[string]http.HandlerFunc{submitHello: answerJSON(queuedJob)})
	got := a.run(t, "", "run", "hello", `{"a":1}`, "--queue", "mail", "--delay", "90s", "--tag", "one", "--tag", "two", "--max-attempts", "3")
	require.Zero(t, got.code, got.stderr)
	require.Equal(t, "7\n", got.stdout)
	require.Contains(t, got.stderr, "millrace jobs get 7 --wait")
	require.Equal(t, []string{`POST /v1/functions/hello/jobs?delay=1m30s&max_attempts=3&queue=mail&tags=one%2Ctwo {"a":1}`}, a.asked())
}

func TestRunReadsItsInput(t *testing.T) {
	t.Parallel()
	a := newAPI(t, map[string]http.HandlerFunc{submitHello: answerJSON(queuedJob)})
	require.Zero(t, a.run(t, " [1,\n2] ", "run", "hello", "-").code)
	require.Zero(t, a.run(t, "", "run", "hello").code)
	asked := a.asked()
	require.Contains(t, asked[0], "[1,\n2]")
	require.Contains(t, asked[1], " null")
}

func TestRunWaits(t *testing.T) {
	t.Parallel()
	a := newAPI(t, map[string]http.HandlerFunc{submitHello: answerJSON(queuedJob), "GET /v1/jobs/7": answerJSON(completedJob)})
	got := a.run(t, "", "run", "hello", "--wait")
	require.Zero(t, got.code, got.stderr)
	require.Contains(t, got.stdout, `{"greeting":"<Hi>"}`, "HTML is not escaped for people")
	require.Empty(t, got.stderr)

	got = a.run(t, "", "run", "hello", "--wait", "--json")
	require.Zero(t, got.code)
	require.Contains(t, got.stdout, `"state":"completed"`)
}

func TestRunFails(t *testing.T) {
	t.Parallel()
	a := newAPI(t, map[string]http.HandlerFunc{submitHello: answerJSON(queuedJob), "GET /v1/jobs/7": answerJSON(failedJob)})
	got := a.run(t, "", "run", "hello", "--wait")
	require.Equal(t, exitFailed, got.code)
	require.Empty(t, got.stdout)
	require.Equal(t, "millrace: job 7 of hello failed after 2 attempts: exception: no \ufffd[31mluck\nat hello.ts:3:9\n", got.stderr)
}

func jobEvent(data string) string { return "data: {\"channel\":\"job:7\",\"data\":" + data + "}\n\n" }

func TestRunFollows(t *testing.T) {
	t.Parallel()
	a := newAPI(t, map[string]http.HandlerFunc{
		submitHello: answerJSON(queuedJob),
		"GET /v1/jobs/7/events": text("text/event-stream",
			jobEvent(`{"type":"snapshot","job":{"id":"7","state":"running"}}`)+
				jobEvent(`{"type":"progress","progress":{"percent":50,"message":"half"}}`)+
				jobEvent(`{"type":"log","line":{"seq":"1","level":"info","message":"working","fields":{"n":1}}}`)+
				jobEvent(`{"type":"state","job":`+completedJob+`}`)),
		"GET /v1/jobs/7/logs": answerJSON(`{"lines":[]}`),
	})
	got := a.run(t, "", "run", "hello", "--follow")
	require.Zero(t, got.code, got.stderr)
	require.Contains(t, got.stdout, `{"greeting":"<Hi>"}`, "HTML is not escaped for people")
	for _, part := range []string{"job 7 is running\n", " 50 %  half\n", "info  working {\"n\":1}\n"} {
		require.Contains(t, got.stderr, part)
	}
}

func TestRunInterrupted(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	a := newAPI(t, map[string]http.HandlerFunc{
		submitHello: answerJSON(queuedJob),
		"GET /v1/jobs/7": func(_ http.ResponseWriter, r *http.Request) {
			cancel()
			<-r.Context().Done()
		},
	})
	got := executeContext(ctx, "", "run", "hello", "--wait", "--url", a.url, "--key", "test-key")
	require.Equal(t, exitFailed, got.code)
	require.Equal(t, "Stopped waiting; job 7 goes on. Stop it with: millrace jobs cancel 7\n", got.stderr)
}
