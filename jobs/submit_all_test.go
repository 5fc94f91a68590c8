package jobs

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/testdb"
)

func TestSubmitAllIsAllOrNothing(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	s := startInserter(t, db)

	results, err := s.SubmitAll(t.Context(), repeat(Submission{Function: "f"}, 2_500))
	require.NoError(t, err)
	require.Len(t, results, 2_500)
	require.Greater(t, results[2_499].Job.ID, results[0].Job.ID)

	jobs, transactions := countJobs(t, db)
	require.Equal(t, []int{2_500, 1}, []int{jobs, transactions})

	throttled := Options{Throttle: &Throttle{Limit: 1, Period: MaxRulePeriod}}
	full := repeat(Submission{Function: "f", Options: throttled}, 12) // the last ones are more than ten years ahead

	keyed := Submission{Function: "f", Options: Options{IdempotencyKey: "k", Unique: &Unique{}, Delay: time.Hour}}
	other := keyed
	other.Input = json.RawMessage(`1`)

	for name, tc := range map[string]struct {
		subs  []Submission
		wrong int
		err   error
	}{
		"unknown":   {[]Submission{{Function: "f"}, {Function: "gone"}}, 1, ErrUnknownFunction},
		"throttled": {full, 11, ErrThrottled},
		"mismatch":  {[]Submission{keyed, {Function: "f"}, other}, 2, ErrIdempotencyMismatch},
	} {
		results, err := s.SubmitAll(t.Context(), tc.subs)
		require.ErrorIs(t, err, ErrNotAlone, name)
		require.ErrorIs(t, results[tc.wrong].Err, tc.err, name)
		require.ErrorIs(t, results[0].Err, ErrNotAlone, name)
		require.Zero(t, results[0].Job.ID, name)
	}

	jobs, _ = countJobs(t, db)
	require.Equal(t, 2_500, jobs)

	_, err = s.SubmitAll(t.Context(), make([]Submission, MaxAtomic+1))
	require.ErrorContains(t, err, "at most 10000")

	results, err = s.SubmitAll(t.Context(), []Submission{keyed, keyed})
	require.NoError(t, err)
	require.Equal(t, results[0].Job.ID, results[1].Job.ID)
	require.True(t, results[1].Job.Replayed)
}
