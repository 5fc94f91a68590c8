package migrations_test

import (
	"context"
	"io/fs"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/postgres"
	"github.com/millrace-dev/millrace/internal/testdb"
	"github.com/millrace-dev/millrace/migrations"
)

func TestMain(m *testing.M) { testdb.Main(m) }

func tables(t *testing.T, pool *pgxpool.Pool) (n int) {
	t.Helper()
	const count = "select count(*) from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace where n.nspname = 'millrace'"
	require.NoError(t, pool.QueryRow(t.Context(), count).Scan(&n))
	return n
}

func TestUpDownUp(t *testing.T) {
	t.Parallel()
	db := testdb.NewEmpty(t)

	before, err := migrations.List(t.Context(), db.Pool)
	require.NoError(t, err)
	for i, s := range before {
		require.Equal(t, i+1, s.Version, "the numbers have a gap")
		require.True(t, s.Pending())
	}

	applied, err := migrations.Up(t.Context(), db.Pool)
	require.NoError(t, err)
	require.Len(t, applied, len(before))
	whole := tables(t, db.Pool)

	again, err := migrations.Up(t.Context(), db.Pool)
	require.NoError(t, err)
	require.Empty(t, again)

	// Each step back and forth leaves what it found.
	for target := range slices.Backward(before) {
		reverted, err := migrations.Down(t.Context(), db.Pool, target)
		require.NoError(t, err)
		require.Len(t, reverted, 1)
	}
	require.Zero(t, tables(t, db.Pool))
	_, err = migrations.Up(t.Context(), db.Pool)
	require.NoError(t, err)
	require.Equal(t, whole, tables(t, db.Pool))
}

func TestInstancesThatStartAtOnceMigrateOnce(t *testing.T) {
	t.Parallel()
	db := testdb.NewEmpty(t)
	var wg sync.WaitGroup
	var mu sync.Mutex
	applied := map[int]int{}
	for range 4 {
		wg.Go(func() {
			done, err := migrations.Up(context.Background(), db.Pool)
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			for _, s := range done {
				applied[s.Version]++
			}
		})
	}
	wg.Wait()
	list, err := migrations.List(t.Context(), db.Pool)
	require.NoError(t, err)
	require.Len(t, applied, len(list))
	for version, times := range applied {
		require.Equal(t, 1, times, "migration %d", version)
	}
}

func TestAPoolOfOneIsRefused(t *testing.T) {
	t.Parallel()
	pool, err := postgres.Open(t.Context(), postgres.Config{URL: testdb.NewEmpty(t).URL, MaxConns: 1})
	require.NoError(t, err)
	defer pool.Close()

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, err = migrations.Up(ctx, pool)
	require.ErrorContains(t, err, "2 are needed")
	require.NoError(t, ctx.Err(), "it does not wait for a second one")
}

func TestNewerDatabaseIsLeftAlone(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	_, err := db.Pool.Exec(t.Context(), "insert into millrace.migration (version, name) values (9999, 'from_the_future')")
	require.NoError(t, err)
	done, err := migrations.Up(t.Context(), db.Pool)
	require.NoError(t, err)
	require.Empty(t, done)
}

func TestDownRefusesAnUnknownVersion(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	for _, target := range []int{-1, 9999} {
		_, err := migrations.Down(t.Context(), db.Pool, target)
		require.ErrorIs(t, err, migrations.ErrUnknownVersion)
	}
}

func TestEveryFileIsPaired(t *testing.T) {
	t.Parallel()
	ups, err := fs.Glob(os.DirFS("."), "*.up.sql")
	require.NoError(t, err)
	downs, err := fs.Glob(os.DirFS("."), "*.down.sql")
	require.NoError(t, err)
	require.NotEmpty(t, ups)
	require.Len(t, downs, len(ups))
}
