package progress

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestPlainLines(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	b := New(&out, "counting", 3)
	b.Add(1)
	require.Empty(t, out.String(), "not a line for every step")
	b.printed = time.Now().Add(-plainEvery)
	b.Add(1)
	require.Regexp(t, `^counting  2 / 3  \(.*\)\n$`, out.String())
	b.Println("a line of its own")
	b.Set(3, "nearly done")
	b.End()
	b.End()
	b.Add(1)
	require.Regexp(t, `^counting  2 / 3 .*\na line of its own\ncounting  3 / 3  nearly done  \(.*\)\n$`, out.String())
}

func TestPlainLinesFromManyGoroutines(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	b := New(&out, "counting", 1000)
	var wg sync.WaitGroup
	for n := range 10 {
		wg.Go(func() {
			for range 100 {
				b.Add(1)
			}
			b.Println(fmt.Sprint("done ", n))
		})
	}
	wg.Wait()
	b.End()
	require.Equal(t, 11, strings.Count(out.String(), "\n"))
	require.Contains(t, out.String(), "counting  1000 / 1000")
}
