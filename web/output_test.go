package web

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestOutputIsWhatTheFunctionReturned(t *testing.T) {
	t.Parallel()
	e := start(t)

	picture := e.do(http.MethodPost, "/v1/functions/picture/jobs?wait=20s", devKey, `1`)
	require.Equal(t, http.StatusOK, picture.status, picture.body)
	job := picture.job(t)
	require.JSONEq(t, `{"$bytes": {"content_type": "image/svg+xml", "size": 7}}`, string(job.Output))

	got := e.do(http.MethodGet, picture.header.Get("Location")+"/output", devKey, "")
	require.Equal(t, http.StatusOK, got.status)
	require.Equal(t, "<svg>\x00\xff", got.body)
	require.Equal(t, "image/svg+xml", got.header.Get("Content-Type"))
	require.Equal(t, "nosniff", got.header.Get("X-Content-Type-Options"))
	require.Equal(t, fmt.Sprintf(`attachment; filename="job-%d"`, job.ID), got.header.Get("Content-Disposition"))
	require.Equal(t, []string{"default-src 'none'; frame-ancestors 'none'; sandbox"}, got.header.Values("Content-Security-Policy"))
	require.JSONEq(t, string(job.Output), e.do(http.MethodGet, picture.header.Get("Location")+"/result", devKey, "").body)

	echo := e.do(http.MethodPost, "/v1/functions/echo/jobs?wait=20s", devKey, `{"a": 1}`)
	got = e.do(http.MethodGet, echo.header.Get("Location")+"/output", devKey, "")
	require.JSONEq(t, `{"a": 1}`, got.body)
	require.Equal(t, "application/json", got.header.Get("Content-Type"))

	failed := e.do(http.MethodPost, "/v1/functions/fails/jobs?wait=20s", devKey, `1`)
	require.Equal(t, http.StatusConflict, e.do(http.MethodGet, failed.header.Get("Location")+"/output", devKey, "").status)
	slow := e.do(http.MethodPost, "/v1/functions/forever/jobs", devKey, `1`)
	require.Equal(t, http.StatusAccepted, e.do(http.MethodGet, slow.header.Get("Location")+"/output", devKey, "").status)
}
