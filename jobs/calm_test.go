package jobs

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// While Postgres is away River repeats its errors several times a second.
func TestRiversLogStaysCalm(t *testing.T) {
	t.Parallel()

	var out bytes.Buffer

	handler := newCalmHandler(slog.NewTextHandler(&out, nil))
	now := time.Now()

	write := func(after time.Duration, level slog.Level, message string) {
		if handler.Enabled(t.Context(), level) {
			require.NoError(t, handler.Handle(t.Context(), slog.NewRecord(now.Add(after), level, message, 0)))
		}
	}

	for i := range 50 {
		write(time.Duration(i)*100*time.Millisecond, slog.LevelError, "no connection")
	}

	write(time.Second, slog.LevelError, "something else")
	write(time.Second, slog.LevelInfo, "progress")
	write(calmEvery, slog.LevelError, "no connection")

	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	require.Len(t, lines, 3)
	require.NotContains(t, lines[0], "repeated")
	require.Contains(t, lines[1], "something else")
	require.Contains(t, lines[2], "repeated=49")
}
