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
//	queue, priority, maxAttempts, timeout, softTimeout   as in a function's config
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
	if target := plainOption(options, key); target != nil {
		if err := json.Unmarshal(raw, target); err != nil {
			return fmt.Errorf("the option %s cannot be %s", key, shortened(raw))
		}

		return nil
	}

	switch key {
	case "timeout":
		return durationOption(&options.Timeout, key, raw)
	case "softTimeout":
		return durationOption(&options.SoftTimeout, key, raw)
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
}

// plainOption is where an option goes that is decoded as it is, nil for the others.
func plainOption(options *jobs.Options, key string) any {
	switch key {
	case "queue":
		return &options.Queue
	case "priority":
		return &options.Priority
	case "maxAttempts":
		return &options.MaxAttempts
	case "tags":
		return &options.Tags
	case "callback":
		return &options.Callback
	case "traceparent":
		return &options.Traceparent
	case "idempotencyKey":
		return &options.IdempotencyKey
	case "runAt":
		return &options.RunAt
	default:
		return nil
	}
}

func durationOption(target *time.Duration, key string, raw json.RawMessage) error {
	d, err := ParseDuration(raw)
	if err != nil {
		return fmt.Errorf("the option %s: %w", key, err)
	}

	*target = d

	return nil
}
