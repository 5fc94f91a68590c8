package jobs

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/testdb"
)

// A node without the function, which others have, costs a job no attempt, not even the only one, however often it claims
// it.
func TestAJobWaitsForANodeThatHasItsFunction(t *testing.T) {
	t.Parallel()

	for name, change := range map[string][]func(*Config){"own driver": nil, "stock driver": {stock}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			db, without, with := testdb.New(t), newFunctions(), newFunctions()
			without.deploy("bill", nil, Settings{Elsewhere: true})
			with.deploy("bill", returns(`"billed"`))

			s := startNode(t, db, without, change...)
			id := submit(t, s, "bill", attemptsOf(1))

			require.Eventually(t, func() bool {
				var handed int
				err := db.Pool.QueryRow(t.Context(), handedOnSQL, id).Scan(&handed)

				return err == nil && handed >= 2
			}, patience, 10*time.Millisecond)

			startNode(t, db, with, change...)
			job := await(t, db, id, StateCompleted)

			require.JSONEq(t, `"billed"`, string(job.Output))
			require.Equal(t, 1, job.Attempt)
			require.Nil(t, job.Error)
		})
	}
}

// A cancellation ends a job that nobody here can run.
func TestAJobThatIsHandedOnCanBeCancelled(t *testing.T) {
	t.Parallel()

	db, functions := testdb.New(t), newFunctions()
	functions.deploy("bill", nil, Settings{Elsewhere: true})

	s := startNode(t, db, functions)
	id := submit(t, s, "bill")

	_, err := s.Cancel(t.Context(), id)
	require.NoError(t, err)
	await(t, db, id, StateCancelled)
}

func TestTheWaitForAnotherNodeGrows(t *testing.T) {
	t.Parallel()

	require.Equal(t, handOnMin, handOnDelay(0))
	require.Equal(t, 4*handOnMin, handOnDelay(2))
	require.Equal(t, handOnMax, handOnDelay(100))
}

// Rows that SQL inserted may have anything for a count.
func TestACountThatIsNoneIsZero(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	for meta, want := range map[string]int{
		`{"snoozes": "x"}`: 0, `{"snoozes": 1e300}`: 1000, `{"snoozes": -1e300}`: 1000, `[]`: 0, `{"snoozes": 2}`: 2,
	} {
		var id int64
		require.NoError(t, db.Pool.QueryRow(t.Context(), `insert into millrace.river_job (kind, max_attempts, args, metadata)
			values ('f', 1, '{}', $1) returning id`, meta).Scan(&id))

		var handed int
		require.NoError(t, db.Pool.QueryRow(t.Context(), handedOnSQL, id).Scan(&handed))
		require.Equal(t, want, handed, meta)
	}
}
