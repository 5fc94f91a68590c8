package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestSpan(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		0:                                       "0 ms",
		999400 * time.Microsecond:               "999 ms",
		999600 * time.Microsecond:               "1.0 s",
		59900 * time.Millisecond:                "59.9 s",
		59960 * time.Millisecond:                "1 min",
		90 * time.Second:                        "1 min 30 s",
		10*time.Minute - 400*time.Millisecond:   "10 min",
		time.Hour - 20*time.Second:              "1 h",
		time.Hour + 59*time.Minute:              "1 h 59 min",
		2*time.Hour - 10*time.Second:            "2 h",
		10*time.Hour - 10*time.Second:           "10 h",
		47*time.Hour + 40*time.Minute:           "2 d",
		71*time.Hour + 59*time.Minute:           "3 d",
		24*time.Hour*400 + 20*time.Hour:         "401 d",
		time.Minute + 400*time.Millisecond:      "1 min",
		5*time.Hour + 30*time.Minute + 1:        "5 h 30 min",
		36*time.Hour + 29*time.Minute:           "36 h",
		9*time.Minute + 59*time.Second:          "9 min 59 s",
		9*time.Hour + 59*time.Minute:            "9 h 59 min",
		30*time.Minute + 29*time.Second + 999e6: "30 min",
	} {
		require.Equal(t, want, span(d), "%s", d)
	}
}

func TestAgo(t *testing.T) {
	t.Parallel()
	now := time.Now()
	require.Equal(t, "in 1 h", ago(now.Add(time.Hour-time.Second), now))
	require.Equal(t, "2 min ago", ago(now.Add(-2*time.Minute), now))
	require.Equal(t, "-", ago(time.Time{}, now))
}

func TestWords(t *testing.T) {
	t.Parallel()
	require.Equal(t, "1 job", count(1, "job"))
	require.Equal(t, "0 jobs", count(0, "job"))
	require.Equal(t, "äö…", shorten("äöüß", 3))
	require.Equal(t, "äöü", shorten("äöü", 3))
	require.Equal(t, "a b\ufffd[2J\ufffdc", clean("a\nb\x1b[2J\u202ec"))
}
