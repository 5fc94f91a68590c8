package doors

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// In any second a meter lets through no more than two seconds' worth, and over a long time no more than the rate.
func TestMeterKeepsItsRate(t *testing.T) {
	t.Parallel()
	const rate = 1_000_000 // a second's worth cannot be taken by accident
	m := newMeter(rate)
	require.True(t, m.take(rate/2))
	require.True(t, m.take(rate/2-rate/10))
	require.False(t, m.take(2*rate))
	require.False(t, m.take(1), "once over, over")

	m = newMeter(rate)
	m.began = m.began.Add(-time.Hour) // a quiet hour saves nothing up
	require.False(t, m.take(2*rate))
}

// However many commands a frame has, they are counted as the session will find them.
func TestCommandsAreCounted(t *testing.T) {
	t.Parallel()
	require.Equal(t, 1, commands(nil, false))
	require.Equal(t, 1, commands(nil, true))
	require.Equal(t, 1, commands([]byte("{}\n"), false))
	require.Equal(t, 3, commands([]byte("{}\n{}\n{}"), false))
	require.Equal(t, 1, commands([]byte("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), true), "no length")
	require.Equal(t, 1, commands([]byte("\xff\xff\xff\xff\xff\xff\xff\xff\x7f{}"), true), "2^63 - 1 bytes")
	rapid.Check(t, func(t *rapid.T) {
		sizes := rapid.SliceOfN(rapid.IntRange(0, 300), 1, 20).Draw(t, "sizes")
		var frame []byte
		for _, size := range sizes {
			if size > 127 {
				frame = append(frame, byte(size)|0x80, byte(size>>7))
			} else {
				frame = append(frame, byte(size))
			}
			frame = append(frame, strings.Repeat("x", size)...)
		}
		require.Equal(t, len(sizes), commands(frame, true))
	})
}
