package web

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/jobs"
	"github.com/millrace-dev/millrace/jobs/statistics"
)

// seen puts counts and two kinds of failures where an instance would have written them.
func (e *env) seen() {
	e.t.Helper()
	for _, sql := range []string{
		`insert into millrace.function_stat (seconds, at, function, node, completed, failed, dead, cancelled, wait, run)
			values (60, date_trunc('minute', now()), 'orders.charge', 'n', 3, 1, 1, 0, '{10,4}', '{50,4}')`,
		`insert into millrace.failure_group (id, function, code, pattern, frame, message, count, first_seen, last_seen, jobs)
			values ('one', 'orders.charge', 'exception', 'no stock', '', 'no stock', 4, now(), now(), '{9007199254740993}'),
			('two', 'mail.send', 'timeout', 'late', '', 'late', 1, now(), now(), '{2}')`,
	} {
		_, err := e.db.Pool.Exec(e.t.Context(), sql)
		require.NoError(e.t, err)
	}
}

func TestFunctionStatsOverHTTP(t *testing.T) {
	t.Parallel()
	e := start(t)
	e.seen()
	var report statistics.Report
	e.do(http.MethodGet, "/v1/stats/functions?function=orders.charge&step=1m", devKey, "").json(t, &report)
	require.Len(t, report.Functions, 1)
	require.Equal(t, int64(4), report.Functions[0].Attempts)
	require.Len(t, report.Functions[0].Points, 1)
	for _, query := range []string{
		"?step=1s", "?step=x", "?from=yesterday", "?from=2999-01-01T00:00:00Z", "?function=%00", "?minutes=5",
	} {
		got := e.do(http.MethodGet, "/v1/stats/functions"+query, devKey, "")
		require.Equal(t, CodeInvalidRequest, got.problem(t).Code, query)
	}
}

func TestFailuresOverHTTP(t *testing.T) {
	t.Parallel()
	e := start(t)
	e.seen()
	mail := e.key("jobs:read:mail.*", "jobs:manage:mail.*")
	var page statistics.FailurePage
	e.do(http.MethodGet, "/v1/failures", mail, "").json(t, &page)
	require.Len(t, page.Failures, 1)
	require.Equal(t, "two", page.Failures[0].ID)
	require.Equal(t, http.StatusNotFound, e.do(http.MethodGet, "/v1/failures/one", mail, "").status)
	require.Equal(t, http.StatusNotFound, e.do(http.MethodPost, "/v1/failures/one/resolve", mail, "").status)

	got := e.do(http.MethodGet, "/v1/failures/one", devKey, "")
	require.Contains(t, got.body, `"9007199254740993"`, "an id as text")
	for action, state := range map[string]statistics.FailureState{
		"resolve": statistics.FailureResolved, "ignore": statistics.FailureIgnored, "reopen": statistics.FailureOpen,
	} {
		var group statistics.FailureGroup
		e.do(http.MethodPost, "/v1/failures/two/"+action, mail, "").json(t, &group)
		require.Equal(t, state, group.State)
		require.WithinDuration(t, time.Now(), *group.ChangedAt, time.Hour)
	}
	first := e.do(http.MethodGet, "/v1/failures?limit=1", devKey, "")
	require.Contains(t, first.header.Get("Link"), "cursor=")
	for _, path := range []string{"?state=gone", "?limit=0", "?cursor=x", "?function=%00"} {
		require.Equal(t, CodeInvalidRequest, e.do(http.MethodGet, "/v1/failures"+path, devKey, "").problem(t).Code, path)
	}
	require.Equal(t, http.StatusNotFound, e.do(http.MethodGet, "/v1/failures/%00", devKey, "").status)
}

func TestAJobTellsItsLimitsAndIsFoundByTime(t *testing.T) {
	t.Parallel()
	e := start(t)
	e.delayed("orders.charge", 2, "")
	var page jobs.Page
	e.do(http.MethodGet, "/v1/jobs?created_after=2020-01-01T00:00:00Z&function=orders.charge", devKey, "").json(t, &page)
	require.Len(t, page.Jobs, 2)
	e.do(http.MethodGet, "/v1/jobs?created_before=2020-01-01T00:00:00Z", devKey, "").json(t, &page)
	require.Empty(t, page.Jobs)
	require.Equal(t, CodeInvalidRequest, e.do(http.MethodGet, "/v1/jobs?created_after=soon", devKey, "").problem(t).Code)
	logs := e.do(http.MethodGet, "/v1/jobs/1/logs", devKey, "")
	require.Contains(t, logs.body, `"job_lines":20000`)
}
