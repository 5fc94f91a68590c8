package intruder_test

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// mark is in every attempt, so that the log of the statements shows what became of it.
const mark = "bobby7tables"

var injections = []string{
	`"; drop table jobs; --` + mark,
	`'; drop table jobs; --` + mark,
	`$$` + mark + `$$`,
	`$1` + mark,
	`%` + mark + `%`,
	`\` + mark,
	`' or '1'='1` + mark,
	`1; SELECT pg_sleep(60)--` + mark,
	mark + `) union SELECT secret_hash from millrace.api_key--`,
}

// refusals are the statuses that an attempt may be answered with, beside an empty list.
var refusals = []int{http.StatusBadRequest, http.StatusNotFound, http.StatusUnprocessableEntity}

// TestSQLInNames puts SQL wherever a name, a filter, a cursor or an order is taken. It is refused or names nothing, and
// reaches the database as a parameter alone.
func TestSQLInNames(t *testing.T) {
	t.Parallel()
	s := start(t, `do $$ begin execute format('alter database %I set log_statement = ''all''', current_database()); end $$`)
	for _, text := range injections {
		escaped := url.QueryEscape(text)
		for _, path := range []string{
			"/v1/jobs?function=", "/v1/jobs?queue=", "/v1/jobs?tag=", "/v1/jobs?state=", "/v1/jobs?schedule=", "/v1/jobs?key=",
			"/v1/jobs?error=", "/v1/jobs?cursor=", "/v1/jobs?limit=", "/v1/jobs?created_after=", "/v1/jobs?sort=",
			"/v1/dead-letters?function=", "/v1/dead-letters?cursor=", "/v1/failures?function=", "/v1/failures?cursor=",
			"/v1/schedules?cursor=", "/v1/keys?cursor=", "/v1/stats/functions?function=", "/v1/channels?pattern=", "/v1/operations?cursor=",
		} {
			got := s.send(t, http.MethodGet, path+escaped, "")
			got.tellsNothing(t)
			if got.status != http.StatusOK {
				require.Contains(t, refusals, got.status, "%s%s: %s", path, text, got.body)
			}
		}
		s.send(t, http.MethodGet, "/v1/channels/"+url.PathEscape(text)+"/history", "").tellsNothing(t) // it may be a name
		s.refusesNames(t, text)
	}
	require.Zero(t, s.holds(t))
	s.quiet(t)
	s.requireOnlyParameters(t)
}

// refusesNames tries them in paths and bodies, where something would be made or changed.
func (s *server) refusesNames(t *testing.T, text string) {
	t.Helper()
	inPath := url.PathEscape(text)
	quoted := strings.ReplaceAll(strings.ReplaceAll(text, `\`, `\\`), `"`, `\"`)
	for _, c := range []struct{ method, path, body string }{
		{http.MethodPost, "/v1/functions/" + inPath + "/jobs", `1`},
		{http.MethodPost, "/v1/functions/echo/jobs?queue=" + url.QueryEscape(text), `1`},
		{http.MethodPost, "/v1/jobs", `{"function":"` + quoted + `"}`},
		{http.MethodPost, "/v1/jobs", `{"function":"echo","options":{"queue":"` + quoted + `"}}`},
		{http.MethodPost, "/v1/jobs", `{"function":"echo","options":{"tags":["` + quoted + `"]}}`},
		{http.MethodPost, "/v1/jobs", `{"function":"echo","options":{"unique":{"key":"` + quoted + `"}}}`},
		{http.MethodGet, "/v1/jobs/" + inPath, ""},
		{http.MethodPost, "/v1/jobs/" + inPath + "/cancel", ""},
		{http.MethodPost, "/v1/queues/" + inPath + "/pause", ""},
		{http.MethodPost, "/v1/functions/" + inPath + "/pause", ""},
		{http.MethodPut, "/v1/schedules/" + inPath, `{"function":"echo","cron":"@daily"}`},
		{http.MethodPut, "/v1/schedules/s", `{"function":"echo","cron":"@daily","timezone":"` + quoted + `"}`},
		{http.MethodPost, "/v1/jobs/bulk", `{"action":"` + quoted + `","filter":{"function":"echo"}}`},
		{http.MethodPost, "/v1/jobs/bulk", `{"action":"move","queue":"` + quoted + `","filter":{"function":"echo"}}`},
	} {
		got := s.send(t, c.method, c.path, c.body)
		got.tellsNothing(t)
		require.Contains(t, refusals, got.status, "%s %s %s: %s", c.method, c.path, c.body, got.body)
	}
}

// requireOnlyParameters looks into the log of the database's statements.
func (s *server) requireOnlyParameters(t *testing.T) {
	t.Helper()
	var dir string
	require.NoError(t, s.db.Pool.QueryRow(t.Context(), "show data_directory").Scan(&dir))
	log, err := os.ReadFile(filepath.Join(dir, "..", "postgres.log"))
	require.NoError(t, err)
	parameters := 0
	for line := range strings.Lines(string(log)) {
		if !strings.Contains(line, mark) {
			continue
		}
		require.Contains(t, strings.ToLower(line), "detail:  parameters: ", "a statement holds what a user wrote")
		parameters++
	}
	require.NotZero(t, parameters)
}
