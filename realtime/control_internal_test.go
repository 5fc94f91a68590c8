package realtime

import (
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/postgres"
	"github.com/millrace-dev/millrace/internal/testdb"
)

// startControl starts one hub's control, which counts how often each command is carried out.
func startControl(t *testing.T, db *testdb.DB) (c *control, carried func() map[string]int) {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	listener := postgres.NewListener(postgres.ListenerConfig{URL: db.URL, Logger: quiet})
	c = newControl(db.Pool, listener, quiet)
	var mu sync.Mutex
	counts := map[string]int{}
	c.handlers["test"] = func(cmd command) {
		mu.Lock()
		defer mu.Unlock()
		var name string
		_ = json.Unmarshal(cmd.payload, &name)
		counts[name]++
	}
	require.NoError(t, listener.Start(t.Context()))
	require.NoError(t, c.Start(t.Context()))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), brokerPatience)
		defer cancel()
		require.NoError(t, c.Stop(ctx))
		require.NoError(t, listener.Stop(ctx))
	})
	return c, func() map[string]int {
		mu.Lock()
		defer mu.Unlock()
		return maps.Clone(counts)
	}
}

// Each command is carried out once by each hub, whenever its transaction commits: also one that began before many
// others and commits after them.
func TestControlCarriesOutOnce(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	one, carriedOne := startControl(t, db)
	_, carriedTwo := startControl(t, db)
	want := map[string]int{}

	slow, err := db.Pool.Begin(t.Context())
	require.NoError(t, err)
	_, err = sendControl(t.Context(), slow, "test", "slow", time.Hour)
	require.NoError(t, err)
	undone, err := db.Pool.Begin(t.Context())
	require.NoError(t, err)
	_, err = sendControl(t.Context(), undone, "test", "undone", time.Hour)
	require.NoError(t, err)

	const count = 100
	var wg sync.WaitGroup
	for i := range count {
		name := strconv.Itoa(i)
		want[name] = 1
		wg.Go(func() {
			_, err := one.send(t.Context(), "test", name, time.Hour)
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, carried := range []func() map[string]int{carriedOne, carriedTwo} {
		require.Eventually(t, func() bool { return len(carried()) == count }, brokerPatience, time.Millisecond)
	}
	require.NoError(t, undone.Rollback(t.Context()))
	require.NoError(t, slow.Commit(t.Context()))
	want["slow"] = 1
	for _, carried := range []func() map[string]int{carriedOne, carriedTwo} {
		require.Eventually(t, func() bool { return len(carried()) == len(want) }, brokerPatience, time.Millisecond)
		require.Equal(t, want, carried())
	}
	// A hub that starts now has no connection that they could mean.
	_, carriedThree := startControl(t, db)
	_, err = one.send(t.Context(), "test", "last", time.Hour)
	require.NoError(t, err)
	require.Eventually(t, func() bool { return len(carriedThree()) > 0 }, brokerPatience, time.Millisecond)
	require.Equal(t, map[string]int{"last": 1}, carriedThree())
}

// After a failover the database's transactions may have gone back: the last commands are looked at again, those that
// were carried out are not again.
func TestControlAfterTransactionsWentBack(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	quiet := slog.New(slog.DiscardHandler)
	c := newControl(db.Pool, postgres.NewListener(postgres.ListenerConfig{URL: db.URL, Logger: quiet}), quiet)
	var carried []string
	c.handlers["test"] = func(cmd command) { carried = append(carried, string(cmd.payload)) }
	require.NoError(t, c.pull(t.Context(), true))
	send := func(name string) {
		_, err := sendControl(t.Context(), db.Pool, "test", name, time.Hour)
		require.NoError(t, err)
	}
	send("before")
	require.NoError(t, c.pull(t.Context(), false))
	c.floor += 1_000_000 // as that of a server that was ahead
	send("after")
	require.NoError(t, c.pull(t.Context(), false))
	require.NoError(t, c.pull(t.Context(), false))
	require.Equal(t, []string{`"before"`, `"after"`}, carried)
}

// What was seen is forgotten once no read can show it again.
func TestControlForgetsWhatItSaw(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	quiet := slog.New(slog.DiscardHandler)
	c := newControl(db.Pool, postgres.NewListener(postgres.ListenerConfig{URL: db.URL, Logger: quiet}), quiet)
	for range 10 {
		_, err := sendControl(t.Context(), db.Pool, "test", "x", time.Hour)
		require.NoError(t, err)
	}
	require.NoError(t, c.pull(t.Context(), true))
	require.Len(t, c.seen, 10)
	for id, s := range c.seen {
		s.at = s.at.Add(-time.Hour)
		c.seen[id] = s
	}
	require.Eventually(t, func() bool { // transactions in the other tests' databases count as well
		require.NoError(t, c.pull(t.Context(), false))
		return len(c.seen) == 0
	}, brokerPatience, 10*time.Millisecond)
}
