package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/jobs"
)

func TestKeepFlag(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]jobs.Retention{
		"":                            {},
		"completed=0":                 {Completed: jobs.KeepNone},
		"failed=forever,cancelled=1h": {Failed: jobs.KeepForever, Cancelled: time.Hour},
		"completed=2d, failed=90m":    {Completed: 48 * time.Hour, Failed: 90 * time.Minute},
	} {
		var keep keepFlag
		require.NoError(t, keep.UnmarshalText([]byte(text)), text)
		require.Equal(t, want, jobs.Retention(keep), text)
	}
	for _, text := range []string{"1d", "done=1d", "failed", "failed=soon", "failed=-1d", "failed=0d", "failed=1ms", "completed=1d;failed=1d"} {
		var keep keepFlag
		require.Error(t, keep.UnmarshalText([]byte(text)), text)
	}
	got := execute(t, "", "serve", "--keep", "failed=soon", "--database-url", "postgres://nobody@127.0.0.1:1/none")
	require.Equal(t, exitUsage, got.code)
	require.Contains(t, got.stderr, "30d")
}
