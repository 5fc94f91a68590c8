package functions_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/functions"
	"github.com/millrace-dev/millrace/functions/runtimes/native"
	"github.com/millrace-dev/millrace/internal/testdb"
	"github.com/millrace-dev/millrace/jobs"
)

// enqueuedBySQL is what millrace.enqueue makes of a function's settings.
func enqueuedBySQL(t *testing.T, db *testdb.DB, name string) (row string, err error) {
	t.Helper()

	var id int64
	if err := db.Pool.QueryRow(t.Context(), `select millrace.enqueue($1, '{"to": 7}')`, name).Scan(&id); err != nil {
		return "", err
	}

	require.NoError(t, db.Pool.QueryRow(t.Context(), `select concat_ws(' ', queue, priority, max_attempts, metadata)
		from millrace.river_job where id = $1`, id).Scan(&row))

	return row, nil
}

// SQL knows functions as they are live, and those of the program from Start on.
func TestFunctionsAreKnownToSQL(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	fn := native.Handle(func(context.Context, json.RawMessage) (int, error) { return 1, nil })
	s := start(t, db, setup{noListener: true, before: func(s *functions.Service) {
		require.NoError(t, s.RegisterNative("pay", fn, jobs.Settings{
			Queue: "money", Priority: 1, MaxAttempts: 3, Timeout: time.Hour,
			Limits: jobs.Limits{Rate: jobs.Rate{Limit: 1, Period: time.Second, Key: "input.to"}},
		}))
	}})

	row, err := enqueuedBySQL(t, db, "pay")
	require.NoError(t, err)
	require.Equal(t, `money 1 3 {"lane": "\u001f7"}`, row)

	_, err = enqueuedBySQL(t, db, "send")
	require.ErrorContains(t, err, `unknown function 'send'`)

	deploy := func(change functions.Deployment) {
		_, err := s.Deploy(t.Context(), change)
		require.NoError(t, err)
	}
	deploy(functions.Deployment{Functions: []functions.Source{
		script("send", `{ queue: "mail", priority: 4, maxAttempts: 2, concurrency: 1, concurrencyKey: "input.to" }`),
	}})

	row, err = enqueuedBySQL(t, db, "send")
	require.NoError(t, err)
	require.Equal(t, `mail 4 2 {"lane": "7\u001f"}`, row)

	deploy(functions.Deployment{Functions: []functions.Source{script("send", `{}`)}})

	row, err = enqueuedBySQL(t, db, "send")
	require.NoError(t, err)
	require.Equal(t, `default 2 5 {}`, row)

	deploy(functions.Deployment{Remove: []string{"send"}})

	_, err = enqueuedBySQL(t, db, "send")
	require.ErrorContains(t, err, `unknown function 'send'`)
}

// A function that was part of a program and is deployed now has the settings of the deploy.
func TestADeployReplacesAFunctionOfAProgram(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	_, err := db.Pool.Exec(t.Context(), `insert into millrace.native_function (name, config) values ('pay', '{"queue": "old"}')`)
	require.NoError(t, err)

	s := start(t, db, setup{noListener: true})
	_, err = s.Deploy(t.Context(), functions.Deployment{Functions: []functions.Source{script("pay", `{ queue: "new" }`)}})
	require.NoError(t, err)

	row, err := enqueuedBySQL(t, db, "pay")
	require.NoError(t, err)
	require.Equal(t, `new 2 5 {}`, row)
}
