package jobs

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func drawHint(t *rapid.T) hint {
	h := hint{
		kind: rapid.SampledFrom([]hintKind{hintState, hintProgress, hintLog, hintCancel, hintEnqueued}).Draw(t, "kind"),
		id:   rapid.Int64Min(1).Draw(t, "id"),
	}

	switch h.kind {
	case hintState:
		h.state = rapid.SampledFrom(States()).Draw(t, "state")
		h.attempt = rapid.IntRange(0, 100).Draw(t, "attempt")
		h.function = rapid.StringMatching(`[a-z][a-z0-9_]{0,10}(\.[a-z][a-z0-9_-]{0,10}){0,5}`).Draw(t, "function")
	case hintProgress:
		h.attempt = rapid.IntRange(1, 100).Draw(t, "attempt")
		h.percent = rapid.Float64Range(0, 100).Draw(t, "percent")
		h.message = rapid.StringN(0, -1, maxProgressMessage).Draw(t, "message")
	case hintCancel:
		h.attempt = rapid.IntRange(1, 100).Draw(t, "attempt")
	case hintEnqueued:
		h.queue = rapid.SampledFrom([]string{"", "default", "a-b_c"}).Draw(t, "queue")
	case hintLog:
	}

	return h
}

func TestHintsSurvivePacking(t *testing.T) {
	t.Parallel()

	rapid.Check(t, func(t *rapid.T) {
		sent := rapid.SliceOfN(rapid.Custom(drawHint), 0, 300).Draw(t, "hints")

		var got []hint
		for _, payload := range packHints(sent) {
			require.LessOrEqual(t, len(payload), maxPayload)
			require.NotContains(t, payload, "\x00")
			parseHints(payload, func(h hint) { got = append(got, h) })
		}

		require.Len(t, got, len(sent))
		for i := range sent {
			require.Equal(t, sent[i], got[i])
		}
	})
}

func TestHintsFillPayloads(t *testing.T) {
	t.Parallel()

	hints := make([]hint, 1_000)
	for i := range hints {
		hints[i] = stateHint(int64(1_000_000+i), StateCompleted, 1, "orders.charge")
	}

	// 36 bytes a line: far more than one hint a payload, or commits would send a NOTIFY per job.
	require.LessOrEqual(t, len(packHints(hints)), 5)
}

func TestHintsPassOverWhatTheyDoNotUnderstand(t *testing.T) {
	t.Parallel()

	lines := []string{
		"", "s", "s ", "x 1", "s one queued 0 f", "s 1 sleeping 0 f", "s 1 queued zero f", "s 1 queued 0",
		"p 1 1 50", `p 1 1 half "m"`, "p 1 1 50 unquoted", "l 5 more", "c 99999999999999999999 1",
		"c 7", "c 7 x", "c 7 2 x", "c 7 2",
	}

	var got []hint
	parseHints(strings.Join(lines, "\n"), func(h hint) { got = append(got, h) })
	require.Equal(t, []hint{{kind: hintCancel, id: 7, attempt: 2}}, got)
}

func FuzzParseHints(f *testing.F) {
	f.Add("s 12 running 1 orders.charge\np 12 1 42.5 \"half\\nway\"\nl 12\nc 12 1")
	f.Add("s  1 queued 0 x\n\n\np 1 1 NaN \"\"")
	f.Fuzz(func(t *testing.T, payload string) {
		parseHints(payload, func(h hint) {
			again, ok := parseHint(string(h.append(nil)))
			require.True(t, ok, "%+v", h)

			if h.percent == h.percent { // NaN differs from itself
				require.Equal(t, h, again)
			}
		})
	})
}
