package main

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/apiclient"
)

func TestSchedulesSetSendsWhatIsNamed(t *testing.T) {
	t.Parallel()
	a := newAPI(t, map[string]http.HandlerFunc{
		"PATCH /v1/schedules/nightly": answerJSON(nightlySchedule),
		"PATCH /v1/schedules/new":     problem(http.StatusNotFound, `"code":"not_found","title":"There is nothing here"`),
		"PATCH /v1/schedules/odd":     problem(http.StatusNotFound, `"code":"unknown_function","title":"There is no such function"`),
		"POST /v1/schedules":          answerJSON(nightlySchedule),
	})
	asked := func() string { all := a.asked(); return all[len(all)-1] }
	for _, c := range []struct {
		args []string
		body string
	}{
		{[]string{"--timezone", "Europe/Berlin"}, `{"timezone":"Europe/Berlin"}`},
		{[]string{"0 4 * * *"}, `{"cron":"0 4 * * *"}`},
		{[]string{"0 4 * * *", "f", "null"}, `{"cron":"0 4 * * *","function":"f","input":null}`},
		{[]string{"--paused"}, `{"paused":true}`},
		{[]string{"--no-paused"}, `{"paused":false}`},
		{[]string{"--timeout", "0s", "--queue=", "--no-tags"}, `{"options":{"timeout":"0s","queue":"","tags":[]}}`},
		{
			[]string{"--overlap", "skip", "--catch-up", "all", "--catch-up-window", "90m", "--jitter", "5s", "--priority", "1", "--max-attempts", "2", "--tag", "a", "--tag", "b"},
			`{"overlap":"skip","catch_up":"all","catch_up_window":"1h30m0s","jitter":"5s","options":{"priority":1,"max_attempts":2,"tags":["a","b"]}}`,
		},
	} {
		got := a.run(t, "", append([]string{"schedules", "set", "nightly"}, c.args...)...)
		require.Zero(t, got.code, got.stderr)
		require.JSONEq(t, c.body, strings.TrimPrefix(asked(), "PATCH /v1/schedules/nightly "))
		require.Regexp(t, `^nightly  0 3 \* \* \*  reports\.daily  in `, got.stdout)
	}

	require.Zero(t, a.run(t, "", "schedules", "set", "new", "0 3 * * *", "reports.daily", `{"a":1}`, "--paused").code)
	require.JSONEq(t, `{"name":"new","cron":"0 3 * * *","function":"reports.daily","input":{"a":1},"paused":true}`,
		strings.TrimPrefix(asked(), "POST /v1/schedules "))

	got := a.run(t, "", "schedules", "set", "new", "--jitter", "5s")
	require.Equal(t, exitUsage, got.code)
	require.Contains(t, got.stderr, `there is no schedule new; to make it, give its cron and its function: millrace schedules set new "0 3 * * *" FUNCTION`)
	require.Contains(t, a.run(t, "", "schedules", "set", "odd", "0 3 * * *", "nope").stderr, "There is no such function")
	require.Contains(t, asked(), "PATCH", "another 404 makes nothing")
	require.Equal(t, exitUsage, a.run(t, "", "schedules", "set", "nightly", "0 3 * * *", "f", "{").code)
}

// TestSchedulesOnARealServer: one thing is changed at a time, and the rest stays.
func TestSchedulesOnARealServer(t *testing.T) {
	i := install(t)
	i.must("deploy", folder(t, map[string]string{"ff.js": "export default async () => 1"}))
	i.must("schedules", "set", "nightly", "0 3 * * *", "ff", `{"a":1}`, "--timezone", "Europe/Berlin", "--queue", "mail", "--tag", "abc", "--paused")
	i.must("schedules", "set", "nightly", "--jitter", "5s", "--timeout", "10s")
	i.must("schedules", "set", "nightly", "0 4 * * *")
	var s apiclient.Schedule
	require.NoError(t, json.Unmarshal([]byte(i.must("schedules", "get", "nightly", "--json")), &s))
	require.True(t, s.Paused, "a pause is left alone")
	require.JSONEq(t, `{"a":1}`, string(s.Input))
	s.Input = nil
	require.Equal(t, apiclient.ScheduleSpec{
		Name: "nightly", Function: "ff", Cron: "0 4 * * *", Timezone: "Europe/Berlin", Overlap: "queue", CatchUp: "one", CatchUpWindow: "1h", Jitter: "5s",
		Options: apiclient.ScheduleOptions{Queue: "mail", Timeout: "10s", Tags: []string{"abc"}}, Paused: true,
	}, s.ScheduleSpec)

	i.must("schedules", "set", "nightly", "--no-paused", "--queue=", "--no-tags", "--timeout", "0s")
	require.Equal(t, 2, strings.Count(i.must("schedules", "ticks", "nightly", "-n", "2"), "04:00:00"))
	id := strings.TrimSpace(i.must("schedules", "run", "nightly"))
	require.Regexp(t, `(?m)^`+id+` +ff `, i.must("jobs", "list", "--schedule", "nightly"))
	require.Empty(t, i.waitFor(id).Tags)
	require.Contains(t, i.run("jobs", "list", "--schedule", "nobody").stderr, "No job matches.")
	require.Regexp(t, `(?m)^function +ff\nruntime +js\nversion +[0-9a-f]{12}\ndeployed .*\nstate +active$`, i.must("functions", "get", "ff"))
}
