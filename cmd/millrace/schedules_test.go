package main

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const nightlySchedule = `{"name":"nightly","function":"reports.daily","input":{"a":1},"options":{},"cron":"0 3 * * *","timezone":"Europe/Berlin",
	"overlap":"skip","catch_up":"one","catch_up_window":"1h","jitter":"0s","paused":false,"owner":"","next_tick":"2099-01-01T03:00:00+01:00",
	"last_tick":null,"last_job_at":"2026-01-01T00:00:00Z","last_job_id":"7","fired":3,"skipped":1,"missed":2,"error":"no \u001b[31mluck",
	"created_at":"2026-01-01T00:00:00Z","updated_at":"2026-01-01T00:00:00Z"}`

func TestSchedulesList(t *testing.T) {
	t.Parallel()
	a := newAPI(t, map[string]http.HandlerFunc{"GET /v1/schedules": answerJSON(`{"schedules":[` + nightlySchedule + `],"next":""}`)})
	got := a.run(t, "", "schedules", "list", "--function", "reports.daily")
	require.Zero(t, got.code, got.stderr)
	require.Regexp(t, `(?m)^nightly +reports\.daily +0 3 \* \* \* +Europe/Berlin +in \d+ d +7, \d+ d ago +3 +1 +2 +no \x{fffd}\[31mluck`, got.stdout)
	require.Equal(t, []string{"GET /v1/schedules?function=reports.daily&limit=500"}, a.asked())
	require.Contains(t, a.run(t, "", "schedules", "list", "--json").stdout, `"last_job_id":"7"`)
}

func TestSchedulesGet(t *testing.T) {
	t.Parallel()
	a := newAPI(t, map[string]http.HandlerFunc{
		"GET /v1/schedules/nightly":       answerJSON(nightlySchedule),
		"GET /v1/schedules/nightly/ticks": answerJSON(`{"timezone":"Europe/Berlin","ticks":["2099-01-01T03:00:00+01:00"]}`),
	})
	got := a.run(t, "", "schedules", "get", "nightly")
	require.Zero(t, got.code, got.stderr)
	require.Regexp(t, `(?m)^cron +0 3 \* \* \*, Europe/Berlin$`, got.stdout)
	require.Regexp(t, `(?m)^ticks +3 fired, 1 skipped, 2 missed$`, got.stdout)
	require.Contains(t, got.stdout, "Thu 2099-01-01 03:00:00 +0100")
	require.NotContains(t, got.stdout, "\x1b")
}

func TestSchedulesActGoesOnAfterARefusal(t *testing.T) {
	t.Parallel()
	a := newAPI(t, map[string]http.HandlerFunc{
		"DELETE /v1/schedules/hello:1":      problem(http.StatusConflict, `"code":"schedule_owned","title":"The schedule belongs to a function"`),
		"DELETE /v1/schedules/nightly":      func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) },
		"POST /v1/schedules/nightly/pause":  answerJSON(nightlySchedule),
		"POST /v1/schedules/nightly/resume": answerJSON(nightlySchedule),
		"POST /v1/schedules/nightly/run":    answerJSON(queuedJob),
	})
	got := a.run(t, "", "schedules", "delete", "hello:1", "nightly")
	require.Equal(t, exitFailed, got.code)
	require.Contains(t, got.stderr, "delete schedule hello:1: The schedule belongs to a function")
	require.Contains(t, got.stderr, "Schedule nightly is deleted.")
	require.Contains(t, a.run(t, "", "schedules", "pause", "nightly").stdout, "nightly  in ")
	require.Contains(t, a.run(t, "", "schedules", "resume", "nightly", "--json").stdout, `"fired":3`)
	require.Equal(t, "7\n", a.run(t, "", "schedules", "run", "nightly").stdout)
}

func TestSchedulesTicks(t *testing.T) {
	t.Parallel()
	a := newAPI(t, map[string]http.HandlerFunc{
		"GET /v1/schedules/nightly/ticks": answerJSON(`{"timezone":"UTC","ticks":["2026-01-01T00:05:00Z"]}`),
		"GET /v1/schedules/paused/ticks":  answerJSON(`{"timezone":"UTC","ticks":[]}`),
	})
	require.Equal(t, "Thu 2026-01-01 00:05:00 +0000\n", a.run(t, "", "schedules", "ticks", "nightly", "-n", "3").stdout)
	require.Equal(t, []string{"GET /v1/schedules/nightly/ticks?count=3"}, a.asked())
	got := a.run(t, "", "schedules", "ticks", "paused")
	require.Empty(t, got.stdout)
	require.Contains(t, got.stderr, "paused does not tick: it is paused, or its time is over.")
}

func TestSchedulesPreview(t *testing.T) {
	t.Parallel()
	a := newAPI(t, map[string]http.HandlerFunc{
		"POST /v1/schedules/preview": answerJSON(`{"timezone":"UTC","ticks":["2026-01-01T00:05:00Z","2026-01-01T00:10:00Z"]}`),
	})
	got := a.run(t, "", "schedules", "preview", "*/5", "*", "*", "*", "*", "-n", "2")
	require.Zero(t, got.code, got.stderr)
	require.Equal(t, "Thu 2026-01-01 00:05:00 +0000\nThu 2026-01-01 00:10:00 +0000\n", got.stdout)
	require.JSONEq(t, `{"cron":"*/5 * * * *","timezone":"UTC","count":2}`, strings.TrimPrefix(a.asked()[0], "POST /v1/schedules/preview "))
}
