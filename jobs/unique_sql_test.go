package jobs

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/testdb"
)

// requestDuration reads what the HTTP API takes for a duration.
func requestDuration(raw []byte) (time.Duration, error) {
	text := strings.Trim(string(raw), `"`)
	if seconds, err := strconv.ParseInt(text, 10, 32); err == nil {
		return time.Duration(seconds) * time.Second, nil
	}

	return time.ParseDuration(text)
}

// parsedRule is what Go makes of options with at most one rule: its stored form, or empty with a mistake.
func parsedRule(t *testing.T, options string) string {
	t.Helper()

	var (
		given map[string]json.RawMessage
		opts  Options
		errs  []error
		err   error
	)

	require.NoError(t, json.Unmarshal([]byte(options), &given))

	for name, raw := range given {
		switch name {
		case "unique":
			opts.Unique, err = ParseUnique(raw, requestDuration)
		case "debounce":
			opts.Debounce, err = ParseDebounce(raw, requestDuration)
		case "throttle":
			opts.Throttle, err = ParseThrottle(raw, requestDuration)
		}

		errs = append(errs, err)
	}

	wrong := &ValidationError{}
	(&checker{}).checkRules(wrong, &opts)

	if errors.Join(append(errs, wrong.OrNil())...) != nil {
		return "wrong"
	}

	if r := ruleOf(&opts, &Settings{}); r != nil {
		return string(ruleJSON(r)) + " " + r.canonical()
	}

	return "none"
}

func TestSQLReadsRulesAsGoDoes(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)

	for _, options := range []string{
		`{"unique": true}`, `{"unique": false}`, `{"unique": "input.id"}`, `{"unique": {}}`, `{"unique": "id"}`, `{"unique": 1}`,
		`{"unique": {"key": "{input.a}:{input.b.0}", "period": "1h", "replace": true}}`, `{"unique": {"period": 10}}`,
		`{"unique": {"period": 0}}`, `{"unique": {"period": "0s"}}`, `{"unique": {"period": -1}}`, `{"unique": {"period": "1us"}}`,
		`{"unique": {"period": "9000h"}}`, `{"unique": {"periods": 1}}`, `{"unique": {"replace": 1}}`, `{"unique": []}`,
		`{"unique": {"key": "` + strings.Repeat("input.a", 30) + `"}}`, `{"unique": {"key": 1}}`, `{"unique": {"replace": false}}`,
		`{"unique": "input.a'; drop table x; --"}`, `{"unique": "{input.$$}%"}`, `{"unique": "\"; drop--"}`, `{"unique": ""}`,
		`{"debounce": "10s"}`, `{"debounce": 10}`, `{"debounce": true}`, `{"debounce": false}`, `{"debounce": "x"}`, `{"debounce": 0}`,
		`{"debounce": {"period": "10s", "max": "1m", "key": "input"}}`, `{"debounce": {"period": "10s", "max": "1s"}}`,
		`{"debounce": {"max": "1s"}}`, `{"debounce": {}}`, `{"debounce": {"period": "10s", "max": 0}}`, `{"debounce": {"period": "10s", "key": ""}}`,
		`{"throttle": "5/1m"}`, `{"throttle": "5"}`, `{"throttle": "5/"}`, `{"throttle": "/1m"}`, `{"throttle": "0/1m"}`, `{"throttle": "1001/1m"}`,
		`{"throttle": "99999999999/1m"}`, `{"throttle": {"limit": 1000, "period": 60, "drop": true}}`, `{"throttle": {"limit": 1}}`,
		`{"throttle": {"limit": 1.5, "period": 1}}`, `{"throttle": {"limit": 2147483648, "period": 1}}`, `{"throttle": {"limit": "1", "period": 1}}`,
		`{"throttle": {"limit": -1, "period": 1}}`, `{"throttle": false}`, `{"throttle": true}`, `{"throttle": 5}`,
		`{"unique": true, "debounce": "1s"}`, `{"debounce": "1s", "throttle": "1/1s"}`, `{"unique": false, "throttle": "1/1s"}`,
	} {
		var rule, text, wrong *string

		require.NoError(t, db.Pool.QueryRow(t.Context(), `select r.rule::text, millrace.rule_text(r.rule), array_to_string(nullif(r.wrong, '{}'), '; ')
			from millrace.job_options($1) r`, options).Scan(&rule, &text, &wrong), options)

		got := "none"
		if wrong != nil {
			got = "wrong"
		} else if rule != nil {
			got = strings.NewReplacer(`": `, `":`, `, "`, `,"`).Replace(*rule)
		}

		want := parsedRule(t, options)
		if got == "none" || got == "wrong" {
			require.Equal(t, want, got, "%s: %v", options, wrong)

			continue
		}

		wantRule, wantText, _ := strings.Cut(want, "} ")
		require.JSONEq(t, wantRule+"}", got, options)
		require.Equal(t, wantText, *text, options)
	}
}

func TestSQLReadsBackoffsAsGoDoes(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)

	for _, given := range []string{
		`"10s"`, `10`, `0`, `"x"`, `-1`, `"25h"`, `true`, `[]`, `["1s", 2, "3m"]`, `["1s", "x"]`, `["0s"]`, `{}`,
		`[` + strings.TrimSuffix(strings.Repeat("1,", 99), ",") + `]`, `[` + strings.TrimSuffix(strings.Repeat("1,", 100), ",") + `]`,
		`{"kind": "linear"}`, `{"kind": "cubic"}`, `{"kind": 1}`, `{"kind": "fixed", "first": "5s", "jitter": 0}`,
		`{"first": "1s", "max": "1m", "factor": 3, "jitter": 1}`, `{"factor": 0.5}`, `{"factor": 1e3}`, `{"factor": "2"}`,
		`{"jitter": 1.1}`, `{"jitter": -0.1}`, `{"jitter": "x"}`, `{"delays": ["1s"], "jitter": 0.1}`, `{"delays": ["1s"], "first": "1s"}`,
		`{"delays": []}`, `{"delays": "1s"}`, `{"firsts": 1}`,
	} {
		var stored, text, wrong *string

		require.NoError(t, db.Pool.QueryRow(t.Context(), `select b.backoff::text, millrace.backoff_text(b.backoff),
			array_to_string(nullif(b.wrong, '{}'), '; ') from millrace.backoff_option($1) b`, given).Scan(&stored, &text, &wrong), given)

		want, err := ParseBackoff(json.RawMessage(given), requestDuration)
		require.Equal(t, err != nil, wrong != nil, "%s: %v, %v", given, err, wrong)

		if err != nil || want.IsZero() {
			require.Nil(t, stored, given)

			continue
		}

		raw, err := json.Marshal(want)
		require.NoError(t, err)
		require.JSONEq(t, string(raw), *stored, given)
		require.Equal(t, want.canonical(), *text, given)
	}
}

// SQL, Go and all nodes have the same keys.
func TestSQLAndGoShareRules(t *testing.T) {
	t.Parallel()

	db, functions := testdb.New(t), newFunctions()
	names := deployBoth(t, db, functions)
	s := startNode(t, db, functions, insertOnly)

	for _, function := range names {
		for i, tc := range []struct {
			sql     string
			outcome Outcome
			Options
		}{
			{`{"unique": true}`, OutcomeExisting, Options{Unique: &Unique{}}},
			{`{"unique": {"key": "input.a", "period": 60}}`, OutcomeExisting, Options{Unique: &Unique{Key: "input.a", Period: time.Minute}}},
			{`{"unique": {"key": "{input.b}", "replace": true}, "delay": "1h"}`, OutcomeReplaced, Options{Unique: &Unique{Key: "{input.b}", Replace: true}}},
			{`{"debounce": "1h"}`, OutcomeReplaced, Options{Debounce: &Debounce{Period: time.Minute}}},
			{`{"throttle": {"limit": 1, "period": "1h", "drop": true}}`, OutcomeDropped, Options{Throttle: &Throttle{Limit: 1, Period: time.Hour, Drop: true}}},
		} {
			input := fmt.Sprintf(`{"a": {"c": [1.50, "é"]}, "b": %d}`, i)
			id := mustEnqueue(t, db.Pool, function, input, tc.sql)
			require.Equal(t, id, mustEnqueue(t, db.Pool, function, input, tc.sql), tc.sql)

			job, err := s.Submit(t.Context(), Submission{Function: function, Input: json.RawMessage(input), Options: tc.Options})
			require.NoError(t, err)
			require.Equal(t, id, job.ID, tc.sql)
			require.Equal(t, tc.outcome, job.Outcome, tc.sql)
			require.Equal(t, id, mustEnqueue(t, db.Pool, function, input, tc.sql), tc.sql)
		}
	}
}

// The rules of a function's configuration hold for SQL too.
func TestSQLGoesByTheRuleOfTheFunction(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	nativeConfig(t, db, "f", `{"debounce": {"period_ms": 3600000, "key": "input.a"}}`)

	id := mustEnqueue(t, db.Pool, "f", `{"a": 1}`, `{}`)
	require.Equal(t, id, mustEnqueue(t, db.Pool, "f", `{"a": 1, "b": 2}`, `{}`))
	require.NotEqual(t, id, mustEnqueue(t, db.Pool, "f", `{"a": 2}`, `{}`))

	_, err := db.Pool.Exec(t.Context(), `select millrace.enqueue('f', '{"a": 1}', '{"delay": "1s"}')`)
	require.ErrorContains(t, err, "debounce decides when the job starts")
}

// What a transaction submitted under a rule is there when it commits; who comes meanwhile waits for that, in SQL, or for
// a while, elsewhere.
func TestSQLUniqueInTransactions(t *testing.T) {
	t.Parallel()

	db, functions := testdb.New(t), newFunctions()
	deployBoth(t, db, functions)
	s := startNode(t, db, functions, insertOnly)
	enqueue := func(tx pgx.Tx) (id int64) {
		require.NoError(t, tx.QueryRow(t.Context(), `select millrace.enqueue('f', '1', '{"unique": true}')`).Scan(&id))

		return id
	}

	tx, err := db.Pool.Begin(t.Context())
	require.NoError(t, err)
	enqueue(tx)

	_, err = s.Submit(t.Context(), Submission{Function: "f", Input: json.RawMessage(`1`), Options: Options{Unique: &Unique{}}})
	require.ErrorIs(t, err, ErrKeyHeld)
	require.NoError(t, tx.Rollback(t.Context()))

	job, err := s.Submit(t.Context(), Submission{Function: "f", Input: json.RawMessage(`1`), Options: Options{Unique: &Unique{}}})
	require.NoError(t, err)
	require.Empty(t, job.Outcome, "what is rolled back holds no key")

	var (
		group sync.WaitGroup
		mu    sync.Mutex
		ids   = map[int64]bool{job.ID: true}
	)

	for range 32 {
		group.Go(func() {
			assertNoError(t, pgx.BeginFunc(t.Context(), db.Pool, func(tx pgx.Tx) error {
				id := enqueue(tx)

				mu.Lock()
				defer mu.Unlock()

				ids[id] = true

				return nil
			}))
		})
	}

	group.Wait()
	require.Len(t, ids, 1)
}
