package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
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

func TestProcessorTimeOfAProcess(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("needs /proc")
	}
	_, _, parent := processorTime(os.Getpid())
	require.Equal(t, os.Getppid(), parent)
	require.Eventually(t, func() bool {
		own, _, _ := processorTime(os.Getpid())
		return own > 0 // the look itself takes some, and so does whatever else runs here
	}, 30*time.Second, time.Microsecond)

	own, children, parent := processorTime(-1)
	require.Zero(t, own+children)
	require.Zero(t, parent)
}

// The peer says what it has done in two lines, with a line from us between them.
func TestTalkToGraphile(t *testing.T) {
	t.Parallel()
	looks := 0
	used := func() processor {
		looks++
		return processor{process: time.Duration(looks) * time.Second, postgres: time.Duration(looks) * 2 * time.Second}
	}
	var told strings.Builder
	d, err := talkToGraphile(bufio.NewScanner(strings.NewReader("{\"filled\": true}\n{\"rate\": 5}\n")), &told, used, 1000)
	require.NoError(t, err)
	require.Equal(t, "\n", told.String())
	require.Equal(t, drained{rate: 5, jobs: 1000, used: processor{time.Second, 2 * time.Second}}, d)
	require.InDelta(t, 1000, d.processMicros(), 0)
	require.InDelta(t, 2000, d.postgresMicros(), 0)

	_, err = talkToGraphile(bufio.NewScanner(strings.NewReader("{\"filled\": true}\n")), &told, used, 1000)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF, "it ended early")
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
