package jobs

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/testdb"
)

func TestRerun(t *testing.T) {
	t.Parallel()

	db, functions := testdb.New(t), newFunctions()
	functions.deploy("f", returns(`"done"`))
	s := startNode(t, db, functions)

	old := submit(t, s, "f", func(sub *Submission) {
		sub.Options = Options{Priority: 4, MaxAttempts: 7, Timeout: 3 * time.Second, Tags: []string{"red"}, Delay: time.Hour}
	})

	again, err := s.Rerun(t.Context(), Rerun{JobID: old})
	require.NoError(t, err)
	require.Equal(t, old, again.RerunOf)
	require.Equal(t, StateQueued, again.State, "times are not taken over")

	done := await(t, db, again.ID, StateCompleted)
	require.Equal(t, old, done.RerunOf)
	require.JSONEq(t, `{"n": 1}`, string(done.Input))
	require.Equal(t, [2]int{4, 7}, [2]int{done.Priority, done.MaxAttempts})
	require.Equal(t, []string{"red"}, done.Tags)
	require.Zero(t, read(t, db, old).RerunOf)

	third, err := s.Rerun(t.Context(), Rerun{JobID: again.ID, Input: json.RawMessage(`null`), Options: Options{Priority: 1, Tags: []string{}}})
	require.NoError(t, err)

	done = await(t, db, third.ID, StateCompleted)
	require.Equal(t, again.ID, done.RerunOf)
	require.Equal(t, "null", string(done.Input))
	require.Equal(t, 1, done.Priority)
	require.Empty(t, done.Tags)

	_, err = s.Rerun(t.Context(), Rerun{JobID: 999_999})
	require.ErrorIs(t, err, ErrNotFound)

	var wrong *ValidationError

	_, err = s.Rerun(t.Context(), Rerun{JobID: old, Input: json.RawMessage(`"\u0000"`)})
	require.ErrorAs(t, err, &wrong)
}

// What a submission says of the attempts is taken over, and the new submission's word goes before it.
func TestRerunMeta(t *testing.T) {
	t.Parallel()

	for _, tc := range []struct{ metadata, attempts, want string }{
		{`{}`, ``, `{"rerun_of":7}`},
		{`{}`, `"nonsense"`, `{"rerun_of":7}`},
		{`{"a":1}`, `{"timeout_ms":5}`, `{"a":1,"run":{"timeout_ms":5},"rerun_of":7}`},
		{`{"run":{"timeout_ms":9}}`, `{"timeout_ms":5,"event":{}}`, `{"run":{"timeout_ms":9,"event":{}},"rerun_of":7}`},
	} {
		got, err := rerunMeta([]byte(tc.metadata), []byte(tc.attempts), 7)
		require.NoError(t, err)
		require.JSONEq(t, tc.want, string(got))
	}
}
