package runtimes

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"

	"github.com/millrace-dev/millrace/jobs/schedules"
)

// MaxSchedules is how many schedules a function may declare.
const MaxSchedules = 20

// Schedule is one schedule that a function declares, see schedules.Spec.
type Schedule struct {
	Name          string          `json:"name"` // unique within the function
	Cron          string          `json:"cron"`
	Timezone      string          `json:"timezone,omitempty"`
	Input         json.RawMessage `json:"input,omitempty"`
	Overlap       string          `json:"overlap,omitempty"`
	CatchUp       string          `json:"catch_up,omitempty"`
	CatchUpWindow Milliseconds    `json:"catch_up_window_ms,omitempty"`
	Jitter        Milliseconds    `json:"jitter_ms,omitempty"`
}

// ScheduleSpecs are the schedules as the job service takes them.
func (c Config) ScheduleSpecs() []schedules.Spec { return convert(c.Schedules, Schedule.spec) }

func (s Schedule) spec() schedules.Spec {
	return schedules.Spec{
		Name: s.Name, Cron: s.Cron, Timezone: s.Timezone, Input: s.Input,
		Overlap: schedules.Overlap(s.Overlap), CatchUp: schedules.CatchUp(s.CatchUp),
		CatchUpWindow: s.CatchUpWindow.Duration(), Jitter: s.Jitter.Duration(),
	}
}

var declaredName = regexp.MustCompile(`\A[A-Za-z0-9][A-Za-z0-9_-]{0,39}\z`)

// schedules reads config.schedules, a list.
func (p *parser) schedules(raw json.RawMessage) {
	var list []json.RawMessage
	if err := json.Unmarshal(raw, &list); err != nil || list == nil || len(list) > MaxSchedules {
		p.mistakef("config.schedules must be a list of at most %d schedules, not %s", MaxSchedules, shortened(raw))
		return
	}

	names := map[string]bool{}

	for i, one := range list {
		where := fmt.Sprintf("config.schedules[%d]", i)
		p.schedule(where, strconv.Itoa(i+1), one)

		if n := len(p.config.Schedules); n > 0 {
			name := p.config.Schedules[n-1].Name
			if names[name] {
				p.mistakef("%s.name %q is the name of another schedule of the function", where, name)
			}
			names[name] = true
		}
	}
}

// schedule reads one: a cron expression, or an object.
func (p *parser) schedule(where, name string, raw json.RawMessage) {
	s := Schedule{Name: name}
	if err := json.Unmarshal(raw, &s.Cron); err != nil {
		fields := map[string]json.RawMessage{}
		if err := json.Unmarshal(raw, &fields); err != nil || fields == nil {
			p.mistakef(`%s must be a cron expression or {cron, timezone, input}, not %s`, where, shortened(raw))
			return
		}

		for _, key := range slices.Sorted(maps.Keys(fields)) {
			p.scheduleKey(&s, where, key, fields[key])
		}
	}

	inScript := map[string]string{"catch_up": "catchUp", "catch_up_window": "catchUpWindow"}

	for _, mistake := range schedules.CheckDeclared(s.spec()) {
		field := mistake.Field
		if name, ok := inScript[field]; ok {
			field = name
		}

		p.mistakef("%s.%s %s", where, field, mistake.Message)
	}

	p.config.Schedules = append(p.config.Schedules, s)
}

func (p *parser) scheduleKey(s *Schedule, where, key string, raw json.RawMessage) {
	what := where + "." + key

	text := func(into *string) {
		if err := json.Unmarshal(raw, into); err != nil {
			p.mistakef("%s must be a text, not %s", what, shortened(raw))
		}
	}

	switch key {
	case "name":
		if text(&s.Name); !declaredName.MatchString(s.Name) {
			p.mistakef("%s must be 1 to 40 letters, digits, '_' and '-', not %s", what, shortened(raw))
		}
	case "cron":
		text(&s.Cron)
	case "timezone":
		text(&s.Timezone)
	case "overlap":
		text(&s.Overlap)
	case "catchUp":
		text(&s.CatchUp)
	case "catchUpWindow":
		s.CatchUpWindow = p.span(what, raw)
	case "jitter":
		s.Jitter = p.span(what, raw)
	case "input":
		s.Input = raw
	default:
		p.mistakef("%s is no option; there are name, cron, timezone, input, overlap, catchUp, catchUpWindow, jitter", what)
	}
}

// span reads a duration whose bounds the job service checks.
func (p *parser) span(what string, raw json.RawMessage) Milliseconds {
	d, err := ParseDuration(raw)
	if err != nil {
		p.mistakef(`%s must be a time, as "30s" or a number of milliseconds, not %s`, what, shortened(raw))
	}

	return Milliseconds(d.Milliseconds())
}
