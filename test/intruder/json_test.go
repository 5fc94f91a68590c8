package intruder_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// badInputs are bodies that are no JSON, or JSON that cannot be stored, each with a part of what is said about it.
func badInputs() map[string]struct{ input, about string } {
	return map[string]struct{ input, about string }{
		"65 deep":             {strings.Repeat("[", 65) + strings.Repeat("]", 65), "64 levels"},
		"65 objects deep":     {strings.Repeat(`{"a":`, 65) + "1" + strings.Repeat("}", 65), "64 levels"},
		"a million deep":      {strings.Repeat("[", 500_000), ""},
		"duplicate keys":      {`{"a":1,"b":2,"a":3}`, "twice"},
		"duplicates, escaped": {`{"a":1,"\u0061":3}`, "twice"},
		"duplicates, inside":  {`[{"x":{"b":1,"c":[],"b":{}}}]`, "twice"},
		"1e400":               {`{"n":1e400}`, "out of range"},
		"-1e400":              {`[-1e400]`, "out of range"},
		"many digits":         {`{"n":` + strings.Repeat("9", 2000) + `}`, "1000 characters"},
		"NaN":                 {`{"n":NaN}`, ""},
		"Infinity":            {`{"n":-Infinity}`, ""},
		"half a pair":         {`{"s":"\ud800"}`, "surrogate"},
		"the other half":      {`{"s":"\udc00x"}`, "surrogate"},
		"half a pair, in key": {`{"\ud83d":1}`, "surrogate"},
		"NUL":                 {`{"s":"a\u0000b"}`, `u0000`},
		"NUL in a key":        {`{"\u0000":1}`, `u0000`},
		"a raw NUL":           {"{\"s\":\"a\x00b\"}", ""},
		"not UTF-8":           {"{\"s\":\"\xff\xfe\"}", ""},
		"half of it":          {`{"s":`, ""},
		"two of it":           {`{} {}`, ""},
		"a comma more":        {`{"a":1,}`, ""},
	}
}

// TestBadJSON sends them where an input is the body, where it is a part of one, in a batch, as an event and in a
// schedule. Every answer names the input, or the place in the body, and nothing is stored.
func TestBadJSON(t *testing.T) {
	t.Parallel()
	s := start(t)
	refusals := []int{http.StatusBadRequest, http.StatusUnprocessableEntity}
	for name, bad := range badInputs() {
		for door, got := range map[string]answer{
			"body":     s.send(t, http.MethodPost, "/v1/functions/echo/jobs", bad.input),
			"part":     s.send(t, http.MethodPost, "/v1/jobs", fmt.Sprintf(`{"function":"echo","input":%s}`, bad.input)),
			"event":    s.send(t, http.MethodPost, "/v1/functions/echo/jobs", event(bad.input), "Content-Type", "application/cloudevents+json"),
			"schedule": s.send(t, http.MethodPut, "/v1/schedules/s", fmt.Sprintf(`{"function":"echo","cron":"@daily","input":%s}`, bad.input)),
			"atomic":   s.send(t, http.MethodPost, "/v1/jobs/batch?atomic=true", fmt.Sprintf(`[{"function":"echo","input":%s}]`, bad.input)),
		} {
			require.Contains(t, refusals, got.status, "%s, %s: %s", name, door, got.body)
			got.refused(t, got.status, "")
			if bad.about != "" {
				require.Contains(t, got.body, bad.about, "%s, %s", name, door)
				require.Contains(t, got.body, "input", "%s, %s", name, door)
			}
		}
		s.refusesLine(t, name, bad.input)
	}
	require.Zero(t, s.holds(t))
	s.quiet(t)
}

func event(data string) string {
	return fmt.Sprintf(`{"specversion":"1.0","type":"t","source":"s","id":"1","data":%s}`, data)
}

// refusesLine sends a bad line between good ones that are refused for another reason.
func (s *server) refusesLine(t *testing.T, name, input string) {
	t.Helper()
	if strings.ContainsAny(input, "\n") {
		return
	}
	other := `{"function":"nobody.there","input":1}` + "\n"
	got := s.send(t, http.MethodPost, "/v1/jobs/batch", other+fmt.Sprintf(`{"function":"echo","input":%s}`, input)+"\n"+other,
		"Content-Type", "application/x-ndjson")
	require.Equal(t, http.StatusOK, got.status, "%s: %s", name, got.body)
	got.tellsNothing(t)
	lines := strings.Split(strings.TrimSpace(got.body), "\n")
	require.Len(t, lines, 3, name)
	for _, line := range lines {
		var result struct{ Error *problem }
		require.NoError(t, json.Unmarshal([]byte(line), &result), line)
		require.NotNil(t, result.Error, "%s: %s", name, line)
		require.NotEmpty(t, result.Error.Code)
	}
}

// TestAMillionKeys is an object that is too large, and one that is as large as may be and is taken.
func TestAMillionKeys(t *testing.T) {
	t.Parallel()
	s := start(t)
	object := func(keys int) string {
		var b strings.Builder
		for i := range keys {
			fmt.Fprintf(&b, `,"%x":0`, i)
		}
		return "{" + b.String()[1:] + "}"
	}
	s.send(t, http.MethodPost, "/v1/functions/echo/jobs", object(1_000_000)).refused(t, http.StatusRequestEntityTooLarge, "4194304")
	require.Zero(t, s.holds(t))
	got := s.send(t, http.MethodPost, "/v1/functions/echo/jobs", object(100_000), "Prefer", "return=minimal")
	require.Equal(t, http.StatusAccepted, got.status, got.body)
	s.quiet(t)
}
