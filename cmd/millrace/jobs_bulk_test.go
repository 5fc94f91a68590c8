package main

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// operationJSON is an operation in an answer; more replaces its last fields.
func operationJSON(state, more string) string {
	finished := `null`
	if state != "running" && state != "queued" {
		finished = `"2026-01-01T00:00:01Z"`
	}
	return `{"id":"3","action":"retry","state":"` + state + `","filter":{"function":"f"},"matched":12,"done":10,"skipped":2,"percent":40,
		"created_at":"2026-01-01T00:00:00Z","finished_at":` + finished + more + `}`
}

func bulkAPI(t *testing.T) *api {
	t.Helper()
	reads := 0
	return newAPI(t, map[string]http.HandlerFunc{
		"POST /v1/jobs/bulk": func(w http.ResponseWriter, r *http.Request) {
			answerJSON(operationJSON("running", ``))(w, r)
		},
		"GET /v1/operations/3": func(w http.ResponseWriter, r *http.Request) {
			if reads++; reads%2 == 1 {
				answerJSON(operationJSON("running", `,"node":"n"`))(w, r)
				return
			}
			answerJSON(operationJSON("completed", `,"node":"n"`))(w, r)
		},
		"GET /v1/operations":           answerJSON(`{"operations":[` + operationJSON("running", ``) + `],"next":""}`),
		"POST /v1/operations/3/cancel": answerJSON(operationJSON("cancelled", ``)),
	})
}

func TestJobsBulkNeedsAFilter(t *testing.T) {
	t.Parallel()
	a := bulkAPI(t)
	for _, args := range [][]string{
		{"jobs", "retry"}, {"jobs", "cancel", "--yes"}, {"jobs", "delete"}, {"jobs", "purge"}, {"jobs", "move", "--to", "q"},
		{"jobs", "prioritize", "--priority", "1"}, {"jobs", "move", "--all"}, {"jobs", "retry", "7", "--function", "f"},
		{"jobs", "cancel", "7", "--dry-run"}, {"jobs", "delete", "--state", "asleep"},
	} {
		require.Equal(t, exitUsage, a.run(t, "", args...).code, "%v", args)
	}
	require.Empty(t, a.asked(), "nothing was sent")
}

func TestJobsBulkAsksFirst(t *testing.T) {
	t.Parallel()
	a := bulkAPI(t)
	got := a.run(t, "y\n", "jobs", "retry", "--function", "f", "--state", "failed")
	require.Zero(t, got.code, got.stderr)
	require.Contains(t, got.stderr, "10 jobs will be retried (2 more match, but their state does not allow it). Go on? [y/N]")
	require.Equal(t, "10 jobs retried, 2 skipped.\n", got.stdout)
	asked := a.asked()
	require.Equal(t, `POST /v1/jobs/bulk {"action":"retry","filter":{"function":"f","state":"failed"},"dry_run":true}`, asked[0])
	require.Contains(t, strings.Join(asked, "\n"), `POST /v1/jobs/bulk {"action":"retry","filter":{"function":"f","state":"failed"}}`)
	require.Contains(t, asked, "GET /v1/operations/3?wait=1s")

	for answer, code := range map[string]int{"n\n": exitFailed, "\n": exitFailed, "": exitUsage} {
		before := len(a.asked())
		require.Equal(t, code, a.run(t, answer, "jobs", "delete", "--tag", "x").code, "%q", answer)
		for _, request := range a.asked()[before:] {
			if strings.HasPrefix(request, "POST") {
				require.Contains(t, request, `"dry_run":true`)
			}
		}
	}
}

func TestJobsBulkFlags(t *testing.T) {
	t.Parallel()
	a := bulkAPI(t)
	for want, args := range map[string][]string{
		`{"action":"move","filter":{"queue":"a"},"queue":"b"}`:              {"move", "--queue", "a", "--to", "b", "--yes", "--detach"},
		`{"action":"prioritize","filter":{},"all":true,"priority":4}`:       {"prioritize", "--all", "--priority", "4", "-y"},
		`{"action":"purge","filter":{"schedule":"nightly"},"dry_run":true}`: {"purge", "--schedule", "nightly", "--dry-run"},
		`{"action":"retry","filter":{"state":"failed","tag":"x"}}`:          {"dead", "requeue", "--tag", "x", "--yes"},
		`{"action":"purge","filter":{"state":"failed"}}`:                    {"dead", "purge", "-y"},
		`{"action":"purge","filter":{"created_before":"2026-01-31T08:00:00Z","error":"no luck","key":"acme","state":"failed"}}`: {
			"dead", "purge", "--limit-key", "acme", "--error", "no luck", "--before", "2026-01-31T08:00:00Z", "-y",
		},
		`{"action":"retry","filter":{"created_after":"2026-01-31T08:00:00Z","key":"acme"}}`: {
			"retry", "--limit-key", "acme", "--after", "2026-01-31T08:00:00Z", "-y",
		},
		`{"action":"cancel","filter":{"function":"f"}}`:                     {"cancel", "--function", "f", "-y"},
		`{"action":"delete","filter":{"function":"f","state":"completed"}}`: {"delete", "--function", "f", "--state", "completed", "-y"},
	} {
		before := len(a.asked())
		got := a.run(t, "", append([]string{"jobs"}, args...)...)
		require.Zero(t, got.code, got.stderr)
		require.Equal(t, "POST /v1/jobs/bulk "+want, a.asked()[before])
	}
}

func TestOperations(t *testing.T) {
	t.Parallel()
	a := bulkAPI(t)
	got := a.run(t, "", "operations", "list")
	require.Zero(t, got.code, got.stderr)
	require.Regexp(t, `(?m)^3 +retry +\{"function":"f"\} +running, 40 % +10 +2 +\d+ d ago$`, got.stdout)
	require.Contains(t, a.run(t, "", "operations", "list", "--json").stdout, `"id":"3"`)
	require.Equal(t, "Operation 3 (retry) is cancelled: 10 jobs retried, 2 skipped.\n", a.run(t, "", "operations", "cancel", "3").stdout)
	require.Equal(t, "10 jobs retried, 2 skipped.\n", a.run(t, "", "operations", "get", "3", "--follow").stdout)
	require.Contains(t, a.run(t, "", "operations", "get", "4").stderr, "millrace operations list")

	failed := newAPI(t, map[string]http.HandlerFunc{"GET /v1/operations/3": answerJSON(operationJSON("failed", `,"error":"no"`))})
	got = failed.run(t, "", "operations", "get", "3")
	require.Equal(t, exitFailed, got.code)
	require.Contains(t, got.stderr, "operation 3 failed: no")
}

func TestJobsRerun(t *testing.T) {
	t.Parallel()
	a := newAPI(t, map[string]http.HandlerFunc{"POST /v1/jobs/7/rerun": answerJSON(queuedJob)})
	require.Regexp(t, `^\d+\n$`, a.run(t, "", "jobs", "rerun", "7").stdout)
	require.Zero(t, a.run(t, "", "jobs", "rerun", "7", "--input", `{"a":1}`).code)
	require.Zero(t, a.run(t, "null", "jobs", "rerun", "7", "--input", "-").code)
	require.Equal(t, exitUsage, a.run(t, "", "jobs", "rerun", "7", "--input", "{").code)
	require.Equal(t, []string{
		`POST /v1/jobs/7/rerun {}`, `POST /v1/jobs/7/rerun {"input":{"a":1}}`, `POST /v1/jobs/7/rerun {"input":null}`,
	}, a.asked())
}
