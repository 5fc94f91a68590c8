package steps_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/testdb"
	"github.com/millrace-dev/millrace/jobs/steps"
)

func TestMain(m *testing.M) { testdb.Main(m) }

// running puts a job into the table that node "a" runs, for the second time.
func running(t *testing.T, db *testdb.DB) steps.Fence {
	t.Helper()

	fence := steps.Fence{Attempt: 2, Client: "a"}
	require.NoError(t, db.Pool.QueryRow(t.Context(), `insert into millrace.river_job
		(kind, args, queue, max_attempts, state, attempt, attempted_at, attempted_by, scheduled_at, priority)
		values ('f', '{}', 'default', 5, 'running', 2, now(), '{z,a}', now(), 1) returning id`).Scan(&fence.Job))

	return fence
}

func wait(position int) steps.Entry {
	return steps.Entry{Position: position, Kind: steps.KindEvent, Name: "w", State: steps.StateWaiting, Event: "e"}
}

// A transaction that Postgres gives up is done again with the same entries: the event that it sends has its data then, too.
func TestAnEventThatIsSentAgainHasItsData(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store, fence := steps.New(db.Pool), running(t, db)
	entries := []steps.Entry{{
		Position: 1, Kind: steps.KindSend, Name: "s", State: steps.StateDone, Event: "e", Value: json.RawMessage("null"),
		Match: json.RawMessage(`{"n": 7}`),
	}}
	errCut := errors.New("cut")
	send := func(after error) error {
		return store.RecordWith(t.Context(), fence, entries, func(ctx context.Context, tx pgx.Tx) error {
			return errors.Join(steps.SendIn(ctx, tx, &entries[0]), after)
		})
	}
	require.ErrorIs(t, send(errCut), errCut)
	require.NoError(t, send(nil))

	var sent, kept string
	require.NoError(t, db.Pool.QueryRow(t.Context(), "select string_agg(data::text, ' ') from millrace.event").Scan(&sent))
	require.NoError(t, db.Pool.QueryRow(t.Context(), "select coalesce(max(match::text), '') from millrace.job_step").Scan(&kept))
	require.Equal(t, []string{`{"n": 7}`, ""}, []string{sent, kept}, "once, and in the event alone")
}

// An attempt that lost its job ends none of its waits: the one that has it would not hear of the event.
func TestALostAttemptFindsNoEvent(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store, fence := steps.New(db.Pool), running(t, db)
	_, err := store.Send(t.Context(), "e", "", json.RawMessage(`1`))
	require.NoError(t, err)
	require.NoError(t, store.Record(t.Context(), fence, []steps.Entry{wait(1)}))

	for _, lost := range []steps.Fence{{Job: fence.Job, Attempt: 1, Client: "a"}, {Job: fence.Job, Attempt: 2, Client: "z"}} {
		_, err = store.FindEvent(t.Context(), lost, 1, 1)
		require.ErrorIs(t, err, steps.ErrFenced)
	}

	for range 2 { // the answer may be lost
		data, err := store.FindEvent(t.Context(), fence, 1, 4)
		require.NoError(t, err)
		require.Equal(t, "1", string(data))
	}

	entries, err := store.Open(t.Context(), fence, "v")
	require.NoError(t, err)
	require.Equal(t, []int{4, 1}, []int{entries[0].Turn, len(entries)})
}

// An event that comes between the record of a wait and the look for it is found by that: the function hears of it at once.
func TestAnEventBetweenRecordAndLook(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store, fence := steps.New(db.Pool), running(t, db)
	require.NoError(t, store.Record(t.Context(), fence, []steps.Entry{wait(1), wait(2)}))
	data, err := store.FindEvent(t.Context(), fence, 1, 1)
	require.NoError(t, err)
	require.Nil(t, data)

	for _, text := range []string{`"one"`, `"two"`} {
		_, err = store.Send(t.Context(), "e", "", json.RawMessage(text))
		require.NoError(t, err)
	}

	for position, want := range []string{`"one"`, `"two"`} {
		data, err = store.FindEvent(t.Context(), fence, position+1, position+2)
		require.NoError(t, err)
		require.Equal(t, want, string(data))
	}
}
