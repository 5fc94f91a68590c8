package web

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/jobs/schedules"
)

func TestScheduleScenarios(t *testing.T) { //nolint:tparallel // they build on those before
	t.Parallel()
	e := start(t)
	const one = "/v1/schedules/nightly"
	full := `{"function":"echo","cron":"0 3 * * mon-fri","timezone":"Europe/Berlin","input":{"a":1},"overlap":"skip","catch_up":"all",
		"catch_up_window":"90m","jitter":30,"options":{"queue":"slow","priority":3,"max_attempts":2,"timeout":"10s","tags":["abc"]}}`
	only := e.key("schedules:read", "schedules:manage", "jobs:submit:other.*")
	blind := e.key("schedules:manage", "jobs:submit:other.*")

	for _, s := range []scenario{
		{name: "none yet", method: "GET", path: "/v1/schedules", status: 200, want: []string{`{"schedules":[],"next":""}`}},
		{name: "no such", method: "GET", path: one, status: 404, code: CodeNotFound, want: []string{"no such schedule"}},
		{name: "put makes", method: "PUT", path: one, body: full, status: 201, want: []string{
			`"name":"nightly"`, `"function":"echo"`, `"input":{"a":1}`, `"catch_up_window":"1h30m"`, `"jitter":"30s"`, `"queue":"slow"`,
			`"timeout":"10s"`, `"paused":false`, `"owner":""`, `"last_job_id":null`, `T03:00:00+0`, `"fired":0`,
		}},
		{name: "what it answers can be put", method: "PUT", path: one, body: full, status: 200},
		{name: "post of one that is there", method: "POST", path: "/v1/schedules", body: `{"name":"nightly","function":"echo","cron":"@daily"}`, status: 409, code: CodeScheduleExists},
		{name: "post makes", method: "POST", path: "/v1/schedules", body: `{"name":"hourly","function":"echo","cron":"@hourly"}`, status: 201, want: []string{`"timezone":"UTC"`, `"overlap":"queue"`, `"catch_up":"one"`, `"catch_up_window":"1h"`}},
		{name: "patch", method: "PATCH", path: one, body: `{"jitter":"0s","options":{"priority":1}}`, status: 200, want: []string{`"jitter":"0s"`, `"priority":1`, `"queue":"slow"`, `"timezone":"Europe/Berlin"`}},
		{name: "patch of the name", method: "PATCH", path: one, body: `{"name":"other"}`, status: 422, code: CodeValidationFailed},
		{name: "patch of nothing known", method: "PATCH", path: one, body: `{"tz":"UTC"}`, status: 400, code: CodeInvalidRequest, want: []string{`"tz"`}},
		{name: "patch of none", method: "PATCH", path: "/v1/schedules/none", body: `{}`, status: 404, code: CodeNotFound},
		{name: "another name in the body", method: "PUT", path: one, body: `{"name":"other","function":"echo","cron":"@daily"}`, status: 422, code: CodeValidationFailed},
		{name: "all that can be wrong", method: "PUT", path: "/v1/schedules/a%3Ab", status: 422, code: CodeValidationFailed,
			body: `{"function":"echo","cron":"0 25 * * *","timezone":"Mars/Olympus","overlap":"x","catch_up":"y","catch_up_window":"1ms","jitter":"48h","options":{"priority":9}}`,
			want: []string{`"name"`, `"cron"`, `\"25\" is not possible; it takes 0 to 23`, `"timezone"`, `"overlap"`, `"catch_up"`, `"catch_up_window"`, `"jitter"`, `"priority"`}},
		{name: "no function", method: "PUT", path: one, body: `{"function":"no.such","cron":"@daily"}`, status: 404, code: CodeUnknownFunction},
		{name: "broken JSON", method: "PUT", path: one, body: `{`, status: 400, code: CodeInvalidJSON},
		{name: "NUL in the input", method: "PUT", path: one, body: `{"function":"echo","cron":"@daily","input":"\u0000"}`, status: 422, code: CodeValidationFailed},
		{name: "NUL in the name", method: "GET", path: "/v1/schedules/%00", status: 404, code: CodeNotFound},

		{name: "ticks", method: "GET", path: one + "/ticks?count=2", status: 200, want: []string{`"timezone":"Europe/Berlin"`, `T03:00:00+0`}},
		{name: "too many ticks", method: "GET", path: one + "/ticks?count=101", status: 422, code: CodeValidationFailed},
		{name: "ticks of none", method: "GET", path: "/v1/schedules/none/ticks", status: 404, code: CodeNotFound},
		{name: "preview", method: "POST", path: "/v1/schedules/preview", body: `{"cron":"30 2 * * *","timezone":"Asia/Kathmandu","count":1}`, status: 200, want: []string{`T02:30:00+05:45`}},
		{name: "preview of nonsense", method: "POST", path: "/v1/schedules/preview", body: `{"cron":"every day"}`, status: 422, code: CodeValidationFailed, want: []string{`"cron"`, "has 2 fields"}},
		{name: "page", method: "GET", path: "/v1/schedules?limit=1&function=echo", status: 200, want: []string{`"hourly"`, `"next":"`}, never: []string{`"nightly"`}},
		{name: "page of nonsense", method: "GET", path: "/v1/schedules?cursor=%25", status: 422, code: CodeValidationFailed},

		{name: "pause", method: "POST", path: one + "/pause", status: 200, want: []string{`"paused":true`, `"next_tick":null`}},
		{name: "run while paused", method: "POST", path: one + "/run", status: 202, want: []string{`"function":"echo"`, `"input":{"a":1}`, `"priority":1`}},
		{name: "it is told", method: "GET", path: one, status: 200, want: []string{`"last_job_id":"`, `"last_tick":null`}},
		{name: "resume", method: "POST", path: one + "/resume", status: 200, want: []string{`"paused":false`}, never: []string{`"next_tick":null`}},

		// Whoever makes a schedule submits its jobs.
		{name: "make without the right to submit", method: "PUT", path: "/v1/schedules/mine", key: only, body: full, status: 403, code: CodeForbidden, want: []string{"jobs:submit"}},
		{name: "post without it", method: "POST", path: "/v1/schedules", key: only, body: `{"name":"x","function":"echo","cron":"@daily"}`, status: 403, code: CodeForbidden},
		{name: "take over", method: "PUT", path: one, key: only, body: `{"function":"other.fn","cron":"@daily"}`, status: 403, code: CodeForbidden, want: []string{"echo"}},
		{name: "run without it", method: "POST", path: one + "/run", key: only, status: 403, code: CodeForbidden},
		{name: "pause without it", method: "POST", path: one + "/pause", key: only, status: 403, code: CodeForbidden},
		{name: "patch without it", method: "PATCH", path: one, key: only, body: `{"paused":true}`, status: 403, code: CodeForbidden},
		{name: "delete without it", method: "DELETE", path: one, key: only, status: 403, code: CodeForbidden},
		{name: "delete what cannot be seen", method: "DELETE", path: one, key: blind, status: 404, code: CodeNotFound, never: []string{"echo"}},

		{name: "delete", method: "DELETE", path: one, status: 204},
		{name: "delete again", method: "DELETE", path: one, status: 404, code: CodeNotFound},
	} {
		t.Run(s.name, func(t *testing.T) { e.play(t, s) })
	}

	made := e.do(http.MethodPut, one, devKey, full)
	require.Equal(t, one, made.header.Get("Location"))
	page := e.do(http.MethodGet, "/v1/schedules?limit=1&function=echo", devKey, "")
	require.Contains(t, page.header.Get("Link"), `</v1/schedules?cursor=`)
	require.Contains(t, page.header.Get("Link"), `function=echo&limit=1>; rel="next"`)
}

// A function's own schedules may be paused and run, but not edited.
func TestSchedulesOfAFunction(t *testing.T) {
	t.Parallel()
	e := start(t)
	deployed := e.do(http.MethodPut, "/v1/functions/hello", devKey, `export const config = {schedule: "@every 1s"}; export default () => 1`)
	require.Equal(t, http.StatusOK, deployed.status, deployed.body)

	for _, s := range []scenario{
		{name: "owned", method: "GET", path: "/v1/schedules/hello:1", status: 200, want: []string{`"owner":"hello"`}},
		{name: "put", method: "PUT", path: "/v1/schedules/hello:1", body: `{"function":"hello","cron":"@daily"}`, status: 409, code: CodeScheduleOwned},
		{name: "patch", method: "PATCH", path: "/v1/schedules/hello:1", body: `{"cron":"@daily"}`, status: 409, code: CodeScheduleOwned},
		{name: "delete", method: "DELETE", path: "/v1/schedules/hello:1", status: 409, code: CodeScheduleOwned},
		{name: "run", method: "POST", path: "/v1/schedules/hello:1/run", status: 202},
	} {
		e.play(t, s)
	}

	require.Eventually(t, func() bool {
		schedule, err := e.server.cfg.Schedules.Get(t.Context(), "hello:1")

		return err == nil && schedule.Fired > 0
	}, patience, 10*time.Millisecond)
	paused := e.do(http.MethodPost, "/v1/schedules/hello:1/pause", devKey, "")
	require.Equal(t, http.StatusOK, paused.status, paused.body)

	removed := e.do(http.MethodPost, "/v1/deployments", devKey, `{"remove":["hello"]}`)
	require.Equal(t, http.StatusOK, removed.status, removed.body)
	_, err := e.server.cfg.Schedules.Get(t.Context(), "hello:1")
	require.ErrorIs(t, err, schedules.ErrNotFound)
}
