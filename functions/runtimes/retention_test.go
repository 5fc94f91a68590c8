package runtimes_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/functions/runtimes"
	"github.com/millrace-dev/millrace/jobs"
)

func TestRetention(t *testing.T) {
	t.Parallel()

	for text, want := range map[string]jobs.Retention{
		`{}`:                   {},
		`{"completed": 0}`:     {Completed: jobs.KeepNone},
		`{"completed": "0"}`:   {Completed: jobs.KeepNone},
		`{"completed": "0s"}`:  {Completed: jobs.KeepNone},
		`{"failed":"forever"}`: {Failed: jobs.KeepForever},
		`{"completed":"1d","failed":"30d","cancelled":2000}`: {
			Completed: 24 * time.Hour, Failed: 30 * 24 * time.Hour, Cancelled: 2 * time.Second,
		},
	} {
		config, mistakes := runtimes.ParseConfig([]byte(`{"retention": `+text+`}`), 1<<30)
		require.Empty(t, mistakes, text)
		require.Equal(t, want, config.Settings("v").Retention, text)
		require.NoError(t, want.Validate())
		require.Equal(t, config, runtimes.ConfigOf(config.Settings("v")), "there and back")
	}

	for _, text := range []string{
		`null`, `"1d"`, `{"done":"1d"}`, `{"failed":"soon"}`, `{"failed":-5}`, `{"failed":"1ms"}`, `{"failed":"99999d"}`, `{"failed":null}`,
	} {
		_, mistakes := runtimes.ParseConfig([]byte(`{"retention": `+text+`}`), 1<<30)
		require.Len(t, mistakes, 1, text)
		require.Contains(t, mistakes[0], "config.retention")
	}
}
