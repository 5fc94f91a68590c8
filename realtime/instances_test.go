package realtime_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/testdb"
	"github.com/millrace-dev/millrace/realtime"
)

// Whoever is connected to one instance hears what is published at another, in order and without a hole, also when
// every listening connection is killed on the way.
func TestInstancesShareChannels(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	here, there := startHubOn(t, db, "here", realtime.Config{}), startHubOn(t, db, "there", realtime.Config{})
	p := connected(t, there, grants("ann"))
	require.NotNil(t, p.ask("subscribe", `{"channel":"a"}`).at("subscribe"))
	stream := openStream(t, there, named("a"))
	read(t, stream, 1)

	const total = 100
	for n := 1; n <= total; n++ {
		require.Equal(t, uint64(n), publish(t, here, "a", fmt.Sprint(n)).Offset)
		if n == total/2 {
			killed, err := db.Pool.Exec(t.Context(), `select pg_terminate_backend(pid) from pg_stat_activity
				where datname = current_database() and application_name like '%listen%'`)
			require.NoError(t, err)
			require.Equal(t, int64(2), killed.RowsAffected())
		}
	}
	for n := 1; n <= total; n++ {
		offset, data := p.publication()
		require.InEpsilon(t, n, offset, 0)
		require.InEpsilon(t, n, data, 0)
	}
	for n, event := range read(t, stream, total) {
		require.Equal(t, uint64(n)+1, event.Position.Offset)
	}
}

// After a failover to a server that lost its last commits, offsets are given out twice. Whoever saw the lost ones
// is told that its place is gone, and sees the new ones.
func TestLostCommitsAreToldToSubscribers(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	hub := startHubOn(t, db, "one", realtime.Config{})
	stream := openStream(t, hub, named("a"))
	for range 5 {
		publish(t, hub, "a", `"old"`)
	}
	read(t, stream, 6)
	for _, sql := range []string{
		"delete from millrace.message where pos > 3",
		"update millrace.channel set top = 3",
		"select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and application_name like 'millrace%'",
	} {
		_, err := db.Pool.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	gone := read(t, stream, 1)[0]
	require.Equal(t, realtime.EventUnrecoverable, gone.Kind)
	require.Equal(t, uint64(3), gone.Position.Offset)
	require.Equal(t, uint64(4), publish(t, hub, "a", `"new"`).Offset)
	require.Equal(t, []byte(`"new"`), read(t, stream, 1)[0].Data)
}
