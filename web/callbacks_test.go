package web

import (
	"net/http"
	"net/url"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/telemetry"
	"github.com/millrace-dev/millrace/jobs"
	"github.com/millrace-dev/millrace/jobs/callbacks"
)

func TestCallbacksOverHTTP(t *testing.T) {
	t.Parallel()
	e := start(t)
	// The server of the tests has the policy of production, so the delivery is refused before anything is dialled.
	hook := "https://callbacks.invalid/hook"
	made := e.do(http.MethodPost, "/v1/functions/echo/jobs?callback="+url.QueryEscape(hook)+"&wait=20s", devKey, `1`)
	require.Equal(t, http.StatusOK, made.status, made.body)
	path := "/v1/jobs/" + strconv.FormatInt(made.job(t).ID, 10) + "/callbacks"

	var page struct{ Callbacks []callbacks.Delivery }
	require.Eventually(t, func() bool {
		got := e.do(http.MethodGet, path, devKey, "")
		got.json(t, &page)
		return len(page.Callbacks) == 1 && page.Callbacks[0].LastError != ""
	}, 30*time.Second, 20*time.Millisecond)
	require.Equal(t, hook, page.Callbacks[0].URL)
	require.Equal(t, jobs.StateCompleted, page.Callbacks[0].Event)

	again := e.do(http.MethodPost, path+"/"+page.Callbacks[0].ID+"/retry", devKey, "")
	require.Equal(t, http.StatusOK, again.status, again.body)
	require.Equal(t, http.StatusNotFound, e.do(http.MethodPost, path+"/999999/retry", devKey, "").status)
	require.Equal(t, http.StatusNotFound, e.do(http.MethodGet, path, e.key("jobs:read:other.*"), "").status)
	require.Equal(t, http.StatusForbidden, e.do(http.MethodPost, path+"/1/retry", e.key("jobs:read:echo", "jobs:manage:other.*"), "").status)
}

func TestCallbacksThatLeadInsideAreRefusedOverHTTP(t *testing.T) {
	t.Parallel()
	e := start(t)
	for _, hook := range []string{
		"https://127.1/", "https://2130706433/", "https://0x7f.1/", "https://[::ffff:127.0.0.1]/", "https://169.254.169.254/",
		"gopher://example.com/", "https://user@example.com/", "https://example.com:5432/", "http://example.com/", `{"url":"https://example.com/","events":["queued"]}`,
	} {
		got := e.do(http.MethodPost, "/v1/functions/echo/jobs?callback="+url.QueryEscape(hook), devKey, `1`)
		require.Equal(t, http.StatusUnprocessableEntity, got.status, "%s: %s", hook, got.body)
		require.Equal(t, "callback", got.problem(t).Errors[0].Field, hook)
	}
	got := e.do(http.MethodPost, "/v1/jobs", devKey, `{"function":"echo","options":{"callback":{"url":"https://10.0.0.1/"},"traceparent":"x"}}`)
	require.Equal(t, http.StatusUnprocessableEntity, got.status, got.body)
}

func TestSecretsOfCallbacksOverHTTP(t *testing.T) {
	t.Parallel()
	e := start(t)
	const path = "/v1/callbacks/secrets"
	require.Equal(t, http.StatusForbidden, e.do(http.MethodGet, path, e.key("jobs:read:*"), "").status)

	var before, after struct{ Secrets []callbacks.Secret }
	e.do(http.MethodGet, path, devKey, "").json(t, &before)
	require.Len(t, before.Secrets, 1)

	made := e.do(http.MethodPost, path, devKey, `{"overlap":"1h"}`)
	require.Equal(t, http.StatusCreated, made.status, made.body)
	e.do(http.MethodGet, path, devKey, "").json(t, &after)
	require.Len(t, after.Secrets, 2)
	require.Equal(t, before.Secrets[0].Secret, after.Secrets[1].Secret)
	require.NotNil(t, after.Secrets[1].ExpiresAt)
	require.Equal(t, http.StatusUnprocessableEntity, e.do(http.MethodPost, path, devKey, `{"overlap":"9000h"}`).status)
}

// The trace of a request's header reaches the row, without a tracer too.
func TestTheTraceOfARequestIsKept(t *testing.T) {
	t.Parallel()
	e := start(t)
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	ctx := telemetry.Continue(t.Context(), parent)
	require.Equal(t, parent, telemetry.Traceparent(ctx))

	got := e.do(http.MethodPost, "/v1/functions/echo/jobs?delay=1h", devKey, `1`, "traceparent", parent)
	require.Equal(t, http.StatusAccepted, got.status, got.body)
	var kept string
	require.NoError(t, e.db.Pool.QueryRow(t.Context(), "select metadata #>> '{run,trace}' from millrace.river_job where id = $1", got.job(t).ID).Scan(&kept))
	require.Equal(t, parent, kept)
}
