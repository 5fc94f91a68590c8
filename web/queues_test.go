package web

import (
	"net/http"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/jobs"
)

func TestQueuesPauseAndResume(t *testing.T) {
	t.Parallel()
	e := start(t)

	got := e.do(http.MethodPost, "/v1/queues/default/pause", devKey, "")
	require.Equal(t, http.StatusOK, got.status, got.body)
	require.Contains(t, got.body, `"paused_at":"`)

	submitted := e.do(http.MethodPost, "/v1/functions/echo/jobs", devKey, `1`)
	require.Equal(t, http.StatusAccepted, submitted.status, submitted.body)

	var list struct {
		Queues     []jobs.Queue `json:"queues"`
		CountLimit int          `json:"count_limit"`
	}
	e.do(http.MethodGet, "/v1/queues", devKey, "").json(t, &list)
	require.Equal(t, jobs.CountLimit, list.CountLimit)
	require.Len(t, list.Queues, 1)
	require.Equal(t, "default", list.Queues[0].Name)
	require.Equal(t, 1, list.Queues[0].Queued)
	require.NotNil(t, list.Queues[0].PausedAt)

	got = e.do(http.MethodPost, "/v1/queues/default/resume", devKey, "")
	require.Equal(t, http.StatusOK, got.status, got.body)
	require.Contains(t, got.body, `"paused_at":null`)
	done := e.do(http.MethodGet, "/v1/jobs/"+strconv.FormatInt(submitted.job(t).ID, 10)+"?wait=20s", devKey, "")
	require.Equal(t, jobs.StateCompleted, done.job(t).State, done.body)

	got = e.do(http.MethodPost, "/v1/queues/No%20Queue/pause", devKey, "")
	require.Equal(t, http.StatusUnprocessableEntity, got.status, got.body)
	require.Equal(t, CodeValidationFailed, got.problem(t).Code)
}

func TestFunctionsPauseAndResume(t *testing.T) {
	t.Parallel()
	e := start(t)

	got := e.do(http.MethodPost, "/v1/functions/echo/pause", devKey, "")
	require.Equal(t, http.StatusOK, got.status, got.body)
	require.Contains(t, got.body, `"paused_at":"`)
	require.Contains(t, e.do(http.MethodGet, "/v1/functions", devKey, "").body, `"paused_at":"`)

	submitted := e.do(http.MethodPost, "/v1/functions/echo/jobs", devKey, `1`)
	require.Equal(t, http.StatusAccepted, submitted.status, submitted.body)
	other := e.do(http.MethodPost, "/v1/functions/fails/jobs?wait=20s", devKey, `1`)
	require.True(t, other.job(t).State.Finished(), other.body)
	waits := e.do(http.MethodGet, "/v1/jobs/"+strconv.FormatInt(submitted.job(t).ID, 10), devKey, "")
	require.Equal(t, jobs.StateQueued, waits.job(t).State)

	got = e.do(http.MethodPost, "/v1/functions/echo/resume", devKey, "")
	require.Equal(t, http.StatusOK, got.status, got.body)
	require.Contains(t, got.body, `"paused_at":null`)
	done := e.do(http.MethodGet, "/v1/jobs/"+strconv.FormatInt(submitted.job(t).ID, 10)+"?wait=20s", devKey, "")
	require.Equal(t, jobs.StateCompleted, done.job(t).State, done.body)

	for _, verb := range []string{"pause", "resume"} {
		got = e.do(http.MethodPost, "/v1/functions/no.such/"+verb, devKey, "")
		require.Equal(t, http.StatusNotFound, got.status, got.body)
		require.Equal(t, CodeUnknownFunction, got.problem(t).Code)
	}
}

// A queue holds jobs of every function: a key for some of them does not do.
func TestAQueueIsPausedByWhoManagesAllJobs(t *testing.T) {
	t.Parallel()
	e := start(t)
	some := e.key("jobs:manage:echo")

	require.Equal(t, http.StatusForbidden, e.do(http.MethodPost, "/v1/queues/default/pause", some, "").status)
	require.Equal(t, http.StatusForbidden, e.do(http.MethodPost, "/v1/functions/fails/pause", some, "").status)
	require.Equal(t, http.StatusOK, e.do(http.MethodPost, "/v1/functions/echo/pause", some, "").status)
	require.Equal(t, http.StatusOK, e.do(http.MethodPost, "/v1/queues/default/pause", e.key("jobs:manage:*"), "").status)
}
