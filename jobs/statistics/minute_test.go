package statistics

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/testdb"
	"github.com/millrace-dev/millrace/jobs"
	"github.com/millrace-dev/millrace/jobs/internal/jobtest"
)

func TestQuantilesAreWithinTheirBound(t *testing.T) {
	t.Parallel()

	var h histogram

	for ms := 1; ms <= 1_000; ms++ {
		h.add(time.Duration(ms) * time.Millisecond)
	}

	h.add(unknownTime)

	var q quantiles

	require.Zero(t, q.at(.5))

	var pairs []int32
	for bucket, n := range h {
		if n > 0 {
			pairs = append(pairs, int32(bucket), int32(n))
		}
	}

	q.addPacked(pairs)
	q.addPacked(pairs) // of another node: changes no quantile
	q.addPacked([]int32{-1, 5, histogramBuckets, 5, 7})

	require.InEpsilon(t, 500, q.at(.5).Milliseconds(), .1)
	require.InEpsilon(t, 950, q.at(.95).Milliseconds(), .1)

	for d := histogramLeast; d < 90*time.Hour; d += d/7 + 1 {
		require.InEpsilon(t, float64(d), float64(bucketValue(bucketOf(d))), .0906, d.String())
	}

	require.Equal(t, histogramBuckets-1, bucketOf(1<<62))
	require.Equal(t, 0, bucketOf(0))
}

func testTally(t *testing.T, db *testdb.DB) *Service {
	t.Helper()

	s, err := New(Config{Pool: db.Pool, NodeID: "here"})
	require.NoError(t, err)

	return s
}

// end is an attempt of f that came to this.
func end(state jobs.State) *jobs.AttemptEnd {
	return &jobs.AttemptEnd{JobID: 1, Function: "f", State: state, Waited: time.Second, Took: time.Second}
}

func numbersOf(t *testing.T, s *Service, query Query) map[string]Function {
	t.Helper()

	report, err := s.Functions(t.Context(), query)
	require.NoError(t, err)

	found := make(map[string]Function)
	for _, f := range report.Functions {
		found[f.Function] = f
	}

	return found
}

func TestMinutesAreWrittenAgainWithoutCountingTwice(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	tally := testTally(t, db)

	for n := 1; n <= 3; n++ {
		tally.AttemptEnded(end(jobs.StateCompleted))
		require.NoError(t, tally.flush(t.Context()))
		require.NoError(t, tally.flush(t.Context()), "nothing is left")

		got := numbersOf(t, tally, Query{})["f"]
		require.Equal(t, int64(n), got.Completed)
	}

	clean, _ := tally.minutes.snapshot(10)
	require.Empty(t, clean)

	// What changes while it is written is written again.
	tally.AttemptEnded(end(jobs.StateCompleted))
	copies, from := tally.minutes.snapshot(10)
	tally.AttemptEnded(end(jobs.StateCancelled))
	tally.minutes.stored(copies, from, time.Now())

	copies, _ = tally.minutes.snapshot(10)
	require.NotEmpty(t, copies)

	tally.AttemptEnded(end(jobs.StateQueued))
	tally.AttemptEnded(&jobs.AttemptEnd{JobID: 9, Function: "f", State: jobs.StateRetrying, Lost: true, Failure: &jobs.Failure{Code: "NodeLost"}})
	require.NoError(t, tally.flush(t.Context()))

	got := numbersOf(t, tally, Query{})["f"]
	require.Equal(t, [4]int64{6, 4, 1, 1}, [4]int64{got.Attempts, got.Completed, got.Failed, got.Cancelled})
	require.InEpsilon(t, 1000, got.Run.P50, .1)
}

func TestATallyIsBounded(t *testing.T) {
	t.Parallel()

	m := newMinutes()
	now := time.Unix(1_700_000_000, 0)

	for i := range minuteFunctions + 100 {
		m.add(now, fmt.Sprint("f", i), jobs.StateCompleted, 0, 0)
	}

	require.Len(t, m.functions, minuteFunctions+1)
	require.EqualValues(t, 100, m.functions[OtherFunctions].minute.completed)

	for i := range minutesKept {
		m.add(now.Add(time.Duration(i)*time.Minute), "f1", jobs.StateCompleted, 0, 0)
	}

	require.LessOrEqual(t, len(m.past), minutesKept)

	// Stored and old: forgotten.
	for {
		copies, from := m.snapshot(writeBatch)
		if len(copies) == 0 {
			break
		}

		m.stored(copies, from, now.Add(minutesKept*time.Minute+2*time.Hour))
	}

	require.Empty(t, m.past)
	require.Empty(t, m.functions)

	f := newFailures()
	for i := range failurePending + failureGroups + 100 {
		f.add(failed{function: "f", job: int64(i), failure: &jobs.Failure{Code: jobs.CodeException, Message: letters(i)}, at: now})
	}

	groups := f.take()
	require.Len(t, groups, failureGroups+1)

	var total int64
	for _, g := range groups {
		total += g.count
	}

	require.EqualValues(t, failurePending+failureGroups+100, total, "none is lost")
}

// letters writes a number without digits.
func letters(n int) string {
	text := "m"
	for ; n > 0; n /= 10 {
		text += string(rune('a' + n%10))
	}

	return text
}

func TestStatisticsAreForgotten(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	s := testTally(t, db)
	jobtest.Exec(t, db, `insert into millrace.function_stat
		select seconds, now() - age, 'f', 'n' || i, 1, 0, 0, 0, '{}', '{}' from generate_series(1, 6000) i,
		(values (60, interval '23 hours'), (60, interval '25 hours'), (3600, interval '29 days'), (3600, interval '31 days')) v (seconds, age)`)
	jobtest.Exec(t, db, `insert into millrace.failure_group
		select 'g' || i, 'f', 'c', '', '', '', 'open', 1, now(), now() - case when i <= 10 then interval '31 days' else i * interval '1 second' end, null, '{}'
		from generate_series(1, 10100) i`)

	s.forget(t.Context())

	var stats, groups, oldest int

	require.NoError(t, db.Pool.QueryRow(t.Context(), `select count(*) from millrace.function_stat`).Scan(&stats))
	require.Equal(t, 12_000, stats)
	require.NoError(t, db.Pool.QueryRow(t.Context(),
		`select count(*), max(substr(id, 2)::integer) from millrace.failure_group`).Scan(&groups, &oldest))
	require.Equal(t, MaxFailureGroups, groups)
	require.Equal(t, MaxFailureGroups+10, oldest)
}

func TestFunctionStatsRefuseABadQuery(t *testing.T) {
	t.Parallel()

	s := testTally(t, testdb.New(t))
	now := time.Now()

	for _, query := range []Query{
		{From: now.Add(time.Hour)}, {From: now.Add(-time.Hour), To: now.Add(-2 * time.Hour)}, {Step: time.Second}, {Step: 90 * time.Minute},
		{Step: -time.Minute}, {Function: "\x00"}, {From: now.Add(-26 * time.Hour), Step: time.Minute},
	} {
		_, err := s.Functions(t.Context(), query)

		wrong, ok := errors.AsType[*jobs.ValidationError](err)
		require.True(t, ok, "%+v: %v", query, err)
		require.NotEmpty(t, wrong.Fields)
	}
}
