package jobs

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/millrace-dev/millrace/internal/testdb"
)

// storedRow is all that is stored of a submission but ids and times; of the times it has how long the job waits, or
// until when if that was said.
func storedRow(t testing.TB, db *testdb.DB, id int64, until bool) string {
	t.Helper()

	var row string
	require.NoError(t, db.Pool.QueryRow(t.Context(), `
		select concat_ws(' ', to_jsonb(j) - '{id,created_at,scheduled_at}'::text[],
			'request', encode(i.request_hash, 'hex'), 'for', i.expires_at - i.created_at,
			'waits', case when $2 then j.scheduled_at::text else (j.scheduled_at - j.created_at)::text end)
		from millrace.river_job j left join millrace.idempotency i on i.job_id = j.id where j.id = $1`, id, until).Scan(&row))

	return row
}

// deployBoth makes functions with all sorts of settings known to Go and to SQL, and returns their names.
func deployBoth(t testing.TB, db *testdb.DB, functions *functionsOf) []string {
	t.Helper()

	names := make([]string, 0, 5)

	for _, f := range []struct {
		name     string
		settings Settings
		config   string // as package functions stores the settings
	}{
		{"f", Settings{}, `{}`},
		{
			"orders.charge", Settings{Queue: "money", Priority: 1, MaxAttempts: 9, Timeout: time.Hour},
			`{"queue": "money", "priority": 1, "max_attempts": 9, "timeout_ms": 3600000}`,
		},
		{
			"limited", Settings{Limits: Limits{Concurrency: 2, ConcurrencyKey: "input.a"}},
			`{"concurrency": 2, "concurrency_key": "input.a"}`,
		},
		{
			"rated", Settings{Limits: Limits{Rate: Rate{Limit: 1, Period: time.Second, Key: "{input.b}:{input}"}}},
			`{"rate": {"limit": 1, "period_ms": 1000, "key": "{input.b}:{input}"}}`,
		},
		{"paused", Settings{}, `{}`},
	} {
		functions.deploy(f.name, returns(`1`), f.settings)
		require.NoError(t, StoreLimits(t.Context(), db.Pool, f.name, f.settings.Limits))
		nativeConfig(t, db, f.name, f.config)

		names = append(names, f.name)
	}

	exec(t, db, `insert into millrace.function_limit (function, paused_at) values ('paused', now())`)

	return names
}

// The same submission by both doors makes the same row.
func TestSQLMakesTheRowsThatGoMakes(t *testing.T) {
	t.Parallel()

	db, functions := testdb.New(t), newFunctions()
	names := deployBoth(t, db, functions)
	s := startNode(t, db, functions, insertOnly)

	ahead := time.Now().Add(time.Hour).UTC()
	past := time.Date(2020, 1, 1, 12, 0, 0, 123456789, time.UTC)
	inputs := []string{`null`, `{"a": "x", "b": 2}`, `{"a": {"c": [1, "é"]}}`, `[1.50, true]`, `"a"`}

	for i, tc := range []struct {
		sql string
		Options
	}{
		{`{`, Options{}},
		{`{"queue": "slow_1-a", "priority": 4, "max_attempts": 100`, Options{Queue: "slow_1-a", Priority: 4, MaxAttempts: 100}},
		{`{"tags": ["acme", "q_4-x", "acme"]`, Options{Tags: []string{"acme", "q_4-x", "acme"}}},
		{`{"timeout": "1.5s"`, Options{Timeout: 1500 * time.Millisecond}},
		{`{"timeout": "2m", "soft_timeout": "1.5s"`, Options{Timeout: 2 * time.Minute, SoftTimeout: 1500 * time.Millisecond}},
		{`{"timeout": 90, "priority": 0`, Options{Timeout: 90 * time.Second}},
		{`{"timeout": "1h2m3.004005006s", "tags": ["abc"]`, Options{
			Timeout: time.Hour + 2*time.Minute + 3_004_005_006, Tags: []string{"abc"},
		}},
		{`{"delay": "90m"`, Options{Delay: 90 * time.Minute}},
		{`{"delay": 3, "max_attempts": 1`, Options{Delay: 3 * time.Second, MaxAttempts: 1}},
		{`{"delay": "999ns"`, Options{Delay: 999}},
		{`{"delay": "1.9us", "queue": null`, Options{Delay: 1_900}},
		{`{"backoff": "1.5s", "timeout": 2`, Options{Backoff: Backoff{First: 1500 * time.Millisecond}, Timeout: 2 * time.Second}},
		{`{"backoff": ["1s", 60]`, Options{Backoff: Backoff{Delays: []time.Duration{time.Second, time.Minute}}}},
		{`{"backoff": {"kind": "linear", "first": "1s", "max": 60, "jitter": 0}`, Options{Backoff: Backoff{
			Kind: BackoffLinear, First: time.Second, Max: time.Minute, Jitter: -1,
		}}},
		{`{"backoff": {"factor": 1.5, "jitter": 0.25}`, Options{Backoff: Backoff{Factor: 1.5, Jitter: 0.25}}},
		{`{"run_at": "2020-01-01T14:00:00.123456789+02:00"`, Options{RunAt: past}},
		{`{"run_at": "` + ahead.Format(time.RFC3339Nano) + `"`, Options{RunAt: ahead}},
	} {
		for j, input := range inputs {
			for _, function := range names {
				sub := Submission{Function: function, Input: json.RawMessage(input), Options: tc.Options}
				options := tc.sql + "}"

				if j%2 == 1 { // half of them with a key
					sub.Options.IdempotencyKey = fmt.Sprint("go ", i, j, function)
					options = strings.TrimPrefix(tc.sql+fmt.Sprintf(`, "idempotency_key": "sql %d%d%s"}`, i, j, function), `{, `)
					if tc.sql == "{" {
						options = "{" + options
					}
				}

				job, err := s.Submit(t.Context(), sub)
				require.NoError(t, err)

				id := mustEnqueue(t, db.Pool, function, input, options)
				require.Equal(t, storedRow(t, db, job.ID, tc.RunAt.Equal(ahead)), storedRow(t, db, id, tc.RunAt.Equal(ahead)), options)
			}
		}
	}
}

// parsedInGo is what the HTTP API makes of a duration.
func parsedInGo(text string) *int64 {
	var seconds int32
	if n, err := fmt.Sscanf(text, "%d", &seconds); n == 1 && err == nil && strings.Trim(text, "+-0123456789") == "" {
		ns := int64(seconds) * int64(time.Second)

		return &ns
	}

	d, err := time.ParseDuration(text)
	if err != nil {
		return nil
	}

	return (*int64)(&d)
}

func TestSQLReadsDurationsAsGoDoes(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	ctx := t.Context()
	inSQL := func(t require.TestingT, text string) (ns *int64) {
		require.NoError(t, db.Pool.QueryRow(ctx, `select millrace.duration_ns($1)`, text).Scan(&ns))

		return ns
	}

	for _, text := range []string{
		"", "0", "+0", "-0", "7", "-7", "+7", "1.5", "2147483647", "2147483648", "99999999999999999999999", "0x1", "1e3",
		"5s", "-5s", "+5s", "1.5h", ".5s", "5.s", ".s", "s", "1h2m3s", "1h 2m", "1m2", "10 s", " 1s", "1s ", "1S", "1d",
		"1ms2us3µs4μs5ns", "999ns", "0.1ns", "1.0000000001s", "106751d", "2562047h", "2562048h", "9223372036854775807ns",
		"9223372036854775808ns", "--1s", "+-1s", "1s-1s", "∞", "1s\n",
	} {
		require.Equal(t, parsedInGo(text), inSQL(t, text), "%q", text)
	}

	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`[+-]?([0-9]{0,4}\.?[0-9]{0,6}(ns|us|µs|ms|s|m|h| )){0,4}[0-9]{0,3}`).Draw(t, "text")
		want, got := parsedInGo(text), inSQL(t, text)

		if want == nil || got == nil {
			require.Equal(t, want, got)

			return
		}

		// Go computes fractions in binary.
		require.LessOrEqual(t, math.Abs(float64(*want-*got)), 4.0)
	})
}
