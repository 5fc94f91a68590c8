package jobs

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/testdb"
)

func TestSQLTakesCallbacksAndTraces(t *testing.T) {
	t.Parallel()

	db, functions, hook := testdb.New(t), newFunctions(), newReceiver(t)
	functions.deploy("noop", returns(`1`))
	startNode(t, db, functions, inside)
	exec(t, db, `insert into millrace.native_function (name, config) values ('noop', '{}')`)

	var (
		id   int64
		kept string
	)

	require.NoError(t, db.Pool.QueryRow(t.Context(), `select millrace.enqueue('noop', '1',
		jsonb_build_object('callback', $1::text, 'traceparent', $2::text))`, hook.url, someTrace).Scan(&id))
	_, body := hook.next(t)
	require.Equal(t, "job.completed", body["type"])
	require.NoError(t, db.Pool.QueryRow(t.Context(), `select metadata #>> '{run,trace}' from millrace.river_job where id = $1`, id).Scan(&kept))
	require.Equal(t, someTrace, kept)

	// By the function's own settings.
	exec(t, db, `update millrace.native_function set config = jsonb_build_object('callback', jsonb_build_object('url', $1::text))`, hook.url)
	exec(t, db, `select millrace.enqueue('noop', '1')`)
	hook.next(t)
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
	s := startNode(t, db, functions, inside)
	exec(t, db, `insert into millrace.native_function (name, config) values ('noop', '{}')`)

	first := submit(t, s, "noop", toURL("https://x.example/", StateFailed, StateCompleted), func(sub *Submission) {
		sub.Options.IdempotencyKey, sub.Input = "k", []byte("1")
	})

	var second int64
	require.NoError(t, db.Pool.QueryRow(t.Context(), `select millrace.enqueue('noop', '1',
		'{"idempotency_key": "k", "callback": {"url": "https://x.example/", "events": ["failed", "completed"]}}')`).Scan(&second))
	require.Equal(t, first, second)

	_, err := db.Pool.Exec(t.Context(), `select millrace.enqueue('noop', '1', '{"idempotency_key": "k"}')`)
	require.Error(t, err)
}
