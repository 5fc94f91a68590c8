package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/millrace-dev/millrace/jobs"
)

// keepFlag is a jobs.Retention as typed: completed=1d,failed=forever.
type keepFlag jobs.Retention

// UnmarshalText lets kong report a mistake as a usage error.
func (k *keepFlag) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		return nil
	}
	for part := range strings.SplitSeq(string(text), ",") {
		state, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		keep, err := parseKeep(value)
		if err != nil {
			return fmt.Errorf("%q: %w", part, err)
		}
		switch state {
		case "completed":
			k.Completed = keep
		case "failed":
			k.Failed = keep
		case "cancelled":
			k.Cancelled = keep
		default:
			return fmt.Errorf("%q: jobs are kept by state: completed, failed or cancelled", part) //nolint:err113 // shown to a person
		}
	}
	if err := jobs.Retention(*k).Validate(); err != nil {
		return fmt.Errorf("%q: %w", text, err)
	}
	return nil
}

// parseKeep reads a time that may have days, 0 or forever.
func parseKeep(text string) (time.Duration, error) {
	const day = 24 * time.Hour
	switch text {
	case "0":
		return jobs.KeepNone, nil
	case "forever":
		return jobs.KeepForever, nil
	}
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.ParseUint(days, 10, 12); err == nil && n > 0 {
			return time.Duration(n) * day, nil
		}
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return 0, fmt.Errorf("a time is such as 30d or 12h, 0 or forever") //nolint:err113,perfsprint // shown to a person
	}
	return d, nil
}
