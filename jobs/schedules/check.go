package schedules

import (
	"cmp"
	"fmt"
	"regexp"
	"time"

	"github.com/millrace-dev/millrace/jobs"
	"github.com/millrace-dev/millrace/jobs/schedules/internal/cron"
)

// Bounds of schedules; Spec documents them.
const (
	maxName          = 100
	minCatchUpWindow = time.Second
	maxCatchUpWindow = 366 * 24 * time.Hour
	maxJitter        = 24 * time.Hour
)

// nameGrammar has no ':', which stands in the names of schedules that functions declare.
var nameGrammar = regexp.MustCompile(`\A[A-Za-z0-9][A-Za-z0-9_.-]*\z`)

// withDefaults fills in what the specification leaves open.
func withDefaults(s Spec) Spec {
	s.Timezone = cmp.Or(s.Timezone, DefaultTimezone)
	s.Overlap = cmp.Or(s.Overlap, DefaultOverlap)
	s.CatchUp = cmp.Or(s.CatchUp, DefaultCatchUp)
	s.CatchUpWindow = cmp.Or(s.CatchUpWindow, DefaultCatchUpWindow)

	if len(s.Input) == 0 {
		s.Input = []byte(`null`)
	}

	return s
}

// submission is what each tick submits.
func (s *Spec) submission() jobs.Submission {
	return jobs.Submission{Function: s.Function, Input: s.Input, Options: s.Options}
}

// expression parses the cron expression in its zone.
func (s *Spec) expression() (*cron.Expression, error) {
	zone, err := cron.Zone(s.Timezone)
	if err != nil {
		return nil, fmt.Errorf("timezone: %w", err)
	}

	e, err := cron.Parse(s.Cron, zone)
	if err != nil {
		return nil, fmt.Errorf("cron: %w", err)
	}

	return e, nil
}

// checkTiming adds what is wrong with when the schedule ticks, and how.
func (s *Spec) checkTiming(wrong *jobs.ValidationError) {
	zone, err := cron.Zone(s.Timezone)
	if err != nil {
		wrong.Add("timezone", err.Error())

		zone = time.UTC
	}

	if _, err := cron.Parse(s.Cron, zone); err != nil {
		wrong.Add("cron", err.Error())
	}

	switch s.Overlap {
	case OverlapQueue, OverlapSkip, OverlapReplace, OverlapCancel:
	default:
		wrong.Add("overlap", "must be queue, skip, replace or cancel")
	}

	switch s.CatchUp {
	case CatchUpNone, CatchUpOne, CatchUpAll:
	default:
		wrong.Add("catch_up", "must be none, one or all")
	}

	if s.CatchUpWindow < minCatchUpWindow || s.CatchUpWindow > maxCatchUpWindow {
		wrong.Add("catch_up_window", "must be between 1s and 366 days")
	}

	if s.Jitter < 0 || s.Jitter > maxJitter {
		wrong.Add("jitter", "must be between 0 and 24h")
	}
}

// check returns everything that is wrong with a specification that has its defaults.
func (s *Service) check(spec *Spec) error {
	wrong := &jobs.ValidationError{}

	if len(spec.Name) > maxName || !nameGrammar.MatchString(spec.Name) {
		wrong.Add("name", fmt.Sprintf("must be 1 to %d letters, digits, '_', '-' and '.', and begin with a letter or digit", maxName))
	}

	opts := &spec.Options
	if opts.Delay != 0 || !opts.RunAt.IsZero() || opts.IdempotencyKey != "" {
		wrong.Add("options", "cannot hold run_at, delay or idempotency_key: the tick says when, and is its own key")
	}

	spec.checkTiming(wrong)

	sub := spec.submission()
	if err := s.jobs.Check(&sub); err != nil {
		//nolint:errorlint,forcetypeassert // what check returns
		wrong.Fields = append(wrong.Fields, err.(*jobs.ValidationError).Fields...)
	}

	return wrong.OrNil()
}

// maxDeclaredInput bounds the input of a schedule that a function declares, in bytes of JSON.
const maxDeclaredInput = 1 << 20

// CheckDeclared returns what is wrong with a schedule that a function declares: with its timing, its policies and its
// input. The name is the function's affair.
func CheckDeclared(spec Spec) []jobs.FieldError {
	wrong := &jobs.ValidationError{}
	spec = withDefaults(spec)
	spec.checkTiming(wrong)

	if err := jobs.CheckInput(spec.Input, maxDeclaredInput); err != nil {
		wrong.Add("input", err.Error())
	}

	return wrong.Fields
}
