package cron_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/millrace-dev/millrace/jobs/schedules/internal/cron"
)

// drawn is a field with the values that it stands for, so that the model needs no parser.
type drawn struct {
	text   string
	values map[int]bool
	star   bool // as the rules for days see it
}

func drawField(t *rapid.T, name string, least, most int) drawn {
	if rapid.IntRange(0, 2).Draw(t, name+" any") == 0 {
		return step(least, most, "*", rapid.IntRange(1, 5).Draw(t, name+" step"))
	}

	d := drawn{values: map[int]bool{}}

	var items []string

	for range rapid.IntRange(1, 3).Draw(t, name+" items") {
		low := rapid.IntRange(least, most).Draw(t, name+" low")
		high := rapid.IntRange(low, min(most, low+4)).Draw(t, name+" high")
		part := step(low, high, fmt.Sprintf("%d-%d", low, high), rapid.IntRange(1, 3).Draw(t, name+" step"))
		items = append(items, part.text)

		for value := range part.values {
			d.values[value] = true
		}
	}

	d.text = strings.Join(items, ",")

	return d
}

func step(low, high int, text string, by int) drawn {
	d := drawn{text: text, values: map[int]bool{}, star: text == "*" && by == 1}
	if by > 1 {
		d.text += "/" + strconv.Itoa(by)
	}

	for value := low; value <= high; value += by {
		d.values[value] = true
	}

	return d
}

// model is a cron that looks at the clock every minute.
type model struct {
	minute, hour, day, month, weekday drawn
	zone                              *time.Location
}

func (m *model) text() string {
	return strings.Join([]string{m.minute.text, m.hour.text, m.day.text, m.month.text, m.weekday.text}, " ")
}

// matches looks at a face of the clock.
func (m *model) matches(face time.Time) bool {
	day, weekday := m.day.values[face.Day()], m.weekday.values[int(face.Weekday())]
	either := day || weekday

	if m.day.star || m.weekday.star {
		either = day && weekday
	}

	return m.minute.values[face.Minute()] && m.hour.values[face.Hour()] && m.month.values[int(face.Month())] && either
}

func (m *model) face(at time.Time) time.Time {
	_, offset := at.In(m.zone).Zone()

	return at.UTC().Add(time.Duration(offset) * time.Second)
}

// ticksAt decides whether the minute that begins at a time is a tick.
func (m *model) ticksAt(at time.Time) bool {
	face := m.face(at)
	if strings.HasPrefix(m.hour.text, "*") {
		return m.matches(face)
	}

	// Skipped: the faces between the minute before and this one.
	for missing := m.face(at.Add(-time.Minute)).Add(time.Minute); missing.Before(face); missing = missing.Add(time.Minute) {
		if m.matches(missing) {
			return true
		}
	}

	if !m.matches(face) {
		return false
	}

	// Repeated: the same face some time before.
	for before := at.Add(-3 * time.Hour); before.Before(at); before = before.Add(time.Minute) {
		if m.face(before).Equal(face) {
			return false
		}
	}

	return true
}

func TestNextAgreesWithAClockWatcher(t *testing.T) {
	t.Parallel()

	changes := map[string][]string{
		"Europe/Berlin":       {"2026-03-29T01:00:00Z", "2026-10-25T01:00:00Z"},
		"America/New_York":    {"2026-03-08T07:00:00Z", "2026-11-01T06:00:00Z"},
		"Australia/Lord_Howe": {"2026-10-03T15:30:00Z", "2026-04-04T15:00:00Z"},
		"America/Sao_Paulo":   {"2018-11-04T03:00:00Z", "2018-02-18T02:00:00Z"},
		"Africa/Casablanca":   {"2026-02-15T02:00:00Z", "2026-03-22T02:00:00Z"},
		"Asia/Tokyo":          {"2026-01-01T00:00:00Z"},
		"Asia/Kathmandu":      {"2026-02-28T18:15:00Z"},
	}
	names := []string{
		"Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Sao_Paulo", "Africa/Casablanca", "Asia/Tokyo", "Asia/Kathmandu",
	}

	rapid.Check(t, func(t *rapid.T) {
		name := rapid.SampledFrom(names).Draw(t, "zone")
		zone, err := cron.Zone(name)
		require.NoError(t, err)

		m := &model{
			minute: drawField(t, "minute", 0, 59), hour: drawField(t, "hour", 0, 23),
			day: drawField(t, "day", 1, 31), month: drawField(t, "month", 1, 12), weekday: drawField(t, "weekday", 0, 6),
			zone: zone,
		}
		if rapid.Bool().Draw(t, "every day") { // else most draws are about other months
			m.day, m.month, m.weekday = step(1, 31, "*", 1), step(1, 12, "*", 1), step(0, 6, "*", 1)
		}

		change, err := time.Parse(time.RFC3339, rapid.SampledFrom(changes[name]).Draw(t, "change"))
		require.NoError(t, err)

		from := change.Add(time.Duration(rapid.IntRange(-300, 0).Draw(t, "minutes before")) * time.Minute)
		e, err := cron.Parse(m.text(), zone)
		if err != nil && strings.Contains(err.Error(), "never ticks") {
			t.Skip("30 February")
		}

		require.NoError(t, err, m.text())

		var want, got []string

		end := from.Add(10 * time.Hour)
		for at := from.Add(time.Minute); at.Before(end); at = at.Add(time.Minute) {
			if m.ticksAt(at) {
				want = append(want, at.In(zone).Format(time.RFC3339))
			}
		}

		for at := e.Next(from, from); !at.IsZero() && at.Before(end); at = e.Next(at, from) {
			got = append(got, at.In(zone).Format(time.RFC3339))
		}

		require.Equal(t, want, got, m.text())
	})
}
