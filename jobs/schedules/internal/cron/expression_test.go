package cron_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/jobs/schedules/internal/cron"
)

func parse(t testing.TB, text, zone string) *cron.Expression {
	t.Helper()

	location, err := cron.Zone(zone)
	require.NoError(t, err)
	e, err := cron.Parse(text, location)
	require.NoError(t, err, text)

	return e
}

// ticks lists the ticks of an expression in a stretch of time, as its zone's clock shows them.
func ticks(t *testing.T, text, zone, from, to string) []string {
	t.Helper()

	e := parse(t, text, zone)
	location, err := cron.Zone(zone)
	require.NoError(t, err)

	at, err := time.Parse(time.RFC3339, from)
	require.NoError(t, err)
	end, err := time.Parse(time.RFC3339, to)
	require.NoError(t, err)

	anchor := at
	list := []string{}

	for at = e.Next(at, anchor); at.Before(end); at = e.Next(at, anchor) {
		list = append(list, at.In(location).Format("15:04 -0700"))
	}

	return list
}

// The days on which clocks change. Berlin: 02:00 becomes 03:00, and 03:00 becomes 02:00 again. New York: the same
// between 02:00 and 03:00, and between 01:00 and 02:00. Lord Howe: 02:00 becomes 02:30, and 02:00 becomes 01:30 again.
func TestTicksOnTheDaysOfTheChange(t *testing.T) {
	t.Parallel()

	const berlin, newYork, lordHowe = "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"

	days := map[string]struct{ zone, from, to string }{
		"Berlin forward":    {berlin, "2026-03-29T00:00:00+01:00", "2026-03-29T05:00:00+02:00"},
		"Berlin back":       {berlin, "2026-10-25T00:00:00+02:00", "2026-10-25T05:00:00+01:00"},
		"New York forward":  {newYork, "2026-03-08T00:00:00-05:00", "2026-03-08T05:00:00-04:00"},
		"New York back":     {newYork, "2026-11-01T00:00:00-04:00", "2026-11-01T05:00:00-05:00"},
		"Lord Howe forward": {lordHowe, "2026-10-04T00:00:00+10:30", "2026-10-04T05:00:00+11:00"},
		"Lord Howe back":    {lordHowe, "2026-04-05T00:00:00+11:00", "2026-04-05T05:00:00+10:30"},
	}

	for _, c := range []struct {
		day, text string
		want      []string
	}{
		// Named hours: what is skipped happens once, at the change.
		{"Berlin forward", "30 2 * * *", []string{"03:00 +0200"}},
		{"Berlin forward", "*/20 2 * * *", []string{"03:00 +0200"}},
		{"Berlin forward", "0 2,3 * * *", []string{"03:00 +0200"}},
		{"Berlin forward", "30 2,3 * * *", []string{"03:00 +0200", "03:30 +0200"}},
		{"Berlin forward", "15 1-4 * * *", []string{"01:15 +0100", "03:00 +0200", "03:15 +0200", "04:15 +0200"}},
		{"New York forward", "30 2 * * *", []string{"03:00 -0400"}},
		{"Lord Howe forward", "15 2 * * *", []string{"02:30 +1100"}},
		{"Lord Howe forward", "0 2 * * *", []string{"02:30 +1100"}},
		{"Lord Howe forward", "30 2 * * *", []string{"02:30 +1100"}},
		{"Lord Howe forward", "45 2 * * *", []string{"02:45 +1100"}},

		// Named hours: what comes twice happens the first time.
		{"Berlin back", "30 2 * * *", []string{"02:30 +0200"}},
		{"Berlin back", "0 2,3 * * *", []string{"02:00 +0200", "03:00 +0100"}},
		{"New York back", "30 1 * * *", []string{"01:30 -0400"}},
		{"New York back", "0 1-2 * * *", []string{"01:00 -0400", "02:00 -0500"}},
		{"Lord Howe back", "45 1 * * *", []string{"01:45 +1100"}},
		{"Lord Howe back", "15,45 1 * * *", []string{"01:15 +1100", "01:45 +1100"}},

		// Any hour: the clock's face decides.
		{"Berlin forward", "30 * * * *", []string{"00:30 +0100", "01:30 +0100", "03:30 +0200", "04:30 +0200"}},
		{"Berlin forward", "0 */2 * * *", []string{"04:00 +0200"}},
		{"Berlin back", "30 * * * *", []string{"00:30 +0200", "01:30 +0200", "02:30 +0200", "02:30 +0100", "03:30 +0100", "04:30 +0100"}},
		{"New York back", "0 * * * *", []string{"01:00 -0400", "01:00 -0500", "02:00 -0500", "03:00 -0500", "04:00 -0500"}},
		{"Lord Howe forward", "15 * * * *", []string{"00:15 +1030", "01:15 +1030", "03:15 +1100", "04:15 +1100"}},
		{"Lord Howe back", "45 * * * *", []string{"00:45 +1100", "01:45 +1100", "01:45 +1030", "02:45 +1030", "03:45 +1030", "04:45 +1030"}},

		// Real time.
		{"Berlin forward", "@every 90m", []string{"01:30 +0100", "04:00 +0200"}},
		{"Berlin back", "@every 90m", []string{"01:30 +0200", "02:00 +0100", "03:30 +0100"}},
		{"New York forward", "@every 2h", []string{"03:00 -0400"}},
		{"Lord Howe back", "@every 1h", []string{"01:00 +1100", "01:30 +1030", "02:30 +1030", "03:30 +1030", "04:30 +1030"}},
	} {
		t.Run(c.day+" "+c.text, func(t *testing.T) {
			t.Parallel()

			day := days[c.day]
			require.Equal(t, c.want, ticks(t, c.text, day.zone, day.from, day.to))
		})
	}
}

// Clocks that change at midnight, and a day that there never was.
func TestTicksWhereMidnightIsMissing(t *testing.T) {
	t.Parallel()

	require.Equal(t, []string{"01:00 -0200"}, ticks(t, "@daily", "America/Sao_Paulo", "2018-11-03T03:00:01Z", "2018-11-04T12:00:00Z"))
	require.Equal(t, []string{"00:00 +1400"}, ticks(t, "0 12 30 12 *", "Pacific/Apia", "2011-12-29T00:00:00Z", "2012-01-10T00:00:00Z"))
}

func TestNext(t *testing.T) {
	t.Parallel()

	for _, c := range []struct{ text, zone, after, want string }{
		{"*/5 * * * *", "UTC", "2026-01-01T00:00:00Z", "2026-01-01T00:05:00Z"},
		{"* * * * * *", "UTC", "2026-01-01T00:00:00.5Z", "2026-01-01T00:00:01Z"},
		{"10-30/10 0 0 1 1 *", "UTC", "2026-01-01T00:00:10Z", "2026-01-01T00:00:20Z"},
		{"0 9 * * mon-fri", "Asia/Kathmandu", "2026-01-02T04:00:00Z", "2026-01-05T03:15:00Z"},
		{"0 0 * * 7", "UTC", "2026-01-01T00:00:00Z", "2026-01-04T00:00:00Z"},
		{"0 0 * * fri-sun", "UTC", "2026-01-03T00:00:00Z", "2026-01-04T00:00:00Z"},
		{"0 0 * * 5-7/2", "UTC", "2026-01-02T00:00:00Z", "2026-01-04T00:00:00Z"},
		{"0 0 13 * FRI", "UTC", "2026-01-03T00:00:00Z", "2026-01-09T00:00:00Z"},
		{"0 0 29 2 *", "UTC", "2096-03-01T00:00:00Z", "2104-02-29T00:00:00Z"},
		{"0 0 29 2 *", "Europe/Berlin", "2096-03-01T00:00:00Z", "2104-02-28T23:00:00Z"},
		{"0 12 * * *", "Europe/Berlin", "2028-12-31T11:00:00Z", "2029-01-01T11:00:00Z"},
		{"0 * * * *", "Europe/Berlin", "2028-12-31T11:00:00Z", "2028-12-31T12:00:00Z"},
		{"@yearly", "Pacific/Kiritimati", "2026-05-01T00:00:00Z", "2026-12-31T10:00:00Z"},
		{"0 0 1 jan,jul ?", "UTC", "2026-05-01T00:00:00Z", "2026-07-01T00:00:00Z"},
	} {
		after, err := time.Parse(time.RFC3339Nano, c.after)
		require.NoError(t, err)
		require.Equal(t, c.want, parse(t, c.text, c.zone).Next(after, after).Format(time.RFC3339), "%s after %s", c.text, c.after)
	}
}

func TestEveryCountsFromItsAnchor(t *testing.T) {
	t.Parallel()

	anchor := time.Date(2026, 1, 1, 0, 0, 7, 0, time.UTC)
	e := parse(t, "@every 90s", "Europe/Berlin")

	for after, want := range map[time.Duration]time.Duration{
		-time.Hour: 90 * time.Second, 0: 90 * time.Second, 89 * time.Second: 90 * time.Second,
		90 * time.Second: 180 * time.Second, 1000 * time.Hour: 1000*time.Hour + 90*time.Second,
	} {
		require.Equal(t, want, e.Next(anchor.Add(after), anchor).Sub(anchor), after)
	}
}

func TestMistakesHaveAPlace(t *testing.T) {
	t.Parallel()

	for text, want := range map[string]string{
		"":                             "is missing",
		"  ":                           "is missing",
		"* * * *":                      "has 4 fields; there are five",
		"* * * * * * *":                "has 7 fields",
		"60 * * * *":                   `the minute "60": "60" is not possible; it takes 0 to 59`,
		"0 1,24 * * *":                 `the hour "1,24": "24" is not possible; it takes 0 to 23`,
		"0 0 0 * *":                    `the day of month "0"`,
		"0 0 * 13 *":                   `the month "13": "13" is not possible; it takes 1 to 12 or jan to dec`,
		"0 0 * * 8":                    `the weekday "8"`,
		"0 0 * * 7/2":                  `the weekday "7/2"`,
		"0 0 * * foo":                  `the weekday "foo"`,
		"0 0 * mon *":                  `the month "mon"`,
		"0 17-9 * * *":                 `the hour "17-9": "17-9" is not possible`,
		"*/0 * * * *":                  `the minute "*/0"`,
		"*/90 * * * *":                 `the step of "*/90" is beyond the field`,
		"1,,2 * * * *":                 "a comma stands without a value",
		", * * * *":                    "a comma stands without a value",
		"1-2-3 * * * *":                `"1-2-3" is no number`,
		"-1 * * * *":                   `"-1" is no number`,
		"1.5 * * * *":                  `"1.5" is no number`,
		"0 0 L * *":                    "L, W and # are not supported",
		"0 0 * * 5#2":                  "L, W and # are not supported",
		"0 0 30 2 *":                   "never ticks",
		"@reboot":                      `"@reboot" is not known`,
		"@every":                       "is no duration",
		"@every soon":                  `"soon" is no duration`,
		"@every 500ms":                 "whole seconds, from 1s to 366d",
		"@every 1500ms":                "whole seconds",
		"@every -5s":                   "whole seconds",
		"@every 400d":                  "whole seconds",
		"TZ=UTC * * * * *":             "must not name a time zone",
		"CRON_TZ=x 1 2 3 4 5":          "must not name a time zone",
		"99999999999999999999 * * * *": `the minute "99999999999999999999"`,
	} {
		_, err := cron.Parse(text, time.UTC)
		require.ErrorContains(t, err, want, "%q", text)
	}

	for _, name := range []string{"", "Local", "Mars/Olympus", "../etc/passwd", "Europe/Berlin\x00"} {
		_, err := cron.Zone(name)
		require.ErrorContains(t, err, "is no time zone", name)
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{"*/5 * * * *", "@every 90s", "0 0 * * 5-7/2", "1,2,3-9/2 ? ? jan-dec/3 sun"} {
		f.Add(text)
	}

	zone, err := cron.Zone("Australia/Lord_Howe")
	require.NoError(f, err)

	at := time.Date(2026, 4, 4, 12, 0, 0, 0, time.UTC)

	f.Fuzz(func(t *testing.T, text string) {
		e, err := cron.Parse(text, zone)
		if err != nil {
			return
		}

		next := e.Next(at, at)
		require.False(t, next.IsZero(), "%q is accepted and never ticks", text)
		require.True(t, next.After(at), "%q", text)
	})
}
