package runtimes

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/millrace-dev/millrace/jobs"
)

// ParseOptions reads the options of ctx.enqueue from a JSON object, or null for none:
//
//	queue, priority, maxAttempts, timeout   as in a function's config
//	delay            as "10m" or a number of milliseconds
//	runAt            an RFC 3339 time, which is what JSON makes of a Date
//	tags             array of strings
//	idempotencyKey   string
//	callback         a URL, or {url, events}
//	traceparent      a W3C trace context; that of the function's own attempt without one
//	backoff, unique, debounce, throttle     as in a function's config
//
// Ranges are checked by the job service, which all submissions pass. Unknown keys are an error.
func ParseOptions(raw []byte) (jobs.Options, error) {
	options := jobs.Options{}
	fields := map[string]json.RawMessage{}
	if err := json.Unmarshal(raw, &fields); err != nil {
		return options, fmt.Errorf("the options must be an object, not %s", shortened(raw))
	}

	var mistakes []string
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		if err := setOption(&options, key, fields[key]); err != nil {
			mistakes = append(mistakes, err.Error())
		}
	}

	if len(mistakes) > 0 {
		return options, fmt.Errorf("%s", strings.Join(mistakes, "; "))
	}

	return options, nil
}

func setOption(options *jobs.Options, key string, raw json.RawMessage) (err error) {
	var target any
	switch key {
	case "queue":
		target = &options.Queue
	case "priority":
		target = &options.Priority
	case "maxAttempts":
		target = &options.MaxAttempts
	case "tags":
		target = &options.Tags
	case "callback":
		target = &options.Callback
	case "traceparent":
		target = &options.Traceparent
	case "idempotencyKey":
		target = &options.IdempotencyKey
	case "runAt":
		target = &options.RunAt
	case "timeout":
		return durationOption(&options.Timeout, key, raw)
	case "delay":
		return durationOption(&options.Delay, key, raw)
	case "backoff":
		options.Backoff, err = jobs.ParseBackoff(raw, ParseDuration)
		return err
	case "unique":
		options.Unique, err = jobs.ParseUnique(raw, ParseDuration)
		return err
	case "debounce":
		options.Debounce, err = jobs.ParseDebounce(raw, ParseDuration)
		return err
	case "throttle":
		options.Throttle, err = jobs.ParseThrottle(raw, ParseDuration)
		return err
	default:
		return fmt.Errorf("there is no option %q", shortened(key))
	}

	if err := json.Unmarshal(raw, target); err != nil {
		return fmt.Errorf("the option %s cannot be %s", key, shortened(raw))
	}

	return nil
}

func durationOption(target *time.Duration, key string, raw json.RawMessage) error {
	d, err := ParseDuration(raw)
	if err != nil {
		return fmt.Errorf("the option %s: %w", key, err)
	}

	*target = d

	return nil
}
