package schedules

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/millrace-dev/millrace/jobs/schedules/internal/cron"
)

func tickerOf(t require.TestingT, name, expression string, jitter time.Duration) *ticker {
	e, err := cron.Parse(expression, time.UTC)
	require.NoError(t, err)

	return &ticker{name: name, cron: e, anchor: time.Unix(0, 0), jitter: jitter}
}

// What becomes of missed ticks, of a schedule each minute that nobody looked at for half an hour.
func TestCatchUpPolicies(t *testing.T) {
	t.Parallel()

	at := func(clock string) time.Time {
		parsed, err := time.Parse(time.RFC3339, "2026-05-01T"+clock+"Z")
		require.NoError(t, err)

		return parsed
	}

	for _, c := range []struct {
		name    string
		catchUp CatchUp
		window  time.Duration
		from    string
		now     string
		fire    int
		first   string
		missed  int64
		next    string
	}{
		{"on time", CatchUpNone, time.Hour, "12:00:00", "12:00:00", 1, "12:00:00", 0, "12:01:00"},
		{"not yet", CatchUpAll, time.Hour, "12:01:00", "12:00:59", 0, "", 0, "12:01:00"},
		{"late within the grace", CatchUpNone, time.Hour, "12:00:00", "12:00:10", 1, "12:00:00", 0, "12:01:00"},
		{"late beyond it", CatchUpNone, time.Hour, "12:00:00", "12:00:11", 0, "", 1, "12:01:00"},
		{"none", CatchUpNone, time.Hour, "12:00:00", "12:29:30", 0, "", 30, "12:30:00"},
		{"none, the last on time", CatchUpNone, time.Hour, "12:00:00", "12:30:05", 1, "12:30:00", 30, "12:31:00"},
		{"one", CatchUpOne, time.Hour, "12:00:00", "12:29:30", 1, "12:29:00", 29, "12:30:00"},
		{"one, the last on time", CatchUpOne, time.Hour, "12:00:00", "12:30:05", 1, "12:30:00", 30, "12:31:00"},
		{"one, outside the window", CatchUpOne, 20 * time.Second, "12:00:00", "12:29:30", 0, "", 30, "12:30:00"},
		{"all", CatchUpAll, time.Hour, "12:00:00", "12:29:30", 30, "12:00:00", 0, "12:30:00"},
		{"all within the window", CatchUpAll, 10 * time.Minute, "12:00:00", "12:29:30", 10, "12:20:00", 20, "12:30:00"},
		{"all, more than one pass does", CatchUpAll, 24 * time.Hour, "02:00:00", "12:00:00", passFires, "02:00:00", 0, "03:40:00"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()

			p := tickerOf(t, "s", "* * * * *", 0).plan(at(c.from), at(c.now), c.catchUp, c.window)
			require.Len(t, p.fire, c.fire)
			require.Equal(t, c.missed, p.missed)
			require.Equal(t, at(c.next), p.next)

			if c.fire > 0 {
				require.Equal(t, at(c.first), p.fire[0])
			}
		})
	}
}

// However long nobody looked, a pass is bounded, and the passes together count every tick.
func TestALongOutageIsCaughtUpWithInPasses(t *testing.T) {
	t.Parallel()

	ticker := tickerOf(t, "s", "* * * * * *", 0)
	from := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	now := from.Add(30 * time.Hour)

	var missed, fired, passes int64

	for tick := from; !tick.After(now); passes++ {
		p := ticker.plan(tick, now, CatchUpOne, time.Hour)
		require.True(t, p.next.After(tick))
		require.LessOrEqual(t, p.missed, int64(passTicks))

		missed, fired, tick = missed+p.missed, fired+int64(len(p.fire)), p.next
	}

	require.EqualValues(t, 11, fired, "those within the grace")
	require.EqualValues(t, 30*3600+1, missed+fired)
	require.EqualValues(t, (30*3600+1+passTicks-1)/passTicks, passes)
}

// A tick is decided about once, in order, and not before it is due, whatever the pauses between two looks.
func TestPlansDecideAboutEachTickOnce(t *testing.T) {
	t.Parallel()

	rapid.Check(t, func(t *rapid.T) {
		every := rapid.SampledFrom([]string{"@every 1s", "@every 7s", "* * * * *", "*/10 * * * * *", "@every 3m"}).Draw(t, "cron")
		jitter := time.Duration(rapid.IntRange(0, 120).Draw(t, "jitter")) * time.Second
		ticker := tickerOf(t, "s", every, jitter)
		catchUp := rapid.SampledFrom([]CatchUp{CatchUpNone, CatchUpOne, CatchUpAll}).Draw(t, "catch up")
		window := time.Duration(rapid.IntRange(1, 600).Draw(t, "window")) * time.Second

		now := time.Unix(rapid.Int64Range(1.7e9, 1.8e9).Draw(t, "begin"), 0).UTC()
		next := ticker.next(now)
		first := next

		var (
			decided int64
			last    time.Time
		)

		for range rapid.IntRange(1, 12).Draw(t, "looks") {
			now = now.Add(time.Duration(rapid.IntRange(0, 400_000).Draw(t, "pause")) * time.Millisecond)
			p := ticker.plan(next, now, catchUp, window)
			decided += p.missed + int64(len(p.fire))

			for _, tick := range p.fire {
				require.True(t, tick.After(last), "in order, and once")
				require.False(t, ticker.due(tick).After(now), "not before it is due")

				last = tick
			}

			next = p.next
		}

		var ticks int64
		for tick := first; tick.Before(next); tick = ticker.next(tick) {
			ticks++
		}

		require.Equal(t, ticks, decided)
	})
}

func TestJitterIsTheSameEverywhereAndKeepsTheOrder(t *testing.T) {
	t.Parallel()

	const jitter = 40 * time.Second

	a, b := tickerOf(t, "s", "* * * * *", jitter), tickerOf(t, "s", "* * * * *", jitter)
	other, wide := tickerOf(t, "other", "* * * * *", jitter), tickerOf(t, "s", "* * * * *", time.Hour)
	tick := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)

	var (
		sum    time.Duration
		differ int
	)

	const ticks = 1_000

	for range ticks {
		due := a.due(tick)
		require.Equal(t, due, b.due(tick))
		require.False(t, due.Before(tick))
		require.Less(t, due.Sub(tick), jitter)

		if other.due(tick) != due {
			differ++
		}

		next := a.next(tick)
		require.True(t, wide.due(tick).Before(next), "a tick fires before the next one")

		sum += due.Sub(tick)
		tick = next
	}

	require.InDelta(t, float64(jitter/2), float64(sum/ticks), float64(3*time.Second), "spread over the whole of it")
	require.Greater(t, differ, ticks*9/10)
}
