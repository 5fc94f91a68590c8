package main

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestJobsList(t *testing.T) {
	t.Parallel()
	pages := func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("cursor") == "" {
			answerJSON(`{"jobs":[`+failedJob+`],"next":"more"}`)(w, r)
			return
		}
		answerJSON(`{"jobs":[{"id":"6","function":"a.b","state":"completed","attempt":1,"max_attempts":5,"created_at":"2026-01-01T00:00:00Z","started_at":"2026-01-01T00:00:00Z","finished_at":"2026-01-01T00:00:00.25Z"}],"next":""}`)(w, r)
	}
	a := newAPI(t, map[string]http.HandlerFunc{"GET /v1/jobs": pages})
	got := a.run(t, "", "jobs", "list", "--state", "failed", "--function", "hello", "--limit", "0")
	require.Zero(t, got.code, got.stderr)
	lines := strings.Split(got.stdout, "\n")
	require.Regexp(t, `^ID +FUNCTION +STATE +ATTEMPT +CREATED +TOOK +ERROR$`, strings.TrimSpace(lines[0]))
	require.Regexp(t, `^7 +hello +failed +2/2 +- +- +exception: no \x{fffd}\[31mluck$`, lines[1])
	require.Regexp(t, `^6 +a\.b +completed +1/5 +\d+ d ago +250 ms`, lines[2])
	require.Equal(t, []string{
		"GET /v1/jobs?function=hello&limit=500&state=failed",
		"GET /v1/jobs?cursor=more&function=hello&limit=500&state=failed",
	}, a.asked())

	got = a.run(t, "", "jobs", "list", "--limit", "1", "--json")
	require.Zero(t, got.code)
	require.Equal(t, 1, strings.Count(got.stdout, "\n"), "one value a line, and no more than the limit")
	require.Contains(t, got.stdout, `"id":"7"`)
}

func TestJobsGet(t *testing.T) {
	t.Parallel()
	a := newAPI(t, map[string]http.HandlerFunc{
		"GET /v1/jobs/7": answerJSON(failedJob), "GET /v1/jobs/7/steps": answerJSON(`{"steps":[]}`),
	})
	got := a.run(t, "", "jobs", "get", "7")
	require.NotContains(t, got.stdout, "STEP")
	require.Zero(t, got.code, "reading a failed job is no failure")
	require.Regexp(t, `(?m)^state +failed$`, got.stdout)
	require.Regexp(t, `(?m)^attempt +2 of 2$`, got.stdout)
	require.Contains(t, got.stdout, "at hello.ts:3:9")
	require.NotContains(t, got.stdout, "\x1b")

	require.Equal(t, exitFailed, a.run(t, "", "jobs", "get", "7", "--wait").code)
}

func TestJobsGetShowsSteps(t *testing.T) {
	t.Parallel()
	const at = `"created_at":"2026-01-01T00:00:00Z","settled_at":"2026-01-01T00:00:01Z"`
	a := newAPI(t, map[string]http.HandlerFunc{
		"GET /v1/jobs/7": answerJSON(failedJob),
		"GET /v1/jobs/7/steps": answerJSON(`{"steps":[
			{"position":1,"kind":"step","name":"charge","state":"done","value":{"id":4},` + at + `},
			{"position":2,"kind":"step","name":"pdf","state":"done","value":null,"omitted":true,` + at + `},
			{"position":4,"kind":"step","name":"mail","state":"failed","error":{"code":"exception","message":"503"},` + at + `},
			{"position":5,"kind":"event","name":"approved","state":"waiting","event":"approved","key":"o1","created_at":"2026-01-01T00:00:00Z"},
			{"position":6,"kind":"call","name":"tax","state":"waiting","job":"9","created_at":"2026-01-01T00:00:00Z"}]}`),
	})
	got := a.run(t, "", "jobs", "get", "7")
	require.Zero(t, got.code, got.stderr)
	for _, line := range []string{
		`STEP +KIND +NAME +STATE +TOOK +RESULT`, `1 +step +charge +done +1.0 s +\{"id":4\}`, `2 +step +pdf +done +1.0 s +\(large\)`,
		`4 +step +mail +failed +1.0 s +exception: 503`, `5 +event +approved +waiting +\d+ d +event approved of o1`,
		`6 +call +tax +waiting +\d+ d +job 9`,
	} {
		require.Regexp(t, `(?m)^`+line+`$`, got.stdout)
	}
	require.NotContains(t, a.run(t, "", "jobs", "get", "7", "--json").stdout, "STEP")
}

func TestEventsSend(t *testing.T) {
	t.Parallel()
	a := newAPI(t, map[string]http.HandlerFunc{"POST /v1/events/order.approved": answerJSON(`{"id":"12"}`)})
	got := a.run(t, `{"by": "ann"}`, "events", "send", "order.approved", "--event-key", "o 1", "--data", "-")
	require.Zero(t, got.code, got.stderr)
	require.Equal(t, "12", strings.TrimSpace(got.stdout))
	require.Zero(t, a.run(t, "", "events", "send", "order.approved").code)
	require.Equal(t, []string{`POST /v1/events/order.approved?key=o+1 {"by": "ann"}`, `POST /v1/events/order.approved null`}, a.asked())

	require.NotZero(t, a.run(t, "", "events", "send", "order.approved", "--data", "{").code)
	require.Len(t, a.asked(), 2, "what is no JSON is not sent")
	require.Contains(t, a.run(t, "", "events", "send", "no").stderr, "send event no: There is nothing here")
}

func TestJobsLogs(t *testing.T) {
	t.Parallel()
	a := newAPI(t, map[string]http.HandlerFunc{
		"GET /v1/jobs/7/logs": answerJSON(`{"lines":[{"seq":"1","level":"info","message":"a\nb","at":"2026-01-01T00:00:00Z"}]}`),
	})
	got := a.run(t, "", "jobs", "logs", "7")
	require.Zero(t, got.code)
	require.Regexp(t, `^\d\d:\d\d:\d\d info  a b\n$`, got.stdout)
	require.Contains(t, a.run(t, "", "jobs", "logs", "7", "--json").stdout, `"seq":"1"`)
}

func TestJobsCancelGoesOnAfterARefusal(t *testing.T) {
	t.Parallel()
	a := newAPI(t, map[string]http.HandlerFunc{
		"POST /v1/jobs/6/cancel": problem(http.StatusConflict, `"code":"job_state","title":"The job's state does not allow this"`),
		"POST /v1/jobs/7/cancel": answerJSON(`{"id":"7","function":"hello","state":"cancelled"}`),
	})
	got := a.run(t, "", "jobs", "cancel", "6", "7")
	require.Equal(t, exitFailed, got.code)
	require.Equal(t, "7  hello  cancelled\n", got.stdout)
	require.Contains(t, got.stderr, "cancel job 6: The job's state does not allow this")
}

func TestJobsRetry(t *testing.T) {
	t.Parallel()
	a := newAPI(t, map[string]http.HandlerFunc{"POST /v1/jobs/7/retry": answerJSON(queuedJob)})
	got := a.run(t, "", "jobs", "retry", "7", "--json")
	require.Zero(t, got.code)
	require.Contains(t, got.stdout, `"state":"queued"`)
}
