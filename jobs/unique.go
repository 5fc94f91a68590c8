package jobs

import (
	"encoding/json"
	"fmt"
	"time"
)

// Bounds of the rules below.
const (
	MinRulePeriod    = time.Millisecond
	MaxRulePeriod    = 365 * 24 * time.Hour
	MaxThrottleLimit = 1_000
)

// A rule says how many jobs come of several submissions. It has a key: an expression on the input as in Limits, whose
// value tells the submissions apart, within one function and one kind of rule. Rules hold over all nodes and all ways
// in, and they go by what is committed: whoever submits meanwhile is waited for. A submission has one rule at most, its
// own or else its function's.
//
// A job holds its key as long as it is kept: retention must be longer than the rule's period.

// Unique lets a submission make no second job: its answer is the first one, with OutcomeExisting.
type Unique struct {
	// Key is an expression on the input; empty means the whole input.
	Key string
	// Period begins with the submission of the first job, which counts unless it failed or was cancelled. 0 means as
	// long as the job is unfinished.
	Period time.Duration
	// Replace makes the first job what the second submission asks for, input, options and time, if it has not begun:
	// OutcomeReplaced.
	Replace bool
}

// Debounce makes one job of submissions that follow each other closely: it starts Period after the last of them, with
// its input and options. The earlier ones were its answer too, with OutcomeReplaced from the second on.
type Debounce struct {
	Key    string // an expression on the input; empty means that all jobs of the function are one
	Period time.Duration
	Max    time.Duration // from the first submission on: it starts then at the latest; 0 means whenever they end
}

// Throttle lets at most Limit jobs of a key start in any Period, as far as it is submissions that decide: one that runs
// late, or once more, counts for when it was planned. (Limits.Rate counts the starts themselves.)
type Throttle struct {
	Key    string // an expression on the input; empty means that all jobs of the function count together
	Limit  int    // 1 to MaxThrottleLimit
	Period time.Duration
	// Drop answers submissions beyond the limit with the newest job of the key, OutcomeDropped. Otherwise they are put
	// off to the first time that has room.
	Drop bool
}

// Outcome is what became of a submission that made no job of its own.
type Outcome string

// The outcomes; the empty one is a new job.
const (
	OutcomeExisting Outcome = "existing" // Unique: the first job, as it is
	OutcomeReplaced Outcome = "replaced" // Unique.Replace and Debounce: an earlier job that does now what this one asks for
	OutcomeDropped  Outcome = "dropped"  // Throttle.Drop: the newest job, as it is; this submission comes to nothing
)

// rule is what Unique, Debounce and Throttle have in common.
type rule interface {
	name() string
	validate(wrong *ValidationError)
	// canonical is the same text for the same rule, in Go and in SQL: for the hash of a request.
	canonical() string
}

// rules picks one: what is given of the three.
func rules(unique *Unique, debounce *Debounce, throttle *Throttle) []rule {
	var given []rule

	if unique != nil {
		given = append(given, unique)
	}

	if debounce != nil {
		given = append(given, debounce)
	}

	if throttle != nil {
		given = append(given, throttle)
	}

	return given
}

// ruleOf is the rule of a checked submission, nil for none.
func ruleOf(opts *Options, settings *Settings) rule {
	if own := rules(opts.Unique, opts.Debounce, opts.Throttle); len(own) > 0 {
		return own[0]
	}

	if its := rules(settings.Unique, settings.Debounce, settings.Throttle); len(its) > 0 {
		return its[0]
	}

	return nil
}

// ruleJSON is a rule as millrace.place_job reads it.
func ruleJSON(r rule) []byte {
	text, _ := json.Marshal(map[string]rule{r.name(): r}) //nolint:errchkjson // texts, numbers and bools

	return text
}

func (*Unique) name() string   { return "unique" }
func (*Debounce) name() string { return "debounce" }
func (*Throttle) name() string { return "throttle" }

func (u *Unique) canonical() string {
	return fmt.Sprintf("unique %d %t %s", u.Period.Milliseconds(), u.Replace, u.Key)
}

func (d *Debounce) canonical() string {
	return fmt.Sprintf("debounce %d %d %s", d.Period.Milliseconds(), d.Max.Milliseconds(), d.Key)
}

func (t *Throttle) canonical() string {
	return fmt.Sprintf("throttle %d %d %t %s", t.Period.Milliseconds(), t.Limit, t.Drop, t.Key)
}

// Validate returns every mistake in u as one *ValidationError, or nil.
func (u *Unique) Validate() error { return validateRule(u) }

// Validate returns every mistake in d as one *ValidationError, or nil.
func (d *Debounce) Validate() error { return validateRule(d) }

// Validate returns every mistake in t as one *ValidationError, or nil.
func (t *Throttle) Validate() error { return validateRule(t) }

func validateRule(r rule) error {
	wrong := &ValidationError{}
	r.validate(wrong)

	return wrong.OrNil()
}

func (u *Unique) validate(wrong *ValidationError) {
	checkRuleKey(wrong, u.name(), u.Key)

	if u.Period != 0 {
		checkRulePeriod(wrong, "unique.period", u.Period)
	}
}

func (d *Debounce) validate(wrong *ValidationError) {
	checkRuleKey(wrong, d.name(), d.Key)
	checkRulePeriod(wrong, "debounce.period", d.Period)

	if d.Max == 0 {
		return
	}

	checkRulePeriod(wrong, "debounce.max", d.Max)

	if d.Max < d.Period {
		wrong.Add("debounce.max", "must not be less than debounce.period")
	}
}

func (t *Throttle) validate(wrong *ValidationError) {
	checkRuleKey(wrong, t.name(), t.Key)
	checkRulePeriod(wrong, "throttle.period", t.Period)

	if t.Limit < 1 || t.Limit > MaxThrottleLimit {
		wrong.Add("throttle.limit", fmt.Sprintf("must be between 1 and %d", MaxThrottleLimit))
	}
}

func checkRuleKey(wrong *ValidationError, rule, key string) {
	if err := checkKey("it", key); err != nil {
		wrong.Add(rule+".key", fmt.Sprintf("must be a path such as input.customer.id or a template such as "+
			"{input.region}:{input.id}, at most %d bytes", maxKeyLength))
	}
}

func checkRulePeriod(wrong *ValidationError, field string, period time.Duration) {
	if period < MinRulePeriod || period > MaxRulePeriod {
		wrong.Add(field, fmt.Sprintf("must be between %s and %s", MinRulePeriod, MaxRulePeriod))
	}
}
