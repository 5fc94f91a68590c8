package main

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/postgres"
	"github.com/millrace-dev/millrace/internal/testdb"
)

func TestMain(m *testing.M) { testdb.Main(m) }

func TestStampsFindsEveryMessageOfAFrame(t *testing.T) {
	t.Parallel()
	now := time.Now()
	frame := fmt.Appendf(nil, `{"push":{"pub":{"data":{"t":%d,"pad":"x"},"offset":1}}}`+"\n"+`{"message": {"t": %d, "pad": "x"}}`,
		now.Add(-time.Second).UnixNano(), now.Add(-3*time.Second).UnixNano())
	var ages []float64
	stamps(frame, func(ms float64) { ages = append(ages, ms) })
	require.Len(t, ages, 2)
	require.GreaterOrEqual(t, ages[0], 1000.0)
	require.InDelta(t, 2000, ages[1]-ages[0], 1)

	stamps([]byte(`{"id":2,"subscribe":{"recoverable":true}}`), func(float64) { t.Error("there is no message in it") })
}

func TestInOrderWantsEveryOffsetOnce(t *testing.T) {
	t.Parallel()
	push := func(offset int) string {
		return fmt.Sprintf(`{"push":{"channel":"a","pub":{"data":{"t":1},"offset":%d}}}`, offset)
	}
	var order inOrder
	require.NoError(t, order.check([]byte(push(1)+"\n"+push(2))))
	require.NoError(t, order.check([]byte("{}")), "a ping")
	require.NoError(t, order.check([]byte(push(3))))
	require.ErrorContains(t, order.check([]byte(push(3))), "offset 3 came where 4 was due")
	require.ErrorContains(t, order.check([]byte(push(5))), "offset 5 came where 4 was due")
}

func TestFiguresOfASample(t *testing.T) {
	t.Parallel()
	require.Zero(t, median(nil))
	require.InDelta(t, 3, median([]float64{9, 1, 3}), 0)
	hundred := make([]float64, 101)
	for i := range hundred {
		hundred[i] = float64(100 - i)
	}
	require.InDelta(t, 99, percentile(hundred, 99), 0)
	require.InDelta(t, 100, percentile(hundred, 100), 0)
}

// The yardstick must do what it is compared in: two instances number the same
// channels without a hole, and each hears everything in order.
func TestDirectNumbersWithoutHoles(t *testing.T) {
	t.Parallel()
	const publishes, channels = 400, 4
	db := testdb.New(t)
	conn, err := postgres.Connect(t.Context(), db.URL, "test")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close(context.Background())) })
	_, err = conn.Exec(t.Context(), directSchema)
	require.NoError(t, err)

	var mu sync.Mutex
	heard := map[int]int{}
	var instances []*direct
	for n := range 2 {
		d, err := newDirect(t.Context(), db.URL, "room-0", func([]byte) {
			mu.Lock()
			defer mu.Unlock()
			heard[n]++
		})
		require.NoError(t, err)
		instances = append(instances, d)
	}
	var wg sync.WaitGroup
	for i := range publishes {
		wg.Go(func() {
			err := instances[i%2].publish(t.Context(), fmt.Sprintf("room-%d", i/2%channels), message())
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	require.Eventually(t, func() bool {
		mu.Lock()
		defer mu.Unlock()
		return heard[0] == publishes/channels && heard[1] == publishes/channels
	}, 30*time.Second, 10*time.Millisecond)
	for _, d := range instances {
		require.NoError(t, d.stop(context.Background()))
	}

	rows, err := conn.Query(t.Context(), "select array[count(*), min(pos), max(pos)] from bench.direct_message group by channel")
	require.NoError(t, err)
	found, err := pgx.CollectRows(rows, pgx.RowTo[[]int64])
	require.NoError(t, err)
	want := []int64{publishes / channels, 1, publishes / channels}
	require.Equal(t, [][]int64{want, want, want, want}, found)
}
