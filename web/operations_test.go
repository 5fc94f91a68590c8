package web

import (
	"fmt"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/auth"
	"github.com/millrace-dev/millrace/jobs"
)

// delayed submits n jobs that wait for an hour.
func (e *env) delayed(function string, n int, options string) {
	e.t.Helper()
	for i := range n {
		got := e.do(http.MethodPost, "/v1/functions/"+function+"/jobs?delay=1h"+options, devKey, strconv.Itoa(i))
		require.Equal(e.t, http.StatusAccepted, got.status, got.body)
	}
}

// bulk sends a bulk request and returns the operation after its end.
func (e *env) bulk(t *testing.T, key, body string) jobs.Operation {
	t.Helper()
	got := e.do(http.MethodPost, "/v1/jobs/bulk?wait=30s", key, body)
	require.Equal(t, http.StatusOK, got.status, got.body)
	var op jobs.Operation
	got.json(t, &op)
	require.Equal(t, fmt.Sprintf("/v1/operations/%d", op.ID), got.header.Get("Location"))
	return op
}

func TestBulkOverHTTP(t *testing.T) {
	t.Parallel()
	e := start(t)
	e.delayed("orders.charge", 3, "&tags=red")
	e.delayed("mail.send", 2, "")

	dry := e.bulk(t, devKey, `{"action":"cancel","filter":{"function":"orders.charge"},"dry_run":true}`)
	require.Equal(t, [3]int64{3, 3, 0}, [3]int64{dry.Matched, dry.Done, dry.Skipped})
	require.True(t, dry.DryRun)

	op := e.bulk(t, devKey, `{"action":"move","filter":{"tag":"red","state":"scheduled"},"queue":"slow"}`)
	require.Equal(t, jobs.ListQuery{Tag: "red", State: jobs.StateScheduled}, op.Filter)
	require.Equal(t, int64(3), op.Done)
	op = e.bulk(t, devKey, `{"action":"prioritize","filter":{"queue":"slow"},"priority":1}`)
	require.Equal(t, int64(3), op.Done)
	var page jobs.Page
	e.do(http.MethodGet, "/v1/jobs?queue=slow", devKey, "").json(t, &page)
	require.Len(t, page.Jobs, 3)
	require.Equal(t, 1, page.Jobs[0].Priority)

	op = e.bulk(t, devKey, `{"action":"cancel","all":true}`)
	require.Equal(t, int64(5), op.Done)
	again := e.do(http.MethodGet, fmt.Sprintf("/v1/operations/%d?wait=1s", op.ID), devKey, "")
	require.Equal(t, http.StatusOK, again.status)
	require.Contains(t, again.body, `"state":"completed"`)
	require.Equal(t, int64(5), e.bulk(t, devKey, `{"action":"purge","filter":{"state":"cancelled"}}`).Done)

	list := e.do(http.MethodGet, "/v1/operations?limit=2", devKey, "")
	require.Equal(t, http.StatusOK, list.status, list.body)
	require.Contains(t, list.header.Get("Link"), "/v1/operations?cursor=")
	ended := e.do(http.MethodPost, fmt.Sprintf("/v1/operations/%d/cancel", op.ID), devKey, "")
	require.Equal(t, http.StatusOK, ended.status)
	require.Contains(t, ended.body, `"state":"completed"`, "what is over stays as it is")
}

func TestBulkScenarios(t *testing.T) { //nolint:tparallel // one server
	t.Parallel()
	e := start(t)
	const bulk = "/v1/jobs/bulk"
	for _, s := range []scenario{
		{name: "nothing said", method: "POST", path: bulk, body: `{}`, status: 422, code: CodeValidationFailed, want: []string{`"action"`, `"filter"`}},
		{name: "no filter", method: "POST", path: bulk, body: `{"action":"delete","filter":{}}`, status: 422, code: CodeValidationFailed, want: []string{`"field":"filter"`}},
		{name: "action of SQL", method: "POST", path: bulk, body: `{"action":"\"; drop table x--","all":true}`, status: 422, code: CodeValidationFailed, want: []string{`"field":"action"`}},
		{name: "state of nonsense", method: "POST", path: bulk, body: `{"action":"retry","filter":{"state":"$$"}}`, status: 422, code: CodeValidationFailed, want: []string{`"field":"filter.state"`}},
		{name: "NUL", method: "POST", path: bulk, body: `{"action":"retry","filter":{"tag":"a\u0000"}}`, status: 422, code: CodeValidationFailed, want: []string{`"field":"filter.tag"`}},
		{name: "misspelt filter", method: "POST", path: bulk, body: `{"action":"delete","filter":{"functoin":"x"}}`, status: 400, code: CodeInvalidRequest, want: []string{`functoin`}},
		{name: "a cursor is no filter", method: "POST", path: bulk, body: `{"action":"delete","filter":{"cursor":"x"}}`, status: 400, code: CodeInvalidRequest},
		{name: "filters of SQL", method: "POST", path: bulk, body: `{"action":"delete","filter":{"function":"\"; drop--","queue":"$$","tag":"%","schedule":"' or true --"},"dry_run":true}`, status: 200, want: []string{`"matched":0`}},
		{name: "move nowhere", method: "POST", path: bulk, body: `{"action":"move","all":true}`, status: 422, code: CodeValidationFailed, want: []string{`"field":"queue"`}},
		{name: "move to SQL", method: "POST", path: bulk, body: `{"action":"move","all":true,"queue":"\"; drop--"}`, status: 422, code: CodeValidationFailed, want: []string{`"field":"queue"`}},
		{name: "priority out of range", method: "POST", path: bulk, body: `{"action":"prioritize","all":true,"priority":9}`, status: 422, code: CodeValidationFailed, want: []string{`"field":"priority"`}},
		{name: "no operation", method: "GET", path: "/v1/operations/999", status: 404, code: CodeNotFound, want: []string{"no such operation"}},
		{name: "operation of letters", method: "GET", path: "/v1/operations/abc", status: 404, code: CodeNotFound, want: []string{"no such operation"}},
		{name: "cancel no operation", method: "POST", path: "/v1/operations/999/cancel", status: 404, code: CodeNotFound},
		{name: "operations after nonsense", method: "GET", path: "/v1/operations?cursor=%27%3B--", status: 400, code: CodeInvalidRequest},
		{name: "purge all dead by mistake", method: "POST", path: "/v1/dead-letters/purge", body: `{}`, status: 422, code: CodeValidationFailed},
		{name: "dead letters that wait", method: "POST", path: "/v1/dead-letters/requeue", body: `{"filter":{"state":"scheduled"}}`, status: 422, code: CodeValidationFailed},
		{name: "no dead letters", method: "GET", path: "/v1/dead-letters", status: 200, want: []string{`"jobs":[]`}},
		{name: "rerun nothing", method: "POST", path: "/v1/jobs/999/rerun", body: `{}`, status: 404, code: CodeNotFound},
	} {
		t.Run(s.name, func(t *testing.T) { e.play(t, s) })
	}
}

// TestANarrowedKeySteersItsOwnOnly: an operation touches what its caller's pattern grants, whatever the filter finds, and
// who could not have begun it sees nothing of it.
func TestANarrowedKeySteersItsOwnOnly(t *testing.T) {
	t.Parallel()
	e := start(t)
	e.delayed("orders.charge", 2, "")
	e.delayed("mail.send", 3, "")
	key, other := e.key("jobs:manage:orders.*"), e.key("jobs:manage:mail.*")

	refused := e.do(http.MethodPost, "/v1/jobs/bulk", key, `{"action":"cancel","filter":{"function":"mail.send"}}`)
	require.Equal(t, http.StatusForbidden, refused.status, refused.body)
	counted := e.bulk(t, key, `{"action":"cancel","all":true,"dry_run":true}`)
	require.Equal(t, int64(2), counted.Matched, "the others are not even counted")

	for _, body := range []string{`{"action":"cancel","all":true}`, `{"action":"delete","filter":{"queue":"default"}}`} {
		op := e.bulk(t, key, body)
		require.Equal(t, int64(2), op.Done)
		path := fmt.Sprintf("/v1/operations/%d", op.ID)
		require.Equal(t, http.StatusOK, e.do(http.MethodGet, path, key, "").status)
		require.Equal(t, http.StatusOK, e.do(http.MethodGet, path, devKey, "").status)
		for _, hidden := range []answer{e.do(http.MethodGet, path, other, ""), e.do(http.MethodPost, path+"/cancel", other, "")} {
			missing := e.do(http.MethodGet, "/v1/operations/999999", other, "")
			require.Equal(t, http.StatusNotFound, hidden.status)
			require.Equal(t, withoutID(missing.body), withoutID(hidden.body), "like one that does not exist")
		}
	}
	all := e.bulk(t, devKey, `{"action":"cancel","all":true,"dry_run":true}`)
	require.Equal(t, int64(3), all.Done, "another's jobs were left alone")
	require.Equal(t, http.StatusNotFound, e.do(http.MethodGet, fmt.Sprintf("/v1/operations/%d", all.ID), key, "").status)
	require.Contains(t, e.do(http.MethodGet, "/v1/operations", other, "").body, `"operations":[]`)
	require.NotContains(t, e.do(http.MethodGet, "/v1/operations", key, "").body, fmt.Sprintf(`"id":"%d"`, all.ID))
}

func TestDeadLetters(t *testing.T) {
	t.Parallel()
	e := start(t)
	for range 2 {
		failed := e.do(http.MethodPost, "/v1/functions/fails/jobs?wait=20s", devKey, `"private"`).job(t)
		require.Equal(t, jobs.StateFailed, failed.State)
	}
	var page jobs.Page
	e.do(http.MethodGet, "/v1/dead-letters?function=fails", devKey, "").json(t, &page)
	require.Len(t, page.Jobs, 2)
	require.NotContains(t, e.do(http.MethodGet, "/v1/dead-letters", e.key("jobs:read:orders.*"), "").body, "private")

	var op jobs.Operation
	e.do(http.MethodPost, "/v1/dead-letters/requeue?wait=30s", devKey, `{}`).json(t, &op)
	require.Equal(t, jobs.OperationCompleted, op.State)
	require.Equal(t, int64(2), op.Done)
	require.Eventually(t, func() bool { // they fail again
		job := e.do(http.MethodGet, fmt.Sprintf("/v1/jobs/%d", page.Jobs[0].ID), devKey, "").job(t)
		return job.State == jobs.StateFailed && job.Attempt == 2
	}, 2*patience, 10*time.Millisecond)
	require.Eventually(t, func() bool {
		e.do(http.MethodPost, "/v1/dead-letters/purge?wait=30s", devKey, `{"filter":{"function":"fails"}}`).json(t, &op)
		return e.jobCount() == 0
	}, 2*patience, 10*time.Millisecond)
}

// TestCountsTellNothingOfWhatMayNotBeRead: a filter that looks into jobs takes the right to read them too.
func TestCountsTellNothingOfWhatMayNotBeRead(t *testing.T) {
	t.Parallel()
	e := start(t)
	who := func(scopes ...string) auth.Identity {
		identity, err := e.store.Authenticate(t.Context(), e.key(scopes...))
		require.NoError(t, err)
		return identity
	}
	manager := who("jobs:manage:*")
	functions, err := manageable(manager, jobs.ListQuery{Tag: "red"})
	require.NoError(t, err)
	require.Equal(t, []string{"*"}, functions)
	_, err = grantedBy(manager, "", auth.ScopeJobsManage, auth.ScopeJobsRead)
	require.ErrorContains(t, err, auth.ScopeJobsRead)

	both := who("jobs:manage:orders.*", "jobs:manage:mail.*", "jobs:read:orders.*")
	for function, want := range map[string][]string{"": {"orders.*"}, "orders.charge": {"orders.charge"}, "mail.send": nil} {
		functions, err := grantedBy(both, function, auth.ScopeJobsManage, auth.ScopeJobsRead)
		require.Equal(t, want, functions)
		require.Equal(t, want == nil, err != nil)
	}
}
