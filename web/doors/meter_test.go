package doors

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A meter lets a second's worth through at once, whatever was saved up, and nothing after it was too much.
func TestMeterKeepsItsRate(t *testing.T) {
	t.Parallel()
	const rate = 10_000 // takes far less than a second to take
	for name, quiet := range map[string]time.Duration{"new": 0, "after a quiet hour": time.Hour} {
		m := newMeter(rate)
		m.began = m.began.Add(-quiet)
		taken := 0
		begin := time.Now()
		for m.take() {
			taken++
		}
		require.GreaterOrEqual(t, taken, rate-1, name)
		require.LessOrEqual(t, taken, rate+int(time.Since(begin).Seconds()*rate)+1, name)
		m.began = m.began.Add(-time.Hour)
		require.False(t, m.take(), "once over, over")
	}
}
