package functions_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/functions"
	"github.com/millrace-dev/millrace/internal/postgres"
	"github.com/millrace-dev/millrace/internal/testdb"
	"github.com/millrace-dev/millrace/jobs"
)

// version is what an instance has in memory, without a look at the database.
func version(t *testing.T, s instance, name string) string {
	t.Helper()
	settings, err := s.Resolve(t.Context(), name)
	require.NoError(t, err)

	return settings.Version
}

func TestDeployedHereRunsThere(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	a, b := start(t, db, setup{}), start(t, db, setup{})

	deploy(t, a, returns("fn", "1"))
	require.Equal(t, "1", mustCall(t, b, "fn", "null"), "a new function is found at once")

	for _, expression := range []string{"2", "3", "4"} {
		d := deploy(t, a, returns("fn", expression))[0]
		require.Eventually(t, func() bool { return version(t, b, "fn") == d.Version }, patience, time.Millisecond)
		require.Equal(t, expression, mustCall(t, b, "fn", "null"))
	}

	_, err := a.Deploy(t.Context(), functions.Deployment{Remove: []string{"fn"}})
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		_, err := b.Resolve(t.Context(), "fn")
		return err != nil
	}, patience, time.Millisecond)
}

func TestPollHealsALostNotification(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	a, b := start(t, db, setup{}), start(t, db, setup{noListener: true})
	deploy(t, a, returns("fn", "1"))
	require.Equal(t, "1", mustCall(t, b, "fn", "null"))
	d := deploy(t, a, returns("fn", "2"))[0]
	require.Eventually(t, func() bool { return version(t, b, "fn") == d.Version }, patience, 5*time.Millisecond)
}

func TestMissIsLookedUp(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	a, deaf := start(t, db, setup{}), start(t, db, setup{noListener: true, noStart: true})

	_, err := deaf.Resolve(t.Context(), "fn")
	require.ErrorIs(t, err, jobs.ErrUnknownFunction)

	d := deploy(t, a, returns("other", "1"))[0]
	require.Equal(t, d.Version, version(t, deaf, "other"), "no notification and no poll: the miss itself looks")

	d = deploy(t, a, returns("fn", "1"))[0]
	require.Eventually(t, func() bool {
		settings, err := deaf.Resolve(t.Context(), "fn")
		return err == nil && settings.Version == d.Version
	}, patience, 10*time.Millisecond, "an unknown name is forgotten soon")
}

func TestMissesDoNotFloodTheDatabase(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	s := start(t, db, setup{noListener: true})
	require.NoError(t, db.Pool.Ping(t.Context()))
	begin, before := time.Now(), db.Pool.Stat().AcquireCount()
	for range 20_000 {
		_, err := s.Resolve(t.Context(), "nobody")
		require.ErrorIs(t, err, jobs.ErrUnknownFunction)
	}
	most := 4 + int64(5*time.Since(begin).Seconds()) // four lookups a second, and the poll
	require.LessOrEqual(t, db.Pool.Stat().AcquireCount()-before, most)
}

func TestRestoredDatabaseIsReadAnew(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	s := start(t, db, setup{})
	deploy(t, s, returns("kept", "1"), returns("lost", "2"))

	_, err := db.Pool.Exec(t.Context(), `with gone as (update millrace.function set live_version = null, revision = 1 where name = 'lost')
		update millrace.function set revision = 1 where name = 'kept'`)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		list, err := s.List(t.Context())
		return err == nil && len(list) == 1 && list[0].Name == "kept"
	}, patience, 10*time.Millisecond)
}

func TestStartNeedsTheDatabase(t *testing.T) {
	t.Parallel()
	db := testdb.NewEmpty(t)
	w := &world{}
	s, err := functions.New(functions.Config{Pool: db.Pool, Publisher: w, Enqueuer: w})
	require.NoError(t, err)
	require.ErrorContains(t, s.Start(t.Context()), "read the functions' revision")
	require.NoError(t, s.Stop(t.Context()))
}

func TestConfigMistakesTogether(t *testing.T) {
	t.Parallel()
	_, err := functions.New(functions.Config{JS: functions.JSConfig{MemoryLimit: 1}})
	require.ErrorContains(t, err, "Pool is required")
	require.ErrorContains(t, err, "Publisher is required")
	require.ErrorContains(t, err, "Enqueuer is required")
	require.ErrorContains(t, err, "MemoryLimit must be")
}

func TestListenerReset(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	listener := postgres.NewListener(postgres.ListenerConfig{URL: db.URL})
	w := &world{}
	s, err := functions.New(functions.Config{Pool: db.Pool, Listener: listener, Publisher: w, Enqueuer: w})
	require.NoError(t, err)
	require.NoError(t, s.Start(t.Context()))
	t.Cleanup(func() { require.NoError(t, s.Stop(context.Background())) })
	require.NoError(t, listener.Start(t.Context()))
	t.Cleanup(func() { require.NoError(t, listener.Stop(context.Background())) })

	other := start(t, db, setup{noListener: true, noStart: true})
	b := instance{s, w}
	deploy(t, other, returns("fn", "1"))
	require.Equal(t, "1", mustCall(t, b, "fn", "null"))

	_, err = db.Pool.Exec(t.Context(), "select pg_terminate_backend($1)", listener.BackendPID())
	require.NoError(t, err)
	d := deploy(t, other, returns("fn", "2"))[0]
	require.Eventually(t, func() bool { return version(t, b, "fn") == d.Version }, patience, time.Millisecond)
}
