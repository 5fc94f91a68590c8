package jobs

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/testdb"
)

// softGap is a function that returns by how much its soft deadline comes before its deadline, -1 for none.
func softGap(_ context.Context, run *Run) (json.RawMessage, error) {
	if run.Soft.IsZero() {
		return json.RawMessage(`-1`), nil
	}

	return json.Marshal(run.Deadline.Sub(run.Soft).Milliseconds())
}

func TestAnAttemptKnowsItsSoftTimeout(t *testing.T) {
	t.Parallel()

	db, functions := testdb.New(t), newFunctions()
	s := startNode(t, db, functions)

	functions.deploy("plain", softGap)
	functions.deploy("soft", softGap, Settings{Timeout: 10 * time.Minute, SoftTimeout: 9 * time.Minute})
	nativeConfig(t, db, "soft", `{"timeout_ms": 600000, "soft_timeout_ms": 540000}`)

	for name, tc := range map[string]struct {
		function string
		hard     time.Duration
		soft     time.Duration
		gap      string
	}{
		"nobody said one":                      {"plain", 0, 0, "-1"},
		"the submission's, by the default":     {"plain", 0, 45 * time.Second, "15000"},
		"the function's":                       {"soft", 0, 0, "60000"},
		"the submission's, by the function's":  {"soft", 0, 8 * time.Minute, "120000"},
		"the function's, by the submission's":  {"soft", 20 * time.Minute, 0, "660000"},
		"the function's, which comes too late": {"soft", time.Minute, 0, "-1"},
	} {
		id := submit(t, s, tc.function, func(sub *Submission) {
			sub.Options.Timeout, sub.Options.SoftTimeout = tc.hard, tc.soft
		})
		require.Equal(t, tc.gap, string(await(t, db, id, StateCompleted).Output), name)

		again, err := s.Rerun(t.Context(), Rerun{JobID: id})
		require.NoError(t, err)
		require.Equal(t, tc.gap, string(await(t, db, again.ID, StateCompleted).Output), "%s, and run again", name)
	}

	id := mustEnqueue(t, db.Pool, "soft", `1`, `{"soft_timeout": "570s"}`)
	require.Equal(t, "30000", string(await(t, db, id, StateCompleted).Output))
}

// A row that somebody wrote with SQL may say anything.
func TestASoftTimeoutThatMakesNoSenseIsNone(t *testing.T) {
	t.Parallel()

	for _, text := range []string{
		`{"soft_timeout_ms": 60000}`, `{"soft_timeout_ms": -1}`, `{"soft_timeout_ms": 9000000000000000000}`,
		`{"timeout_ms": 5, "soft_timeout_ms": 6}`,
	} {
		run := parseRun(&text)
		_, soft := run.timeouts(&Settings{})
		require.Zero(t, soft, text)
	}
}

func TestASoftTimeoutIsShorterThanTheTimeout(t *testing.T) {
	t.Parallel()

	db, functions := testdb.New(t), newFunctions()
	s := startNode(t, db, functions, insertOnly)

	functions.deploy("plain", softGap)
	functions.deploy("short", softGap, Settings{Timeout: 5 * time.Second})
	nativeConfig(t, db, "plain", `{}`)
	nativeConfig(t, db, "short", `{"timeout_ms": 5000}`)

	for _, tc := range []struct {
		function, options string
		Options
	}{
		{"plain", `{"soft_timeout": "1m"}`, Options{SoftTimeout: time.Minute}},
		{"short", `{"soft_timeout": "5s"}`, Options{SoftTimeout: 5 * time.Second}},
		{"short", `{"soft_timeout": "2s", "timeout": "1s"}`, Options{SoftTimeout: 2 * time.Second, Timeout: time.Second}},
	} {
		_, err := s.Submit(t.Context(), Submission{Function: tc.function, Options: tc.Options})
		require.ErrorContains(t, err, "soft_timeout: must be shorter than the timeout, which is ", tc.options)

		_, err = enqueue(t, db.Pool, tc.function, `1`, tc.options)
		require.ErrorContains(t, err, "soft_timeout must be shorter than the timeout", tc.options)
	}

	// As a schedule is put.
	_, err := s.Prepare(t.Context(), &Submission{Function: "short", Options: Options{SoftTimeout: time.Minute}})
	require.ErrorContains(t, err, "soft_timeout: must be shorter than the timeout, which is 5s")
}
