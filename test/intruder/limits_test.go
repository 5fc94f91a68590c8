package intruder_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestTooMuch is what is larger than a job may be, and names that are none.
func TestTooMuch(t *testing.T) {
	t.Parallel()
	const limit = 4 << 20
	s := start(t)
	large := func(size int) string { return `"` + strings.Repeat("x", size-2) + `"` }
	tags := `["` + strings.Repeat(`tag","`, 9_999) + `tag"]`
	for _, c := range map[string]struct {
		path, body string
		status     int
		about      string
	}{
		"an input of a byte too much": {"/v1/functions/echo/jobs", large(limit + 1), 413, "4194304"},
		"the same as a part":          {"/v1/jobs", `{"function":"echo","input":` + large(limit+1) + `}`, 422, "4194304"},
		"options without an end":      {"/v1/jobs", `{"function":"echo","options":{"queue":` + large(2*limit) + `}}`, 413, "4259840"},
		"metadata":                    {"/v1/jobs", `{"function":"echo","metadata":{"lane":"x"}}`, 400, "metadata"},
		"metadata among the options":  {"/v1/jobs", `{"function":"echo","options":{"metadata":{"lane":"x"}}}`, 400, "metadata"},
		"ten thousand tags":           {"/v1/jobs", `{"function":"echo","options":{"tags":` + tags + `}}`, 422, "20"},
		"a tag of a megabyte":         {"/v1/jobs", `{"function":"echo","options":{"tags":["` + strings.Repeat("t", limit-100) + `"]}}`, 422, "100"},
		"a tag with a colon":          {"/v1/functions/echo/jobs?tags=a:b:c", `1`, 422, "tags"},
		"a function not deployed":     {"/v1/functions/nobody.there/jobs", `1`, 404, "unknown_function"},
		"one not deployed, as a part": {"/v1/jobs", `{"function":"nobody.there"}`, 404, "unknown_function"},
		"no function":                 {"/v1/jobs", `{"input":1}`, 422, "function"},
		"a name with a newline":       {"/v1/functions/echo%0Aevil/jobs", `1`, 422, "function"},
		"the same in JSON":            {"/v1/jobs", `{"function":"echo\nevil"}`, 422, "function"},
		"a name with ANSI":            {"/v1/functions/%1B%5B31mecho/jobs", `1`, 422, "function"},
		"a name with NUL":             {"/v1/functions/echo%00/jobs", `1`, 422, "function"},
		"a name that is not UTF-8":    {"/v1/functions/echo%FF/jobs", `1`, 422, "function"},
		"a name with look-alikes":     {"/v1/functions/" + url.PathEscape("есhо") + "/jobs", `1`, 422, "function"},
		"a name of 128":               {"/v1/functions/" + strings.Repeat("f", 128) + "/jobs", `1`, 422, "127"},
		"a queue with a newline":      {"/v1/functions/echo/jobs?queue=a%0Ab", `1`, 422, "queue"},
		"a queue of 65":               {"/v1/functions/echo/jobs?queue=" + strings.Repeat("q", 65), `1`, 422, "64"},
		"a key of 256":                {"/v1/jobs", `{"function":"echo","options":{"idempotency_key":"` + strings.Repeat("k", 256) + `"}}`, 422, "255"},
		"a key with a newline":        {"/v1/jobs", `{"function":"echo","options":{"idempotency_key":"a\nb"}}`, 422, "idempotency_key"},
	} {
		s.send(t, http.MethodPost, c.path, c.body).refused(t, c.status, c.about)
	}
	got := s.send(t, http.MethodPost, "/v1/functions/echo/jobs", `1`, "Idempotency-Key", strings.Repeat("k", 256))
	got.refused(t, http.StatusBadRequest, "255")
	require.Zero(t, s.holds(t))
	s.quiet(t)
}

// TestNumbersBeyondTheLimits have an answer that states the limit.
func TestNumbersBeyondTheLimits(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, c := range map[string]struct {
		options string // of the body, and the same as a query
		query   string
		about   string
	}{
		"run_at in 9999":        {`"run_at":"9999-12-31T23:59:59Z"`, "run_at=9999-12-31T23:59:59Z", "ten years"},
		"run_at before Christ":  {`"run_at":"-0044-03-15T00:00:00Z"`, "run_at=-0044-03-15T00:00:00Z", ""},
		"run_at, a number":      {`"run_at":-1`, "run_at=-1", ""},
		"a negative delay":      {`"delay":"-1h"`, "delay=-1h", "delay"},
		"a delay without end":   {`"delay":"9999999h"`, "delay=9999999h", ""},
		"max_attempts 2^31":     {`"max_attempts":2147483648`, "max_attempts=2147483648", "100"},
		"max_attempts 2^31 - 1": {`"max_attempts":2147483647`, "max_attempts=2147483647", "100"},
		"max_attempts 2^63":     {`"max_attempts":9223372036854775808`, "max_attempts=9223372036854775808", "max_attempts"},
		"max_attempts 101":      {`"max_attempts":101`, "max_attempts=101", "100"},
		"max_attempts -1":       {`"max_attempts":-1`, "max_attempts=-1", "100"},
		"priority -1":           {`"priority":-1`, "priority=-1", "4 (last)"},
		"priority 5":            {`"priority":5`, "priority=5", "4 (last)"},
		"priority 32768":        {`"priority":32768`, "priority=32768", "4 (last)"},
		"priority 1e400":        {`"priority":1e400`, "priority=1e400", "priority"},
		"priority 1.5":          {`"priority":1.5`, "priority=1.5", "priority"},
		"a timeout of a week":   {`"timeout":"168h"`, "timeout=168h", "24h"},
		"a negative timeout":    {`"timeout":"-1s"`, "timeout=-1s", ""},
		"a timeout of nothing":  {`"timeout":"1ns"`, "timeout=1ns", "1ms"},
	} {
		refusals := []int{http.StatusBadRequest, http.StatusUnprocessableEntity}
		for _, got := range []answer{
			s.send(t, http.MethodPost, "/v1/jobs", `{"function":"echo","options":{`+c.options+`}}`),
			s.send(t, http.MethodPost, "/v1/functions/echo/jobs?"+c.query, `1`),
		} {
			require.Contains(t, refusals, got.status, got.body)
			got.refused(t, got.status, c.about)
		}
	}
	require.Zero(t, s.holds(t))
	past := s.send(t, http.MethodPost, "/v1/functions/echo/jobs?run_at=0001-02-03T00:00:00Z", `1`)
	require.Equal(t, http.StatusAccepted, past.status, "what is long over is now: %s", past.body)
	require.NotContains(t, past.body, "0001-")
	s.quiet(t)
}

// TestCronWithoutEnd are expressions that a parser may choke on.
func TestCronWithoutEnd(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, c := range map[string]string{
		"six fields, 10,000 times": strings.TrimSpace(strings.Repeat("* * * * * * ", 10_000)),
		"a list of 10,000":         strings.TrimSuffix(strings.Repeat("1,", 10_000), ",") + " * * * *",
		"a negative step":          "*/-1 * * * *",
		"no step":                  "*/0 * * * *",
		"a step of 2^63":           "*/9223372036854775808 * * * *",
		"a range back":             "5-1 * * * *",
		"every nothing":            "@every 0s",
		"every negative":           "@every -1h",
		"every nanosecond":         "@every 1ns",
		"every 1e400":              "@every 1e400s",
		"February 31":              "0 0 31 2 *",
		"NUL":                      "* * * * *\\u0000",
		"SQL":                      "* * * * *'; drop table millrace.schedule; --",
		"nothing":                  "",
	} {
		got := s.send(t, http.MethodPut, "/v1/schedules/s", fmt.Sprintf(`{"function":"echo","cron":"%s"}`, c))
		got.refused(t, http.StatusUnprocessableEntity, "cron")
		got = s.send(t, http.MethodPost, "/v1/schedules/preview", fmt.Sprintf(`{"cron":"%s"}`, c))
		require.Contains(t, []int{http.StatusBadRequest, http.StatusUnprocessableEntity, http.StatusRequestEntityTooLarge}, got.status, got.body)
		got.refused(t, got.status, "")
	}
	for field, value := range map[string]string{
		"timezone": `"../../etc/passwd"`, "overlap": `"always"`, "catch_up": `"$$"`, "catch_up_window": `"9999h"`, "jitter": `"25h"`,
	} {
		got := s.send(t, http.MethodPut, "/v1/schedules/s", fmt.Sprintf(`{"function":"echo","cron":"@daily",%q:%s}`, field, value))
		got.refused(t, http.StatusUnprocessableEntity, field)
	}
	require.Zero(t, s.holds(t))
	s.quiet(t)
}
