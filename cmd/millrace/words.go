package main

import (
	"fmt"
	"time"
)

// count is "1 job", "2 jobs".
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// ago is how long at lies back, in the largest unit that says enough.
func ago(at, now time.Time) string {
	if at.IsZero() {
		return "-"
	}
	d := now.Sub(at)
	if d < 0 {
		return "in " + span(-d)
	}
	return span(d) + " ago"
}

// span is a duration rounded to what a person wants to know of it: 1 h 30 min, and not 1 h for almost two.
func span(d time.Duration) string {
	const day = 24 * time.Hour
	switch seconds, minutes, hours := d.Round(time.Second), d.Round(time.Minute), d.Round(time.Hour); {
	case d.Round(time.Millisecond) < time.Second:
		return fmt.Sprintf("%d ms", d.Round(time.Millisecond).Milliseconds())
	case d.Round(100*time.Millisecond) < time.Minute:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case seconds < 10*time.Minute:
		return twoUnits(int(seconds/time.Minute), "min", int(seconds%time.Minute/time.Second), "s")
	case minutes < time.Hour:
		return fmt.Sprintf("%d min", int(minutes/time.Minute))
	case minutes < 10*time.Hour:
		return twoUnits(int(minutes/time.Hour), "h", int(minutes%time.Hour/time.Minute), "min")
	case hours < 2*day:
		return fmt.Sprintf("%d h", int(hours/time.Hour))
	default:
		return fmt.Sprintf("%d d", int(d.Round(day)/day))
	}
}

// twoUnits leaves the smaller one off where it says nothing.
func twoUnits(n int, unit string, rest int, smaller string) string {
	if rest == 0 {
		return fmt.Sprintf("%d %s", n, unit)
	}
	return fmt.Sprintf("%d %s %d %s", n, unit, rest, smaller)
}

// dash stands where a table has nothing to say.
func dash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}
