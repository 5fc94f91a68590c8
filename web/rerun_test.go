package web

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/jobs"
)

func TestRerun(t *testing.T) {
	t.Parallel()
	e := start(t)
	old := e.do(http.MethodPost, "/v1/functions/orders.charge/jobs?wait=20s&tags=red&priority=3", devKey, `{"a":1}`).job(t)
	require.Equal(t, jobs.StateCompleted, old.State)
	path := fmt.Sprintf("/v1/jobs/%d/rerun", old.ID)

	same := e.do(http.MethodPost, path, devKey, `{}`)
	require.Equal(t, http.StatusAccepted, same.status, same.body)
	job := same.job(t)
	require.Equal(t, fmt.Sprintf("/v1/jobs/%d", job.ID), same.header.Get("Location"))
	require.Equal(t, old.ID, job.RerunOf)
	require.NotEqual(t, old.ID, job.ID)
	require.JSONEq(t, `{"a":1}`, string(job.Input))
	require.Equal(t, []string{"red"}, job.Tags)
	require.Equal(t, 3, job.Priority)

	edited := e.do(http.MethodPost, path, devKey, `{"input":{"a":2},"options":{"priority":1,"tags":[]}}`, headerIdempotencyKey, "once").job(t)
	done := e.do(http.MethodGet, fmt.Sprintf("/v1/jobs/%d?wait=20s", edited.ID), devKey, "")
	require.Contains(t, done.body, fmt.Sprintf(`"rerun_of":"%d"`, old.ID))
	require.JSONEq(t, `{"a":2}`, string(done.job(t).Output))
	require.Equal(t, 1, done.job(t).Priority)
	require.Empty(t, done.job(t).Tags)
	again := e.do(http.MethodPost, path, devKey, `{"input":{"a":2},"options":{"priority":1,"tags":[]}}`, headerIdempotencyKey, "once")
	require.Equal(t, "true", again.header.Get(headerReplayed))
	require.Equal(t, edited.ID, again.job(t).ID)

	wrong := e.do(http.MethodPost, path, devKey, `{"input":"\u0000"}`)
	require.Equal(t, http.StatusUnprocessableEntity, wrong.status, wrong.body)

	reader, submitter := e.key("jobs:read:*", "jobs:submit:mail.*"), e.key("jobs:submit:*")
	require.Equal(t, http.StatusForbidden, e.do(http.MethodPost, path, reader, `{}`).status)
	require.Equal(t, http.StatusNotFound, e.do(http.MethodPost, path, submitter, `{}`).status, "its input is not for this one")
}
