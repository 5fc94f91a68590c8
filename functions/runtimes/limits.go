package runtimes

import (
	"encoding/json"
	"maps"
	"slices"

	"github.com/millrace-dev/millrace/jobs"
)

// Rate is how often attempts may start, see jobs.Rate. The names are read by migrations/0009_limits too.
type Rate struct {
	Limit  int          `json:"limit,omitempty"`
	Period Milliseconds `json:"period_ms,omitempty"`
	Burst  int          `json:"burst,omitempty"`
	Key    string       `json:"key,omitempty"`
}

// limits is the part of the configuration that claims go by.
func (c Config) limits() jobs.Limits {
	return jobs.Limits{
		Concurrency: c.Concurrency, ConcurrencyKey: c.ConcurrencyKey,
		Rate: jobs.Rate{Limit: c.Rate.Limit, Period: c.Rate.Period.Duration(), Burst: c.Rate.Burst, Key: c.Rate.Key},
	}
}

func rateOf(rate jobs.Rate) Rate {
	return Rate{
		Limit: rate.Limit, Period: Milliseconds(rate.Period.Milliseconds()), Burst: rate.Burst, Key: rate.Key,
	}
}

func (p *parser) text(what string, raw json.RawMessage) string {
	var text *string
	if err := json.Unmarshal(raw, &text); err != nil || text == nil || *text == "" {
		p.mistakef("%s must be a text, not %s", what, shortened(raw))
		return ""
	}

	return *text
}

func (p *parser) rate(raw json.RawMessage) {
	fields := map[string]json.RawMessage{}
	if err := json.Unmarshal(raw, &fields); err != nil || fields == nil {
		p.mistakef(`config.rate must be {limit, period}, as { limit: 10, period: "1m" }, not %s`, shortened(raw))
		return
	}

	rate := &p.config.Rate
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		value := fields[key]
		switch key {
		case "limit":
			rate.Limit = p.integer("config.rate.limit", value, 1, jobs.MaxRate)
		case "period":
			rate.Period = p.period(value)
		case "burst":
			rate.Burst = p.integer("config.rate.burst", value, 1, jobs.MaxRate)
		case "key":
			rate.Key = p.text("config.rate.key", value)
		default:
			p.mistakef("config.rate.%s is no option; there are limit, period, burst, key", shortened(key))
		}
	}

	for _, key := range []string{"limit", "period"} {
		if _, ok := fields[key]; !ok {
			p.mistakef("config.rate.%s is missing", key)
		}
	}
}

func (p *parser) period(raw json.RawMessage) Milliseconds {
	d, err := ParseDuration(raw)
	if err != nil || d < jobs.MinRatePeriod || d > jobs.MaxRatePeriod {
		p.mistakef(`config.rate.period must be a time from %s to 365d, as "1m" or a number of milliseconds, not %s`,
			jobs.MinRatePeriod, shortened(raw))
		return 0
	}

	return Milliseconds(d.Milliseconds())
}

// checkLimits finds what is wrong with limits whose parts were read well.
func (p *parser) checkLimits() {
	if len(p.mistakes) > 0 {
		return
	}

	if err := p.config.limits().Validate(); err != nil {
		p.mistakef("config: %v", err)
	}
}
