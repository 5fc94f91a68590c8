package js_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/functions/runtimes/js"
)

// Each of these would end this process, or keep a processor, if it were bundled here.
func TestTextsThatHarmTheBundler(t *testing.T) {
	t.Parallel()
	patient := newRunner(t, js.Config{})
	hasty := newRunner(t, js.Config{BundleTime: time.Second})
	for name, tt := range map[string]struct {
		runner *js.Runner
		text   string
		want   string
	}{
		"brackets":   {patient, strings.Repeat("(", 1<<20), "test/fn.ts: the files nest too deeply to be parsed"},
		"operators":  {patient, strings.Repeat("!", 1<<20) + "1", "test/fn.ts: the files nest too deeply to be parsed"},
		"statements": {patient, strings.Repeat(strings.Repeat("if(1)", 6_000)+";\n", 30), "test/fn.ts: bundling the files needs more than 1024 MiB of memory"},
		"generics":   {hasty, strings.Repeat("a<", 5_000), "test/fn.ts: bundling the files takes more than 1s"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if js.RaceEnabled && name == "statements" {
				t.Skip("the race detector makes a quarter of a minute of it")
			}
			_, err := build(t, tt.runner, tt.text)
			require.Equal(t, tt.want, mistakes(t, err)[0].String())
		})
	}
}

// long makes a text one that is bundled in a child.
func long(text string) string { return text + "\n//" + strings.Repeat(".", 8<<10) }

func TestBundlingInAChildIsTheSame(t *testing.T) {
	t.Parallel()
	runner := newRunner(t, js.Config{})
	text := "export const config = {retries: 2};\nexport default () => {\n  throw new Error('here')\n}"
	short, err := build(t, runner, text)
	require.NoError(t, err)
	apart, err := build(t, runner, long(text))
	require.NoError(t, err)
	require.Equal(t, short, apart)

	_, err = build(t, runner, long("\n  let x: = 1"))
	require.Equal(t, `test/fn.ts:2:10: Unexpected "="`, mistakes(t, err)[0].String())
	_, err = build(t, runner, long("\nboom()"))
	require.Equal(t, "test/fn.ts:2:1: ReferenceError: 'boom' is not defined", mistakes(t, err)[0].String())

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = runner.Build(ctx, source(long(text)))
	require.ErrorIs(t, err, context.Canceled)
}
