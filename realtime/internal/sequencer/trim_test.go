package sequencer

import (
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/testdb"
)

// A snapshot that is held keeps what was deleted in the table. It is met once and not in each batch.
func TestTrimUnderAHeldSnapshot(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	n := stranger(t, db)
	n.cfg.Keep = func(string) (int, time.Duration) { return 10, time.Hour }
	const channels, each = trimChannels + 1, 3 * trimRows / trimChannels
	sql(t, db, fmt.Sprintf(`
		insert into millrace.message (channel, pos, epoch, data, created_at)
		select 'c' || c, pos, 'e', '1', now() - interval '1 minute'
		from generate_series(1, %d) pos, generate_series(1, %d) c order by pos, c`, each, channels))
	held, err := db.Pool.BeginTx(t.Context(), pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
	require.NoError(t, err)
	defer func() { _ = held.Rollback(t.Context()) }()
	var rows int
	require.NoError(t, held.QueryRow(t.Context(), "select count(*) from millrace.message").Scan(&rows))
	require.Equal(t, channels*each, rows)

	tops := map[string]uint64{}
	for c := range channels {
		tops[fmt.Sprintf("c%d", c+1)] = each
	}
	clean := newCleared()
	require.NoError(t, n.trim(t.Context(), tops, clean))
	require.Equal(t, channels*10, value[int](t, db, "select count(*) from millrace.message"))
	require.Equal(t, each-9, value[int](t, db, "select min(pos) from millrace.message"))
	require.Len(t, clean.upTo, channels)
	for channel, upTo := range clean.upTo {
		require.EqualValues(t, each-10, upTo, channel)
	}

	blocks := func(from int64) int {
		var plan []struct {
			Plan struct {
				Hit  int `json:"Shared Hit Blocks"`
				Read int `json:"Shared Read Blocks"`
			}
		}
		require.NoError(t, db.Pool.QueryRow(t.Context(), "explain (analyze, buffers, format json) "+sqlTrim,
			[]string{"c1"}, []int64{each - 10}, []int64{3600}, []int64{from}, []int64{each}, trimRows).Scan(&plan))
		return plan[0].Plan.Hit + plan[0].Plan.Read
	}
	require.Less(t, 5*blocks(each-10), blocks(0), "the walk starts above what is deleted")

	tops["c1"] += 10
	sql(t, db, `insert into millrace.message (channel, pos, epoch, data, created_at)
		select 'c1', pos, 'e', '1', now() - interval '1 minute' from generate_series($1::int, $2::int) pos`, each+1, each+10)
	require.NoError(t, n.trim(t.Context(), tops, clean))
	require.Equal(t, each+1, value[int](t, db, "select min(pos) from millrace.message where channel = 'c1'"))
	sql(t, db, "delete from millrace.message where channel = 'c1'")
	require.NoError(t, n.trim(t.Context(), tops, clean))
	require.EqualValues(t, each+10, clean.upTo["c1"], "nothing is left up to the top")

	clean.since = time.Now().Add(-2 * clearFor)
	require.NoError(t, n.trim(t.Context(), nil, clean))
	require.Empty(t, clean.upTo)
}
