package jobs

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/testdb"
)

// steer calls millrace.cancel or millrace.retry.
func steer(t testing.TB, db rowQuerier, call string, id int64) (state string, err error) {
	t.Helper()
	err = db.QueryRow(t.Context(), `select millrace.`+call+`($1)`, id).Scan(&state)

	return state, err
}

func TestSQLCancelsARunningJobWhereverItRuns(t *testing.T) {
	t.Parallel()

	db, functions := testdb.New(t), newFunctions()
	started := make(chan struct{}, 10)
	functions.deploy("slow", blocksUntilCancelled(started))
	nativeConfig(t, db, "slow", `{}`)
	startUnswept(t, db, functions)

	within(t, time.Second, func() time.Duration {
		id := mustEnqueue(t, db.Pool, "slow", `1`, `{}`)
		<-started

		var asked time.Time

		require.NoError(t, pgx.BeginFunc(t.Context(), db.Pool, func(tx pgx.Tx) error {
			state, err := steer(t, tx, "cancel", id)
			require.NoError(t, err)
			require.Equal(t, "running", state)

			// Whoever records outcomes does not wait for this transaction.
			_, err = db.Pool.Exec(t.Context(), `select from millrace.river_job where id = $1 for update nowait`, id)
			require.NoError(t, err)

			asked = time.Now()

			return nil
		}))

		job := await(t, db, id, StateCancelled)
		require.Equal(t, CodeCancelled, job.Error.Code)

		return time.Since(asked)
	})

	var left int
	require.NoError(t, db.Pool.QueryRow(t.Context(), `select count(*) from millrace.cancel_request`).Scan(&left))
	require.Zero(t, left)
}

func TestSQLCancelsNothingThatIsRolledBack(t *testing.T) {
	t.Parallel()

	db, functions := testdb.New(t), newFunctions()
	started := make(chan struct{}, 1)
	functions.deploy("slow", blocksUntilCancelled(started))
	nativeConfig(t, db, "slow", `{}`)
	startUnswept(t, db, functions)

	waiting := mustEnqueue(t, db.Pool, "slow", `1`, `{"delay": "1h"}`)
	running := mustEnqueue(t, db.Pool, "slow", `1`, `{}`)
	<-started

	tx, err := db.Pool.Begin(t.Context())
	require.NoError(t, err)

	for id, want := range map[int64]string{waiting: "cancelled", running: "running"} {
		state, err := steer(t, tx, "cancel", id)
		require.NoError(t, err)
		require.Equal(t, want, state)
	}

	require.NoError(t, tx.Rollback(t.Context()))
	require.Equal(t, StateScheduled, read(t, db, waiting).State)

	var marked bool
	require.NoError(t, db.Pool.QueryRow(t.Context(),
		`select metadata ? 'cancel_attempted_at' from millrace.river_job where id = $1`, running).Scan(&marked))
	require.False(t, marked)

	_, err = steer(t, db.Pool, "cancel", running)
	require.NoError(t, err)
	await(t, db, running, StateCancelled)
}

func TestSQLRetriesAtOnce(t *testing.T) {
	t.Parallel()

	db, functions := testdb.New(t), newFunctions()
	functions.deploy("f", returns(`1`))
	nativeConfig(t, db, "f", `{}`)
	startHearing(t, db, functions, nil)

	id := mustEnqueue(t, db.Pool, "f", `1`, `{"delay": "1h", "max_attempts": 1}`)
	state, err := steer(t, db.Pool, "cancel", id)
	require.NoError(t, err)
	require.Equal(t, "cancelled", state)

	state, err = steer(t, db.Pool, "retry", id)
	require.NoError(t, err)
	require.Equal(t, "queued", state)
	require.Equal(t, 1, await(t, db, id, StateCompleted).Attempt)

	// What failed for good gets one more attempt.
	setState(t, db, id, "discarded")

	_, err = steer(t, db.Pool, "retry", id)
	require.NoError(t, err)
	require.Equal(t, 2, await(t, db, id, StateCompleted).MaxAttempts)
}

func TestSQLRefusesWhatTheStateDoesNotAllow(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	nativeConfig(t, db, "f", `{}`)

	for _, call := range []string{"cancel", "retry"} {
		_, err := steer(t, db.Pool, call, 1<<40)
		require.Equal(t, "millrace."+call+": there is no job 1099511627776", sqlState(t, err, "P0002").Message)

		var state *string
		sqlState(t, db.Pool.QueryRow(t.Context(), `select millrace.`+call+`(null)`).Scan(&state), "P0002")
	}

	id := mustEnqueue(t, db.Pool, "f", `1`, `{}`)

	for _, tc := range []struct{ call, stored, message string }{
		{"retry", "available", "queued"},
		{"retry", "running", "running"},
		{"retry", "completed", "completed"},
		{"cancel", "completed", "completed"},
		{"cancel", "discarded", "failed"},
		{"cancel", "cancelled", "cancelled"},
	} {
		setState(t, db, id, tc.stored)

		_, err := steer(t, db.Pool, tc.call, id)
		pgErr := sqlState(t, err, "55000")
		require.Regexp(t, `is `+tc.message+`$`, pgErr.Message)
		require.NotEmpty(t, pgErr.Hint)
	}
}
