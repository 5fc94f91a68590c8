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

// storedLimits is the row of a function, empty if there is none.
func storedLimits(t *testing.T, db *testdb.DB, name string) (row string) {
	t.Helper()
	require.NoError(t, db.Pool.QueryRow(t.Context(), `select coalesce((select concat_ws(' ', concurrency, concurrency_key,
		rate_limit, rate_period, rate_burst, rate_key) from millrace.function_limit where function = $1), '')`, name).Scan(&row))

	return row
}

func script(name, config string) functions.Source {
	return functions.Source{Name: name, Entry: "f.js", Files: map[string][]byte{
		"f.js": []byte("export const config = " + config + "; export default () => 1;"),
	}}
}

// Limits are part of a version: they go live with it, and back with it.
func TestLimitsGoLiveWithTheirVersion(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	s := start(t, db, setup{noListener: true})
	deploy := func(config string) functions.Deployed {
		result, err := s.Deploy(t.Context(), functions.Deployment{Functions: []functions.Source{script("pay", config)}})
		require.NoError(t, err)

		return result.Functions[0]
	}

	first := deploy(`{ concurrency: 2, concurrencyKey: "input.id", rate: { limit: 10, period: "1m", key: "input.to" } }`)
	require.Equal(t, "2 input.id 10 00:01:00 1 input.to", storedLimits(t, db, "pay"))

	settings, err := s.Resolve(t.Context(), "pay")
	require.NoError(t, err)
	require.Equal(t, jobs.Limits{
		Concurrency: 2, ConcurrencyKey: "input.id", Rate: jobs.Rate{Limit: 10, Period: time.Minute, Key: "input.to"},
	}, settings.Limits)

	deploy(`{ concurrency: 3 }`)
	require.Equal(t, "3", storedLimits(t, db, "pay"))
	deploy(`{}`)
	require.Empty(t, storedLimits(t, db, "pay"))

	_, err = s.Rollback(t.Context(), "pay", first.Version)
	require.NoError(t, err)
	require.Equal(t, "2 input.id 10 00:01:00 1 input.to", storedLimits(t, db, "pay"))

	_, err = s.Deploy(t.Context(), functions.Deployment{Remove: []string{"pay"}})
	require.NoError(t, err)
	require.Empty(t, storedLimits(t, db, "pay"))
}

func TestLimitsOfGoFunctionsAreStoredAtStart(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	fn := native.Handle(func(context.Context, json.RawMessage) (int, error) { return 1, nil })
	register := func(limits jobs.Limits) func(*functions.Service) {
		return func(s *functions.Service) {
			require.NoError(t, s.RegisterNative("pay", fn, jobs.Settings{Limits: limits}))
		}
	}

	start(t, db, setup{noListener: true, before: register(jobs.Limits{Concurrency: 4, ConcurrencyKey: "input"})})
	require.Equal(t, "4 input", storedLimits(t, db, "pay"))

	start(t, db, setup{noListener: true, before: register(jobs.Limits{})})
	require.Empty(t, storedLimits(t, db, "pay"), "the program that was started last says")

	s := start(t, db, setup{noListener: true, noStart: true})
	require.ErrorContains(t, s.RegisterNative("bad", fn, jobs.Settings{Limits: jobs.Limits{ConcurrencyKey: "input"}}),
		"needs a concurrency")
}
