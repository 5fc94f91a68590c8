package jobs

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/testdb"
)

func TestAnOutcomeThatIsNotRecordedIsNotTold(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	late := claimFresh(t, db, "me")
	exec(t, db, `update millrace.river_job set metadata = '{"callback": {"url": "https://example.com/"}}', attempt = attempt + 1`)
	require.ErrorIs(t, startFinisher(t, db, "me").finish(late, outcomes()["completed"]), errFenced)

	var n int
	require.NoError(t, db.Pool.QueryRow(t.Context(), "select count(*) from millrace.callback_delivery").Scan(&n))
	require.Zero(t, n)
}

// What anybody wrote into the metadata must not keep an outcome from being recorded.
func TestAMalformedWishHoldsUpNothing(t *testing.T) {
	t.Parallel()

	for _, metadata := range []string{
		`{"callback": 5}`, `["callback"]`, `{"callback": "https://example.com"}`, `{"callback": {"url": 7, "events": 3}}`,
		`{"callback": {"url": "x", "events": [1]}}`, `{"callback": null}`, `{"callback": {"url": null}}`,
	} {
		db := testdb.New(t)
		a := claimFresh(t, db, "me")
		exec(t, db, `update millrace.river_job set metadata = $1::text::jsonb`, metadata)
		exec(t, db, `update millrace.river_job set errors = array['"plain"', '{"error": "text"}', '7']::jsonb[]`)
		require.NoErrorf(t, startFinisher(t, db, "me").finish(a, outcomes()["failed"]), metadata)
	}
}

func TestSQLRefusesBadCallbacks(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	exec(t, db, `insert into millrace.native_function (name, config) values ('noop', '{}')`)

	for _, options := range []string{
		`{"callback": "gopher://x/"}`, `{"callback": "https://user@x/"}`, `{"callback": {}}`, `{"callback": {"url": 5}}`, `{"callback": 5}`,
		`{"callback": {"url": "https://x.example/", "events": ["queued"]}}`, `{"callback": {"url": "https://x.example/", "events": "failed"}}`,
		`{"callback": {"url": "https://x.example/", "more": 1}}`, `{"traceparent": "x"}`, `{"callback": ""}`,
	} {
		_, err := db.Pool.Exec(t.Context(), `select millrace.enqueue('noop', '1', $1::text::jsonb)`, options)
		require.ErrorContains(t, err, "22023", options)
	}
}

// An idempotency key tells the same requests apart, whichever way they come.
func TestTheKeyOfACallbackIsTheSameBySQL(t *testing.T) {
	t.Parallel()

	db, functions := testdb.New(t), newFunctions()
	functions.deploy("noop", returns(`1`))
	s := startNode(t, db, functions)
	exec(t, db, `insert into millrace.native_function (name, config) values ('noop', '{}')`)

	first := submit(t, s, "noop", func(sub *Submission) {
		sub.Options.Callback = &Callback{URL: "https://x.example/", Events: []State{StateFailed, StateCompleted}}
		sub.Options.IdempotencyKey, sub.Input = "k", []byte("1")
	})

	var second int64
	require.NoError(t, db.Pool.QueryRow(t.Context(), `select millrace.enqueue('noop', '1',
		'{"idempotency_key": "k", "callback": {"url": "https://x.example/", "events": ["failed", "completed"]}}')`).Scan(&second))
	require.Equal(t, first, second)

	_, err := db.Pool.Exec(t.Context(), `select millrace.enqueue('noop', '1', '{"idempotency_key": "k"}')`)
	require.Error(t, err)
}
