package jobs

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// DurationParser reads a duration from JSON. A function's configuration and a request have different ones.
type DurationParser func(raw []byte) (time.Duration, error)

// ParseUnique reads what users write: true, a key, or {key, period, replace}. False and null are none.
// The error is a *ValidationError.
func ParseUnique(raw []byte, duration DurationParser) (*Unique, error) {
	switch string(raw) {
	case "null", "false":
		return nil, nil //nolint:nilnil // none is an answer
	case "true":
		return &Unique{}, nil
	}

	u := &Unique{}
	if json.Unmarshal(raw, &u.Key) == nil {
		return checkedRule(u, &ValidationError{})
	}

	f := readFields("unique", raw, duration, "is true, a key such as \"input.id\", or {key, period, replace}")
	u.Key, u.Period, u.Replace = f.text("key"), f.time("period"), f.flag("replace")

	return checkedRule(u, f.done("key, period, replace"))
}

// ParseDebounce reads what users write: a period, or {period, max, key}. False and null are none.
// The error is a *ValidationError.
func ParseDebounce(raw []byte, duration DurationParser) (*Debounce, error) {
	if none(raw) {
		return nil, nil //nolint:nilnil // none is an answer
	}

	d := &Debounce{}

	var err error
	if d.Period, err = duration(raw); err == nil {
		return checkedRule(d, &ValidationError{})
	}

	f := readFields("debounce", raw, duration, "is a duration such as \"10s\", or {period, max, key}")
	d.Key, d.Period, d.Max = f.text("key"), f.time("period"), f.time("max")

	return checkedRule(d, f.done("period, max, key"))
}

// ParseThrottle reads what users write: "5/1m", or {limit, period, key, drop}. False and null are none.
// The error is a *ValidationError.
func ParseThrottle(raw []byte, duration DurationParser) (*Throttle, error) {
	if none(raw) {
		return nil, nil //nolint:nilnil // none is an answer
	}

	var short string
	if json.Unmarshal(raw, &short) == nil {
		limit, period, _ := strings.Cut(short, "/")
		raw, _ = json.Marshal(map[string]any{"limit": json.Number(limit), "period": period}) //nolint:errchkjson // see below
	}

	f := readFields("throttle", raw, duration, "is a text such as \"5/1m\", or {limit, period, key, drop}")
	t := &Throttle{Key: f.text("key"), Limit: f.number("limit"), Period: f.time("period"), Drop: f.flag("drop")}

	return checkedRule(t, f.done("limit, period, key, drop"))
}

func none(raw []byte) bool { return string(raw) == "null" || string(raw) == "false" }

// checkedRule adds what is wrong with a rule that could be read.
func checkedRule[R rule](r R, wrong *ValidationError) (R, error) {
	if len(wrong.Fields) == 0 {
		r.validate(wrong)
	}

	if err := wrong.OrNil(); err != nil {
		var none R

		return none, err
	}

	return r, nil
}

// fields reads the values of an object and gathers every mistake.
type fields struct {
	name     string
	values   map[string]json.RawMessage
	duration DurationParser
	wrong    *ValidationError
}

// readFields says that value is what, in words, if raw is no object.
func readFields(name string, raw []byte, duration DurationParser, what string) *fields {
	f := &fields{name: name, duration: duration, wrong: &ValidationError{}}
	if err := json.Unmarshal(raw, &f.values); err != nil || f.values == nil {
		f.wrong.Add(name, what)
	}

	return f
}

// take returns a value and removes it; nil when it is not there.
func (f *fields) take(key string) json.RawMessage {
	raw := f.values[key]
	delete(f.values, key)

	if string(raw) == "null" {
		return nil
	}

	return raw
}

func (f *fields) text(key string) (value string) {
	if raw := f.take(key); raw != nil && json.Unmarshal(raw, &value) != nil {
		f.wrong.Add(f.name+"."+key, "is a text")
	}

	return value
}

func (f *fields) flag(key string) (value bool) {
	if raw := f.take(key); raw != nil && json.Unmarshal(raw, &value) != nil {
		f.wrong.Add(f.name+"."+key, "is true or false")
	}

	return value
}

func (f *fields) number(key string) (value int) {
	if raw := f.take(key); raw != nil && json.Unmarshal(raw, &value) != nil {
		f.wrong.Add(f.name+"."+key, "is a whole number")
	}

	return value
}

func (f *fields) time(key string) time.Duration {
	raw := f.take(key)
	if raw == nil {
		return 0
	}

	value, err := f.duration(raw)
	if err != nil {
		f.wrong.Add(f.name+"."+key, `is a duration such as "500ms", "10s" or "2h"`)
	}

	return value
}

// done returns the mistakes, those values included that nobody asked for: known names the others.
func (f *fields) done(known string) *ValidationError {
	for _, key := range slices.Sorted(maps.Keys(f.values)) {
		f.wrong.Add(f.name, strconv.Quote(clipped(key))+" is no option; there are "+known)
	}

	return f.wrong
}

// clipped bounds what is repeated of a user's text.
func clipped(text string) string {
	const longest = 60
	if len(text) > longest {
		return strings.ToValidUTF8(text[:longest], "") + "…"
	}

	return text
}
