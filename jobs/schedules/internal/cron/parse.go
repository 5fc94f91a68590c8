package cron

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
	_ "time/tzdata" // so that a container without zones knows them

	robfig "github.com/robfig/cron/v3"
)

// Limits of @every. Shorter ones are a loop in a function.
const (
	MinEvery = time.Second
	MaxEvery = 366 * 24 * time.Hour
)

const maxLength = 250 // bytes of an expression

// field is one of the six.
type field struct {
	name   string
	takes  string // the values that are possible
	most   int    // the largest of them
	option robfig.ParseOption
}

func fields() []field {
	return []field{
		{"second", "0 to 59", 59, robfig.Second},
		{"minute", "0 to 59", 59, robfig.Minute},
		{"hour", "0 to 23", 23, robfig.Hour},
		{"day of month", "1 to 31", 31, robfig.Dom},
		{"month", "1 to 12 or jan to dec", 12, robfig.Month},
		{"weekday", "0 to 7 or sun to sat", 7, robfig.Dow},
	}
}

func macros() map[string]string {
	return map[string]string{
		"@hourly": "0 * * * *", "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@weekly": "0 0 * * 0",
		"@monthly": "0 0 1 * *", "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *",
	}
}

// Parse reads an expression. The error says what is wrong with it, and where, in a sentence without its subject.
func Parse(text string, zone *time.Location) (*Expression, error) {
	text = strings.TrimSpace(text)

	switch {
	case text == "":
		return nil, errors.New("is missing")
	case len(text) > maxLength:
		return nil, fmt.Errorf("is longer than %d bytes", maxLength)
	case strings.HasPrefix(text, "TZ=") || strings.HasPrefix(text, "CRON_TZ="):
		return nil, errors.New("must not name a time zone: that has a field of its own")
	case strings.HasPrefix(text, "@every"):
		return parseEvery(strings.TrimSpace(text[len("@every"):]), zone)
	case text[0] == '@':
		plain, known := macros()[strings.ToLower(text)]
		if !known {
			return nil, fmt.Errorf("%q is not known; there are @every 90s, @hourly, @daily, @weekly, @monthly and @yearly", text)
		}

		text = plain
	}

	return parseFields(strings.Fields(text), zone)
}

func parseEvery(text string, zone *time.Location) (*Expression, error) {
	every, err := time.ParseDuration(text)
	if days, ok := strings.CutSuffix(text, "d"); ok && err != nil {
		var n uint64
		n, err = strconv.ParseUint(days, 10, 16)
		every = time.Duration(n) * 24 * time.Hour
	}

	if err != nil {
		return nil, fmt.Errorf("%q is no duration: write @every 90s, @every 15m, @every 12h or @every 7d", text)
	}

	if every < MinEvery || every > MaxEvery || every%time.Second != 0 {
		return nil, fmt.Errorf("@every takes whole seconds, from 1s to 366d, not %s", text)
	}

	return &Expression{every: every, zone: zone}, nil
}

func parseFields(texts []string, zone *time.Location) (*Expression, error) {
	switch len(texts) {
	case 5:
		texts = append([]string{"0"}, texts...)
	case 6:
	default:
		return nil, fmt.Errorf("has %d fields; there are five (minute, hour, day of month, month, weekday), "+
			"or six with the second before them", len(texts))
	}

	all, options := fields(), robfig.ParseOption(0)
	for i, f := range all {
		var err error
		if texts[i], err = f.check(texts[i]); err != nil {
			return nil, err
		}

		options |= f.option
	}

	face, err := robfig.NewParser(options).Parse(strings.Join(texts, " "))
	if err != nil {
		return nil, fmt.Errorf("cannot be read: %w", err)
	}

	face.(*robfig.SpecSchedule).Location = time.UTC //nolint:forcetypeassert // what fields are parsed to
	e := &Expression{face: face, named: !strings.ContainsAny(texts[2][:1], "*?"), zone: zone}

	if e.match(time.Date(2000, time.January, 1, 0, 0, 0, 0, time.UTC)).IsZero() {
		return nil, errors.New("never ticks: no month of these has such a day")
	}

	return e, nil
}

var item = regexp.MustCompile(`\A(?i)(\*|\?|([a-z]+|\d+)(-([a-z]+|\d+))?)(/(\d+))?\z`)

// check returns the field as robfig/cron reads it. Each item of a list is tried alone, so that the mistake has a place.
func (f field) check(text string) (string, error) {
	parser := robfig.NewParser(f.option)
	items := strings.Split(text, ",")

	for i, one := range items {
		match := item.FindStringSubmatch(one)
		if match == nil || quartz.MatchString(one) {
			return "", fmt.Errorf("the %s %q: %s", f.name, text, unreadable(one))
		}

		if step, _ := strconv.Atoi(match[6]); step > f.most || len(match[6]) > 3 {
			return "", fmt.Errorf("the %s %q: the step of %q is beyond the field, which takes %s; "+
				"for longer intervals there is @every", f.name, text, one, f.takes)
		}

		if f.option == robfig.Dow {
			items[i] = sundays(match)
		}

		if _, err := parser.Parse(items[i]); err != nil {
			return "", fmt.Errorf("the %s %q: %q is not possible; it takes %s, with ranges that rise and steps of at least 1",
				f.name, text, one, f.takes)
		}
	}

	return strings.Join(items, ","), nil
}

// quartz is what other crons have beyond these fields.
var quartz = regexp.MustCompile(`\A(?i)(l|l-\d+|\d+l|lw|\d+w|\w+#\d+)\z`)

func unreadable(one string) string {
	switch {
	case one == "":
		return "a comma stands without a value"
	case quartz.MatchString(one):
		return fmt.Sprintf("%q: L, W and # are not supported", one)
	}

	return fmt.Sprintf("%q is no number, range (1-5), step (*/10) or *", one)
}

// sundays rewrites an item of the weekday that ends with the second name of Sunday, 7, which robfig/cron does not know.
func sundays(match []string) string {
	whole, low, high, step := match[0], strings.ToLower(match[2]), strings.ToLower(match[4]), match[6]

	switch {
	case whole == "7":
		return "0"
	case high != "7" && high != "sun":
		return whole
	}

	names := map[string]int{"sun": 0, "mon": 1, "tue": 2, "wed": 3, "thu": 4, "fri": 5, "sat": 6}

	from, known := names[low]
	if !known {
		from, _ = strconv.Atoi(low)
	}

	by := 1
	if step != "" {
		by, _ = strconv.Atoi(step)
	}

	if from > 7 || by < 1 {
		return whole // refused as it is
	}

	var days []string
	for day := from; day <= 7; day += by {
		days = append(days, strconv.Itoa(day%7))
	}

	return strings.Join(days, ",")
}

// zones keeps what was loaded: reading a zone's rules takes longer than using them.
var zones sync.Map // string to *time.Location

// Zone returns a time zone of the IANA database. Its rules come from the system, or from the program where the system
// has none. The error is a sentence without its subject.
func Zone(name string) (*time.Location, error) {
	if zone, ok := zones.Load(name); ok {
		return zone.(*time.Location), nil //nolint:forcetypeassert // what is stored
	}

	zone, err := time.LoadLocation(name)
	if err != nil || name == "" || name == "Local" {
		return nil, fmt.Errorf("%.64q is no time zone; use a name of the IANA database such as Europe/Berlin, or UTC", name)
	}

	zones.Store(name, zone)

	return zone, nil
}
