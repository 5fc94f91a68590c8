package jobs

import (
	"encoding/json"
	"fmt"
	"regexp"
	"time"

	"github.com/millrace-dev/millrace/internal/safedial"
)

// Bounds of options; Options documents them.
const (
	maxFunctionName   = 127 // River's limit for a kind
	maxQueueName      = 64
	maxTags           = 20
	maxTagLength      = 100
	maxAttemptsLimit  = 100
	maxIdempotencyKey = 255
	maxEvent          = 16 << 10 // bytes of JSON
	minTimeout        = time.Millisecond
	maxTimeout        = 24 * time.Hour
	maxRunAhead       = 10 * 366 * 24 * time.Hour
)

// grammar holds the compiled forms of names. Queues and tags are River's, so that its tools accept our rows.
type grammar struct {
	function, queue, tag, key *regexp.Regexp
}

func newGrammar() grammar {
	return grammar{
		function: regexp.MustCompile(`\A[A-Za-z0-9_][A-Za-z0-9_-]*(\.[A-Za-z0-9_][A-Za-z0-9_-]*)*\z`),
		queue:    regexp.MustCompile(`\A[a-z0-9]+([_-]?[a-z0-9]+)*\z`),
		tag:      regexp.MustCompile(`\A\w[\w-]+\w\z`),
		key:      regexp.MustCompile(`\A[\x20-\x7e]+\z`),
	}
}

// checker validates submissions.
type checker struct {
	grammar   grammar
	maxInput  int
	callbacks safedial.Policy
	now       func() time.Time
}

// check returns everything that is wrong with sub as one *ValidationError, or nil.
func (c *checker) check(sub *Submission) error {
	wrong := &ValidationError{}

	c.checkFunction(wrong, sub.Function)

	if len(sub.Input) > 0 {
		if err := CheckInput(sub.Input, c.maxInput); err != nil {
			wrong.Add("input", err.Error())
		}
	}

	c.checkNumbers(wrong, &sub.Options)
	c.checkTimes(wrong, &sub.Options)
	c.checkNames(wrong, &sub.Options)
	c.checkCallback(wrong, &sub.Options)
	c.checkRules(wrong, &sub.Options)
	sub.Options.Backoff.validate(wrong)
	checkEvent(wrong, sub.Options.Event)

	return wrong.OrNil()
}

// checkForFunction returns what is wrong with a checked submission for the function that it is for, as one
// *ValidationError, or nil.
func checkForFunction(sub *Submission, settings *Settings) error {
	wrong := &ValidationError{}
	opts := &sub.Options

	if its := ruleOf(opts, settings); its != nil && (!opts.RunAt.IsZero() || opts.Delay != 0) && decidesTime(its) {
		wrong.Add(its.name(), "decides when the job starts: it cannot be combined with run_at or delay")
	}

	if hard := firstPositive(opts.Timeout, settings.Timeout, DefaultTimeout); opts.SoftTimeout >= hard {
		wrong.Add("soft_timeout", fmt.Sprintf("must be shorter than the timeout, which is %s", hard))
	}

	settings.Schema.check(wrong, sub.Input)

	return wrong.OrNil()
}

// decidesTime reports whether a rule says when its jobs start.
func decidesTime(r rule) bool {
	switch r := r.(type) {
	case *Debounce:
		return true
	case *Throttle:
		return !r.Drop
	default:
		return false
	}
}

func (c *checker) checkRules(wrong *ValidationError, opts *Options) {
	given := rules(opts.Unique, opts.Debounce, opts.Throttle)
	for _, r := range given {
		r.validate(wrong)
	}

	if len(given) > 1 {
		wrong.Add(given[1].name(), "cannot be combined with "+given[0].name()+": a submission has one rule")
	}
}

func checkEvent(wrong *ValidationError, event json.RawMessage) {
	if len(event) == 0 {
		return
	}

	if err := CheckInput(event, maxEvent); err != nil {
		wrong.Add("event", err.Error())
	} else if event[0] != '{' {
		wrong.Add("event", "must be an object")
	}
}

func (c *checker) checkFunction(wrong *ValidationError, name string) {
	switch {
	case name == "":
		wrong.Add("function", "is missing")
	case len(name) > maxFunctionName:
		wrong.Add("function", fmt.Sprintf("is longer than %d characters", maxFunctionName))
	case !c.grammar.function.MatchString(name):
		wrong.Add("function", "must be names of letters, digits, '_' and '-', joined by dots, such as orders.charge")
	}
}

func (c *checker) checkNumbers(wrong *ValidationError, opts *Options) {
	if opts.Priority != 0 && (opts.Priority < 1 || opts.Priority > 4) {
		wrong.Add("priority", "must be between 1 (first) and 4 (last)")
	}

	if opts.MaxAttempts != 0 && (opts.MaxAttempts < 1 || opts.MaxAttempts > maxAttemptsLimit) {
		wrong.Add("max_attempts", fmt.Sprintf("must be between 1 and %d", maxAttemptsLimit))
	}
}

func (c *checker) checkTimes(wrong *ValidationError, opts *Options) {
	if opts.Timeout != 0 && (opts.Timeout < minTimeout || opts.Timeout > maxTimeout) {
		wrong.Add("timeout", fmt.Sprintf("must be between %s and %s", minTimeout, maxTimeout))
	}

	if opts.SoftTimeout != 0 && (opts.SoftTimeout < minTimeout || opts.SoftTimeout > maxTimeout) {
		wrong.Add("soft_timeout", fmt.Sprintf("must be between %s and %s", minTimeout, maxTimeout))
	}

	if opts.Delay < 0 || opts.Delay > maxRunAhead {
		wrong.Add("delay", "must be between 0 and ten years")
	}

	if opts.RunAt.IsZero() {
		return
	}

	if opts.Delay != 0 {
		wrong.Add("delay", "cannot be combined with run_at")
	}

	if opts.RunAt.After(c.now().Add(maxRunAhead)) {
		wrong.Add("run_at", "is more than ten years ahead")
	}
}

func (c *checker) checkNames(wrong *ValidationError, opts *Options) {
	if opts.Queue != "" && (len(opts.Queue) > maxQueueName || !c.grammar.queue.MatchString(opts.Queue)) {
		wrong.Add("queue", fmt.Sprintf("must be lower-case letters and digits, joined by '_' or '-', at most %d characters",
			maxQueueName))
	}

	if len(opts.Tags) > maxTags {
		wrong.Add("tags", fmt.Sprintf("are more than %d", maxTags))
	}

	for _, tag := range opts.Tags {
		if len(tag) > maxTagLength || !c.grammar.tag.MatchString(tag) {
			wrong.Add("tags", fmt.Sprintf("%.120q must be 3 to %d letters, digits, '_' or inner '-'", tag, maxTagLength))

			break
		}
	}

	if key := opts.IdempotencyKey; key != "" && (len(key) > maxIdempotencyKey || !c.grammar.key.MatchString(key)) {
		wrong.Add("idempotency_key", fmt.Sprintf("must be at most %d printable ASCII characters", maxIdempotencyKey))
	}
}
