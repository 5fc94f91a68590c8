package web

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/jobs"
)

func TestRulesOverHTTP(t *testing.T) {
	t.Parallel()
	e := start(t)
	narrow := e.key("jobs:submit:echo")
	for name, query := range map[string]string{
		"true": "unique=true", "a key": "unique=input.id",
		"JSON": "unique=" + url.QueryEscape(`{"key":"input.id","period":"1h"}`),
	} {
		path, body := "/v1/functions/echo/jobs?"+query, `{"id":"`+name+`"}`
		first := e.do(http.MethodPost, path+"&delay=1h", devKey, body)
		require.Equal(t, http.StatusAccepted, first.status, first.body)
		require.Empty(t, first.header.Get(headerOutcome))
		second := e.do(http.MethodPost, path, devKey, body)
		require.Equal(t, http.StatusOK, second.status, second.body)
		require.Equal(t, "existing", second.header.Get(headerOutcome))
		require.Equal(t, first.job(t).ID, second.job(t).ID)
		require.Equal(t, jobs.OutcomeExisting, second.job(t).Outcome)
		other := e.do(http.MethodPost, path, narrow, body)
		require.Equal(t, http.StatusOK, other.status, other.body)
		require.NotContains(t, other.body, "input", "who may not read the job gets its id")
	}
	long := func(options string) string { return `{"function":"echo","input":{"doc":1},"options":` + options + `}` }
	first := e.do(http.MethodPost, "/v1/jobs", devKey, long(`{"debounce":{"period":"1h","key":"input.doc"}}`))
	require.Equal(t, http.StatusAccepted, first.status, first.body)
	second := e.do(http.MethodPost, "/v1/jobs/batch", devKey, "["+long(`{"debounce":{"period":"1h","key":"input.doc"}}`)+"]")
	var results []batchResult
	second.json(t, &results)
	require.Equal(t, first.job(t).ID, results[0].ID)
	require.Equal(t, jobs.OutcomeReplaced, results[0].Outcome)
}

func TestBadRulesOverHTTP(t *testing.T) {
	t.Parallel()
	e := start(t)
	for query, field := range map[string]string{
		"unique=id": "unique.key", "unique=" + url.QueryEscape(`"; drop--`): "unique.key", "debounce=x": "debounce",
		"unique=" + url.QueryEscape(`{"period":"9000h"}`): "unique.period", "debounce=0": "debounce.period", "debounce=-1s": "debounce.period",
		"throttle=0/1m": "throttle.limit", "throttle=2147483648/1m": "throttle.limit", "throttle=5": "throttle.period",
		"backoff=25h": "backoff.first", "backoff=" + url.QueryEscape(`{"factor":1e400}`): "backoff.factor",
		"unique=true&debounce=1s": "debounce", "debounce=1s&delay=1s": "debounce",
		"throttle=" + url.QueryEscape(`{"limit":1,"period":"1s","x\u001b[31m":1}`): "throttle",
	} {
		got := e.do(http.MethodPost, "/v1/functions/echo/jobs?"+query, devKey, `1`)
		require.Equal(t, http.StatusUnprocessableEntity, got.status, "%s: %s", query, got.body)
		require.Equal(t, field, got.problem(t).Errors[0].Field, "%s: %s", query, got.body)
	}
	got := e.do(http.MethodPost, "/v1/functions/echo/jobs?unique="+url.QueryEscape("{"), devKey, `1`)
	require.Equal(t, http.StatusBadRequest, got.status, got.body)
	got = e.do(http.MethodPost, "/v1/functions/echo/jobs", devKey, `1`, headerIdempotencyKey, strings.Repeat("k", 256))
	require.Equal(t, http.StatusBadRequest, got.status, got.body)
	require.Contains(t, got.body, "at most 255")
}

func TestCloudEvents(t *testing.T) {
	t.Parallel()
	e := start(t)
	const path, structured = "/v1/functions/echo/jobs?wait=30s", "application/cloudevents+json"
	event := `{"specversion":"1.0","id":"1","source":"/shop","type":"order.paid","subject":"7","data":{"order":7}}`
	got := e.do(http.MethodPost, path, devKey, event, "Content-Type", structured)
	require.Less(t, got.status, 300, got.body)
	require.JSONEq(t, `{"order":7}`, string(got.job(t).Input))
	binary := []string{"Content-Type", "application/json", "ce-specversion", "1.0", "ce-id", "1", "ce-source", "/shop", "ce-type", "order.paid", "ce-subject", "7"}
	same := e.do(http.MethodPost, path, devKey, `{"order":7}`, binary...)
	require.Equal(t, got.job(t).ID, same.job(t).ID, "id and source are the event")
	require.Equal(t, "true", same.header.Get(headerReplayed))
	other := e.do(http.MethodPost, path, devKey, `{"order":8}`, binary...)
	require.Equal(t, http.StatusUnprocessableEntity, other.status, other.body)
	batch := e.do(http.MethodPost, "/v1/functions/echo/jobs", devKey, "["+event+`,{"specversion":"1.0","id":"2","source":"/shop","type":"t","datacontenttype":"text/plain","data_base64":"aGk="},{"id":"3"}]`,
		"Content-Type", "application/cloudevents-batch+json")
	var results []batchResult
	batch.json(t, &results)
	require.Len(t, results, 3, batch.body)
	require.Equal(t, got.job(t).ID, results[0].ID)
	require.NotZero(t, results[1].ID, batch.body)
	require.Equal(t, CodeValidationFailed, results[2].Error.Code)
	for name, body := range map[string]string{
		"no object": `[]`, "no type": `{"specversion":"1.0","id":"1","source":"s"}`, "another version": strings.Replace(event, "1.0", "0.3", 1),
		"an upper-case attribute": strings.Replace(event, "subject", "Subject", 1), "twice data": strings.Replace(event, `"data"`, `"data_base64":"aGk=","data"`, 1),
		"large attributes": strings.Replace(event, `"7"`, `"`+strings.Repeat("x", 17<<10)+`"`, 1), "NUL": strings.Replace(event, `"7"`, `"\u0000"`, 1),
	} {
		got := e.do(http.MethodPost, path, devKey, body, "Content-Type", structured)
		require.Contains(t, []int{http.StatusBadRequest, http.StatusUnprocessableEntity}, got.status, "%s: %s", name, got.body)
	}
}

func TestAtomicBatches(t *testing.T) {
	t.Parallel()
	e := start(t)
	const path, line = "/v1/jobs/batch?atomic=true", `{"function":"echo","input":1,"options":{"delay":"1h","tags":["atomic"]}}`
	for _, body := range []string{"[" + line + "," + line + "]", line + "\n" + line + "\n"} {
		got := e.do(http.MethodPost, path, devKey, body)
		var results []batchResult
		got.json(t, &results)
		require.Len(t, results, 2, got.body)
		require.NotZero(t, results[1].ID)
	}
	got := e.do(http.MethodPost, path, devKey, "["+line+`,{"function":"gone"},{"function":"echo","options":{"priority":-1}}]`)
	require.Equal(t, http.StatusUnprocessableEntity, got.status, got.body)
	problem := got.problem(t)
	require.Equal(t, CodeBatchRefused, problem.Code)
	require.Len(t, problem.Items, 2)
	require.Equal(t, []any{1, CodeUnknownFunction}, []any{problem.Items[0].Index, problem.Items[0].Error.Code})
	got = e.do(http.MethodPost, path, devKey, "["+strings.Repeat("1,", jobs.MaxAtomic)+"1]")
	require.Equal(t, http.StatusRequestEntityTooLarge, got.status, got.body)
	require.Contains(t, got.body, "10000")
	require.Equal(t, 4, strings.Count(e.do(http.MethodGet, "/v1/jobs?tag=atomic", devKey, "").body, `"id"`))
}
