package web

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/jobs"
)

// TestANarrowedKeySeesItsOwnOnly: what a pattern does not reach does not exist, alone and in lists.
func TestANarrowedKeySeesItsOwnOnly(t *testing.T) {
	t.Parallel()
	e := start(t)
	theirs := e.do(http.MethodPost, "/v1/functions/mail.send/jobs?wait=10s", devKey, `"private"`).job(t)
	require.Equal(t, jobs.StateCompleted, theirs.State)
	own := e.do(http.MethodPost, "/v1/functions/orders.charge/jobs?wait=10s", devKey, `"mine"`).job(t)
	key := e.key("jobs:read:orders.*", "jobs:manage:orders.*", "jobs:submit:orders.*", "tokens:create")

	for _, path := range []string{"", "/result", "/output", "/logs", "/events"} {
		got := e.do(http.MethodGet, fmt.Sprintf("/v1/jobs/%d%s", theirs.ID, path), key, "")
		missing := e.do(http.MethodGet, "/v1/jobs/999999999"+path, key, "")
		require.Equal(t, http.StatusNotFound, got.status, path)
		require.Equal(t, withoutID(missing.body), withoutID(got.body), "like one that does not exist")
	}
	for _, action := range []string{"cancel", "retry"} {
		got := e.do(http.MethodPost, fmt.Sprintf("/v1/jobs/%d/%s", theirs.ID, action), key, "")
		require.Equal(t, http.StatusNotFound, got.status)
	}
	require.Equal(t, http.StatusOK, e.do(http.MethodGet, fmt.Sprintf("/v1/jobs/%d", own.ID), key, "").status)
	require.Equal(t, `"mine"`, e.do(http.MethodGet, fmt.Sprintf("/v1/jobs/%d/result", own.ID), key, "").body)

	for _, query := range []string{"", "?function=mail.send", "?state=completed", "?queue=default"} {
		got := e.do(http.MethodGet, "/v1/jobs"+query, key, "")
		require.Equal(t, http.StatusOK, got.status)
		require.NotContains(t, got.body, "private", query)
		require.NotContains(t, got.body, "mail.send", query)
	}
	require.Contains(t, e.do(http.MethodGet, "/v1/jobs", key, "").body, "mine")

	require.Equal(t, http.StatusForbidden, e.do(http.MethodPost, "/v1/functions/mail.send/jobs", key, "1").status)
	require.Equal(t, http.StatusForbidden, e.do(http.MethodPost, "/v1/jobs", key, `{"function":"mail.send"}`).status)
	line := e.do(http.MethodPost, "/v1/jobs/batch", key, `[{"function":"mail.send"},{"function":"orders.charge"}]`)
	require.Equal(t, http.StatusOK, line.status)
	var results []batchResult
	line.json(t, &results)
	require.Equal(t, CodeForbidden, results[0].Error.Code)
	require.NotZero(t, results[1].ID)

	stream := e.do(http.MethodGet, "/v1/stream?channels=jobs", key, "")
	require.Equal(t, http.StatusForbidden, stream.status, stream.body)
	token := e.do(http.MethodPost, "/v1/tokens", key, fmt.Sprintf(`{"user":"u","subscribe":["job:%d"]}`, theirs.ID))
	require.Equal(t, http.StatusForbidden, token.status)
	token = e.do(http.MethodPost, "/v1/tokens", key, fmt.Sprintf(`{"user":"u","subscribe":["job:%d"]}`, own.ID))
	require.Equal(t, http.StatusCreated, token.status, token.body)
}

// TestPagesOfANarrowedKey: another's jobs in between neither show nor stop the pages.
func TestPagesOfANarrowedKey(t *testing.T) {
	t.Parallel()
	e := start(t)
	var batch []string
	for i := range 60 {
		name := "mail.send"
		if i%10 == 0 {
			name = "orders.charge"
		}
		batch = append(batch, fmt.Sprintf(`{"function":%q,"input":%d}`, name, i))
	}
	got := e.do(http.MethodPost, "/v1/jobs/batch", devKey, "["+strings.Join(batch, ",")+"]")
	require.Equal(t, http.StatusOK, got.status, got.body)
	for _, scopes := range [][]string{{"jobs:read:orders.*"}, {"jobs:read:orders.charge"}, {"jobs:read:orders.charge", "jobs:read:x*"}} {
		key := e.key(scopes...)
		seen := map[int64]bool{}
		path := "/v1/jobs?limit=4"
		for range 50 {
			answer := e.do(http.MethodGet, path, key, "")
			require.Equal(t, http.StatusOK, answer.status, answer.body)
			var page jobs.Page
			answer.json(t, &page)
			require.LessOrEqual(t, len(page.Jobs), 4)
			for _, job := range page.Jobs {
				require.Equal(t, "orders.charge", job.Function)
				require.False(t, seen[job.ID], "twice")
				seen[job.ID] = true
			}
			if page.Next == "" {
				require.Empty(t, answer.header.Get("Link"))
				break
			}
			link := answer.header.Get("Link")
			require.True(t, strings.HasSuffix(link, `>; rel="next"`), link)
			path = strings.TrimPrefix(strings.TrimSuffix(link, `>; rel="next"`), "<")
		}
		require.Len(t, seen, 6, "%v", scopes)
	}
}

// TestManagingIsNotReading: who may cancel a job but not read it does not get its data.
func TestManagingIsNotReading(t *testing.T) {
	t.Parallel()
	e := start(t)
	job := e.do(http.MethodPost, "/v1/functions/orders.charge/jobs?delay=1h", devKey, `"private"`).job(t)
	reader, manager := e.key("jobs:read:*", "jobs:manage:mail.*"), e.key("jobs:manage:orders.*")
	path := fmt.Sprintf("/v1/jobs/%d/cancel", job.ID)
	require.Equal(t, http.StatusForbidden, e.do(http.MethodPost, path, reader, "").status)
	got := e.do(http.MethodPost, path, manager, "")
	require.Equal(t, http.StatusOK, got.status, got.body)
	require.Contains(t, got.body, `"cancelled"`)
	require.NotContains(t, got.body, "private")
	again := e.do(http.MethodPost, path, manager, "")
	require.Equal(t, http.StatusConflict, again.status)
	require.Equal(t, CodeJobState, again.problem(t).Code)
	retried := e.do(http.MethodPost, fmt.Sprintf("/v1/jobs/%d/retry", job.ID), manager, "")
	require.Equal(t, http.StatusOK, retried.status, retried.body)
}
