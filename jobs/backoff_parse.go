package jobs

import (
	"encoding/json"
	"fmt"
	"time"
)

// ParseBackoff reads what users write: the first wait, the waits as an array, or {kind, first, max, factor, jitter,
// delays}. Null is none. The error is a *ValidationError.
func ParseBackoff(raw []byte, duration DurationParser) (Backoff, error) {
	var (
		b     Backoff
		waits []json.RawMessage
		err   error
	)

	if string(raw) == "null" {
		return b, nil
	}

	if b.First, err = duration(raw); err == nil {
		wrong := &ValidationError{}
		if b.First == 0 {
			wrong.Add("backoff", fmt.Sprintf("must be at least %s", minTimeout))
		}

		return b, checkedBackoff(b, wrong)
	}

	const what = `is a duration such as "10s", a list of them, or {kind, first, max, factor, jitter, delays}`

	if json.Unmarshal(raw, &waits) == nil {
		f := &fields{name: "backoff", duration: duration, wrong: &ValidationError{}}
		b.Delays = f.times(waits)

		if len(waits) == 0 {
			f.wrong.Add("backoff", what)
		}

		return b, checkedBackoff(b, f.wrong)
	}

	f := readFields("backoff", raw, duration, what)
	b.Kind, b.First, b.Max = BackoffKind(f.text("kind")), f.time("first"), f.time("max")
	b.Factor, b.Jitter = f.fraction("factor"), f.jitter()

	if list := f.take("delays"); list != nil {
		if json.Unmarshal(list, &waits) != nil || len(waits) == 0 {
			f.wrong.Add("backoff.delays", "is a list of durations")
		}

		b.Delays = f.times(waits)
	}

	return b, checkedBackoff(b, f.done("kind, first, max, factor, jitter, delays"))
}

func checkedBackoff(b Backoff, wrong *ValidationError) error {
	if len(wrong.Fields) == 0 {
		b.validate(wrong)
	}

	return wrong.OrNil()
}

func (f *fields) fraction(key string) (value float64) {
	raw := f.take(key)
	if raw == nil {
		return 0
	}

	if json.Unmarshal(raw, &value) != nil || value == 0 { // which would mean that nothing was said
		f.wrong.Add(f.name+"."+key, "must be a number from 1 to 100")
	}

	return value
}

// jitter is less than 0 where the user wrote 0: none.
func (f *fields) jitter() float64 {
	raw := f.take("jitter")
	if raw == nil {
		return 0
	}

	var value float64
	if json.Unmarshal(raw, &value) != nil || value < 0 || value > 1 {
		f.wrong.Add(f.name+".jitter", "must be a number from 0 to 1")
	}

	if value == 0 {
		return -1
	}

	return value
}

func (f *fields) times(list []json.RawMessage) []time.Duration {
	waits := make([]time.Duration, 0, len(list))

	for _, raw := range list {
		wait, err := f.duration(raw)
		if err != nil {
			f.wrong.Add(f.name, `has waits such as "500ms", "10s" or "2h"`)

			break
		}

		waits = append(waits, wait)
	}

	return waits
}
