package statistics

import (
	"fmt"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/testdb"
	"github.com/millrace-dev/millrace/jobs"
	"github.com/millrace-dev/millrace/jobs/internal/jobtest"
)

func TestPatternsLeaveOutWhatDiffers(t *testing.T) {
	t.Parallel()

	for message, want := range map[string]string{
		"user 17 is gone": "user # is gone",
		"order 3f2a77c1-9b1e-4c5e-8f00-d2a4c1b0a9ee of \"ada\": no stock": "order # of \"…\": no stock",
		"can't open /var/lib/app/7.txt: no such file":                     "can't open /…: no such file",
		"GET https://api.example.com/v1/users/7?x=1 failed with 503.":     "GET /…?x=# failed with #.",
		"dial tcp 10.0.0.7:5432: connect: connection refused":             "dial tcp #: connect: connection refused",
		"  two\n\t lines ":                          "two lines",
		"it's 'quoted' and `this` too, not 'closed": "it's '…' and `…` too, not 'closed",
		"Größe 12 überschritten":                    "Größe # überschritten",
		"":                                          "",
		"key=abc123, other=9":                       "key=#, other=#",
		"duplicate key value violates unique constraint \"users_email_key\"": "duplicate key value violates unique constraint \"…\"",
	} {
		require.Equal(t, want, patternOf(message), message)
	}

	long := patternOf(strings.Repeat("ß", 5_000))
	require.LessOrEqual(t, len(long), fingerprintMessage)
	require.NotContains(t, long, "�")
}

func TestFramesAreTheFunctionsOwn(t *testing.T) {
	t.Parallel()

	for stack, want := range map[string]string{
		"": "",
		"Error: x\n    at charge (orders/charge.ts:12:7)\n    at <anonymous> (x.js:1)": "at charge (orders/charge.ts)",
		"    at map (native)\n    at total (index.js:3)\n":                             "at total (index.js)",
		"no frames here": "",
	} {
		require.Equal(t, want, frameOf(stack), stack)
	}

	var stack string

	func() {
		defer func() {
			_ = recover()
			stack = string(debug.Stack())
		}()

		var m map[string]int
		m["x"] = 1 //nolint:staticcheck // it shall panic
	}()

	require.Equal(t, "at failure_test.go", frameOf(stack))
}

func TestFailureGroupsAreKept(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	s := testTally(t, db)
	fail := func(function string, job int64, message string) {
		t.Helper()
		s.failures.add(failed{function: function, job: job, failure: &jobs.Failure{Code: jobs.CodeException, Message: message}, at: time.Now()})
		require.NoError(t, s.flush(t.Context()))
	}
	list := func(query FailureQuery) []FailureGroup {
		t.Helper()

		page, err := s.Failures(t.Context(), query)
		require.NoError(t, err)

		return page.Failures
	}

	for job := range int64(12) {
		fail("f", job, fmt.Sprintf("user %d is gone", job))
	}

	fail("g", 50, "user 1 is gone")
	fail("f", 51, "another one")

	groups := list(FailureQuery{})
	require.Len(t, groups, 3)
	require.Equal(t, "another one", groups[0].Message)

	first := groups[2]
	require.Equal(t, int64(12), first.Count)
	require.Equal(t, []string{"11", "10", "9", "8", "7", "6", "5", "4", "3", "2"}, first.Jobs)
	require.Equal(t, "user 11 is gone", first.Message)
	require.Equal(t, FailureOpen, first.State)
	require.True(t, first.LastSeen.After(first.FirstSeen))
	require.Len(t, list(FailureQuery{Function: "g", State: FailureOpen}), 1)

	// Pages.
	page, err := s.Failures(t.Context(), FailureQuery{Limit: 2})
	require.NoError(t, err)
	require.Equal(t, groups[:2], page.Failures)
	page, err = s.Failures(t.Context(), FailureQuery{Limit: 2, Cursor: page.Next})
	require.NoError(t, err)
	require.Equal(t, groups[2:], page.Failures)
	require.Empty(t, page.Next)

	// Resolved is open again when it fails anew, ignored stays.
	for state, want := range map[FailureState]FailureState{FailureResolved: FailureOpen, FailureIgnored: FailureIgnored} {
		set, err := s.SetFailure(t.Context(), first.ID, state)
		require.NoError(t, err)
		require.Equal(t, state, set.State)
		require.Equal(t, []FailureGroup{set}, list(FailureQuery{State: state}))

		late := gathered{id: first.ID, function: "f", count: 1, first: first.FirstSeen, last: first.FirstSeen}
		s.failures.putBack([]*gathered{&late}) // it failed before it was resolved
		require.NoError(t, s.flush(t.Context()))

		got, err := s.Failure(t.Context(), first.ID)
		require.NoError(t, err)
		require.Equal(t, state, got.State)

		require.Eventually(t, func() bool {
			fail("f", 99, "user 99 is gone")

			got, err = s.Failure(t.Context(), first.ID)

			return err == nil && got.State == want
		}, jobtest.Patience, time.Millisecond)
	}

	for _, id := range []string{"nothing", "\x00", ""} {
		_, err = s.Failure(t.Context(), id)
		require.ErrorIs(t, err, jobs.ErrNotFound)
		_, err = s.SetFailure(t.Context(), id, FailureOpen)
		require.ErrorIs(t, err, jobs.ErrNotFound)
	}

	var wrong *jobs.ValidationError

	_, err = s.SetFailure(t.Context(), first.ID, "gone")
	require.ErrorAs(t, err, &wrong)
	_, err = s.Failures(t.Context(), FailureQuery{Limit: 501, State: "x", Function: "\x00", Cursor: "x"})
	require.ErrorAs(t, err, &wrong)
	require.Len(t, wrong.Fields, 4)
}

// What cannot be written is kept, and counted once.
func TestFailuresWaitForPostgres(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	s := testTally(t, db)
	jobtest.Exec(t, db, `alter table millrace.failure_group rename to away`)

	for job := range int64(3) {
		s.AttemptEnded(&jobs.AttemptEnd{JobID: job, Function: "f", State: jobs.StateFailed, Lost: true, Failure: &jobs.Failure{Code: jobs.CodeException, Message: "gone"}})
		require.Error(t, s.flush(t.Context()))
	}

	jobtest.Exec(t, db, `alter table millrace.away rename to failure_group`)
	require.NoError(t, s.flush(t.Context()))

	page, err := s.Failures(t.Context(), FailureQuery{})
	require.NoError(t, err)
	require.Equal(t, int64(3), page.Failures[0].Count)
	require.Equal(t, []string{"2", "1", "0"}, page.Failures[0].Jobs)
	require.Equal(t, int64(3), numbersOf(t, s, Query{})["f"].Dead)
}
