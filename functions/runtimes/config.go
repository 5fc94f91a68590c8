package runtimes

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/millrace-dev/millrace/jobs"
)

// Limits of a function's configuration.
const (
	MinTime    = time.Millisecond // of timeouts and waits
	MaxTime    = 24 * time.Hour
	MaxRetries = 99      // with the first one that makes 100 attempts
	MinMemory  = 4 << 20 // bytes; less does not even hold the language's own objects and a small program
)

// Config is what a function's `export const config = {…}` asks for. Zero fields mean the platform's defaults.
type Config struct {
	Queue       string         `json:"queue,omitempty"`
	Priority    int            `json:"priority,omitempty"`        // 1 (first) to 4 (last)
	MaxAttempts int            `json:"max_attempts,omitempty"`    // 1 to 100
	Timeout     Milliseconds   `json:"timeout_ms,omitempty"`      // of one attempt
	SoftTimeout Milliseconds   `json:"soft_timeout_ms,omitempty"` // below it
	Backoff     jobs.Backoff   `json:"backoff,omitzero"`
	Memory      int64          `json:"memory,omitempty"` // bytes
	Schedules   []Schedule     `json:"schedules,omitempty"`
	Callback    *jobs.Callback `json:"callback,omitempty"` // of jobs that say none
	Retention   Retention      `json:"retention,omitzero"`

	// Limits over all instances, see jobs.Limits.
	Concurrency    int    `json:"concurrency,omitempty"`
	ConcurrencyKey string `json:"concurrency_key,omitempty"`
	Rate           Rate   `json:"rate,omitzero"`

	// At most one of them: how many jobs come of several submissions, see jobs.Unique.
	Unique   *jobs.Unique   `json:"unique,omitempty"`
	Debounce *jobs.Debounce `json:"debounce,omitempty"`
	Throttle *jobs.Throttle `json:"throttle,omitempty"`

	Schema *jobs.Schema `json:"schema,omitempty"` // of the input

	Socket *Socket `json:"socket,omitempty"` // of a consumer

	Process ProcessConfig `json:"process,omitzero"` // of functions that run in child processes
}

// Milliseconds is a duration that is stored as a whole number of milliseconds.
type Milliseconds int64

// Duration is m as a time.Duration.
func (m Milliseconds) Duration() time.Duration { return time.Duration(m) * time.Millisecond }

// Settings is the part of the configuration that the job service acts on.
func (c Config) Settings(version string) jobs.Settings {
	return jobs.Settings{
		Version:     version,
		Queue:       c.Queue,
		Priority:    c.Priority,
		MaxAttempts: c.MaxAttempts,
		Timeout:     c.Timeout.Duration(),
		SoftTimeout: c.SoftTimeout.Duration(),
		Backoff:     c.Backoff,
		Unique:      c.Unique,
		Debounce:    c.Debounce,
		Throttle:    c.Throttle,
		Schema:      c.Schema,
		Limits:      c.limits(),
		Callback:    c.Callback,
		Retention:   c.Retention.settings(),
	}
}

func convert[From, To any](list []From, f func(From) To) []To {
	if len(list) == 0 {
		return nil
	}

	converted := make([]To, len(list))
	for i, value := range list {
		converted[i] = f(value)
	}

	return converted
}

// ConfigOf is the configuration that gives settings.
func ConfigOf(settings jobs.Settings) Config {
	return Config{
		Queue:          settings.Queue,
		Priority:       settings.Priority,
		MaxAttempts:    settings.MaxAttempts,
		Timeout:        Milliseconds(settings.Timeout.Milliseconds()),
		SoftTimeout:    Milliseconds(settings.SoftTimeout.Milliseconds()),
		Backoff:        settings.Backoff,
		Unique:         settings.Unique,
		Debounce:       settings.Debounce,
		Throttle:       settings.Throttle,
		Schema:         settings.Schema,
		Concurrency:    settings.Limits.Concurrency,
		ConcurrencyKey: settings.Limits.ConcurrencyKey,
		Rate:           rateOf(settings.Limits.Rate),
		Callback:       settings.Callback,
		Retention:      retentionOf(settings.Retention),
	}
}

// ParseConfig reads a configuration from JSON, as a function exports it:
//
//	queue        name of the queue: lower-case letters and digits, joined by '_' or '-', at most 64
//	priority     1 (first) to 4 (last)
//	retries      attempts after the first one, 0 to 99; or, instead,
//	maxAttempts  attempts in all, 1 to 100
//	timeout      of one attempt, as "30s", "5m" or a number of milliseconds
//	softTimeout  when the function is told, through ctx.signal, that its timeout comes: below it
//	backoff      wait after the first failed attempt, as "1s"; or {kind, first, max, factor, jitter}, kind being
//	             exponential, linear or fixed; or the waits, as ["1s", "1m"]
//	schedule     when to run it: a cron expression, or {cron, timezone, input, overlap, catchUp, catchUpWindow, jitter}
//	schedules    a list of them, each with a name if it likes
//	retention    how long finished jobs are kept: {completed, failed, cancelled}, each as "30d", 0 or "forever"
//	callback     where the end of its jobs is told: a URL, or {url, events}
//	memory       limit of one call, as "64MB", "128MiB" or a number of bytes, at most maxMemory
//	concurrency     jobs running at once over all instances; with
//	concurrencyKey  a path or template on the input, of each of its values
//	rate            {limit, period, burst, key}: starts over all instances, by GCRA; see jobs.Limits for these three
//	unique          true, a key, or {key, period, replace}; see jobs.Unique; or, instead,
//	debounce        a time, or {period, max, key}; see jobs.Debounce; or, instead,
//	throttle        "5/1m", or {limit, period, key, drop}; see jobs.Throttle
//	schema          a JSON Schema of the input; see jobs.CompileSchema
//
// It returns every mistake that it finds. Unknown keys are mistakes: a misspelt option must not be ignored.
func ParseConfig(raw []byte, maxMemory int64) (Config, []string) {
	return parseConfig(raw, maxMemory, nil)
}

// parseConfig reads a configuration that has options besides those of every function.
func parseConfig(raw []byte, maxMemory int64, more map[string]func(*parser, json.RawMessage)) (Config, []string) {
	fields := map[string]json.RawMessage{}
	if err := json.Unmarshal(raw, &fields); err != nil || fields == nil {
		return Config{}, []string{"config must be an object"}
	}

	p := parser{}
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		if read, ok := more[key]; ok {
			read(&p, fields[key])
		} else {
			p.key(key, fields[key], maxMemory, slices.Sorted(maps.Keys(more)))
		}
	}
	p.checkLimits()
	p.checkTimeouts()
	p.checkRules()

	if _, both := fields["schedule"]; both {
		if _, both := fields["schedules"]; both {
			p.mistakef("config.schedule and config.schedules say the same thing: keep one")
		}
	}

	if _, both := fields["retries"]; both {
		if _, both := fields["maxAttempts"]; both {
			p.mistakef("config.retries and config.maxAttempts say the same thing: keep one")
		}
	}

	return p.config, p.mistakes
}

type parser struct {
	config   Config
	mistakes []string
}

func (p *parser) mistakef(format string, args ...any) {
	p.mistakes = append(p.mistakes, fmt.Sprintf(format, args...))
}

// options are what a configuration may say, and how it is read.
var options = map[string]func(p *parser, raw json.RawMessage, maxMemory int64){
	"queue": func(p *parser, raw json.RawMessage, _ int64) { p.queue(raw) },
	"priority": func(p *parser, raw json.RawMessage, _ int64) {
		p.config.Priority = p.integer("config.priority", raw, 1, 4)
	},
	"retries": func(p *parser, raw json.RawMessage, _ int64) {
		p.config.MaxAttempts = 1 + p.integer("config.retries", raw, 0, MaxRetries)
	},
	"maxAttempts": func(p *parser, raw json.RawMessage, _ int64) {
		p.config.MaxAttempts = p.integer("config.maxAttempts", raw, 1, 1+MaxRetries)
	},
	"timeout": func(p *parser, raw json.RawMessage, _ int64) { p.config.Timeout = p.duration("config.timeout", raw) },
	"softTimeout": func(p *parser, raw json.RawMessage, _ int64) {
		p.config.SoftTimeout = p.duration("config.softTimeout", raw)
	},
	"backoff":   func(p *parser, raw json.RawMessage, _ int64) { p.config.Backoff = said(p, raw, jobs.ParseBackoff) },
	"unique":    func(p *parser, raw json.RawMessage, _ int64) { p.config.Unique = said(p, raw, jobs.ParseUnique) },
	"debounce":  func(p *parser, raw json.RawMessage, _ int64) { p.config.Debounce = said(p, raw, jobs.ParseDebounce) },
	"throttle":  func(p *parser, raw json.RawMessage, _ int64) { p.config.Throttle = said(p, raw, jobs.ParseThrottle) },
	"schema":    func(p *parser, raw json.RawMessage, _ int64) { p.schema(raw) },
	"schedule":  func(p *parser, raw json.RawMessage, _ int64) { p.schedule("config.schedule", "1", raw) },
	"schedules": func(p *parser, raw json.RawMessage, _ int64) { p.schedules(raw) },
	"memory":    func(p *parser, raw json.RawMessage, maxMemory int64) { p.memory(raw, maxMemory) },
	"concurrency": func(p *parser, raw json.RawMessage, _ int64) {
		p.config.Concurrency = p.integer("config.concurrency", raw, 1, jobs.MaxConcurrency)
	},
	"concurrencyKey": func(p *parser, raw json.RawMessage, _ int64) {
		p.config.ConcurrencyKey = p.text("config.concurrencyKey", raw)
	},
	"rate":      func(p *parser, raw json.RawMessage, _ int64) { p.rate(raw) },
	"callback":  func(p *parser, raw json.RawMessage, _ int64) { p.callback(raw) },
	"retention": func(p *parser, raw json.RawMessage, _ int64) { p.retention(raw) },
}

func (p *parser) key(key string, raw json.RawMessage, maxMemory int64, more []string) {
	read, ok := options[key]
	if !ok {
		names := append([]string{"queue, priority, retries, maxAttempts, timeout, softTimeout, backoff, memory, schedule, schedules, callback, " +
			"retention, concurrency, concurrencyKey, rate, unique, debounce, throttle, schema"}, more...)
		p.mistakef("config.%s is no option; there are %s", shortened(key), strings.Join(names, ", "))

		return
	}

	read(p, raw, maxMemory)
}

// queueName and its length are River's, as in package jobs.
var queueName = regexp.MustCompile(`\A[a-z0-9]+([_-]?[a-z0-9]+)*\z`)

const maxQueueName = 64

func (p *parser) queue(raw json.RawMessage) {
	if err := json.Unmarshal(raw, &p.config.Queue); err != nil ||
		len(p.config.Queue) > maxQueueName || !queueName.MatchString(p.config.Queue) {
		p.mistakef("config.queue must be lower-case letters and digits, joined by '_' or '-', at most %d, not %s", maxQueueName, shortened(raw))
	}
}

func (p *parser) integer(what string, raw json.RawMessage, least, most int) int {
	var n *float64
	if err := json.Unmarshal(raw, &n); err != nil || n == nil || *n != math.Trunc(*n) ||
		*n < float64(least) || *n > float64(most) {
		p.mistakef("%s must be a whole number from %d to %d, not %s", what, least, most, shortened(raw))
		return 0
	}

	return int(*n)
}

func (p *parser) duration(what string, raw json.RawMessage) Milliseconds {
	d, err := ParseDuration(raw)
	if err != nil || d < MinTime || d > MaxTime {
		p.mistakef(`%s must be a time from %s to %s, as "30s" or a number of milliseconds, not %s`, what, MinTime, MaxTime, shortened(raw))
		return 0
	}

	return Milliseconds(d.Milliseconds())
}

// checkTimeouts finds a soft time limit that the hard one comes before.
func (p *parser) checkTimeouts() {
	hard := p.config.Timeout.Duration()
	if hard == 0 {
		hard = jobs.DefaultTimeout
	}

	if soft := p.config.SoftTimeout.Duration(); soft >= hard {
		p.mistakef("config.softTimeout must be shorter than the timeout, which is %s", hard)
	}
}

// said reads what package jobs has a grammar for.
func said[T any](p *parser, raw json.RawMessage, parse func([]byte, jobs.DurationParser) (T, error)) T {
	value, err := parse(raw, ParseDuration)
	if wrong, is := errors.AsType[*jobs.ValidationError](err); is {
		for _, field := range wrong.Fields {
			p.mistakef("config.%s %s, not %s", field.Field, field.Message, shortened(raw))
		}
	}

	return value
}

func (p *parser) schema(raw json.RawMessage) {
	schema, err := jobs.CompileSchema(raw)
	if err != nil {
		p.mistakef("config.schema: %s", err)
	}

	p.config.Schema = schema
}

// checkRules finds rules that stand beside each other.
func (p *parser) checkRules() {
	if c := &p.config; (c.Unique != nil && c.Debounce != nil) || (c.Throttle != nil && (c.Unique != nil || c.Debounce != nil)) {
		p.mistakef("config.unique, config.debounce and config.throttle cannot be combined: keep one")
	}
}

func (p *parser) memory(raw json.RawMessage, most int64) {
	n, err := parseBytes(raw)
	if err != nil || n < MinMemory || n > most {
		p.mistakef(`config.memory must be from %d to %d bytes, as "64MB" or a number, not %s`, int64(MinMemory), most, shortened(raw))
		return
	}

	p.config.Memory = n
}

// ParseDuration reads a duration from JSON: a string as time.ParseDuration takes it, with d for days, or a
// number of milliseconds.
func ParseDuration(raw []byte) (time.Duration, error) {
	var ms *float64
	if err := json.Unmarshal(raw, &ms); err == nil && ms != nil {
		if math.Abs(*ms) > float64(math.MaxInt64/int64(time.Millisecond)) {
			return 0, fmt.Errorf("%s milliseconds is out of range", shortened(raw))
		}

		return time.Duration(*ms * float64(time.Millisecond)), nil
	}

	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return 0, fmt.Errorf("%s is no duration", shortened(raw))
	}

	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.ParseFloat(days, 64); err == nil && math.Abs(n) < 100_000 {
			return time.Duration(n * float64(24*time.Hour)), nil
		}
	}

	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("%q is no duration", shortened(text))
	}

	return d, nil
}

var bytesText = regexp.MustCompile(`\A([0-9]+(?:\.[0-9]+)?) ?(B|KB|KiB|MB|MiB|GB|GiB)\z`)

func parseBytes(raw []byte) (int64, error) {
	var n *float64
	if err := json.Unmarshal(raw, &n); err == nil && n != nil {
		if *n != math.Trunc(*n) || math.Abs(*n) > 1<<50 {
			return 0, fmt.Errorf("%s is no number of bytes", shortened(raw))
		}

		return int64(*n), nil
	}

	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return 0, fmt.Errorf("%s is no number of bytes", shortened(raw))
	}

	parts := bytesText.FindStringSubmatch(text)
	if parts == nil {
		return 0, fmt.Errorf("%q is no number of bytes", shortened(text))
	}

	units := map[string]float64{
		"B": 1, "KB": 1e3, "MB": 1e6, "GB": 1e9, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30,
	}
	value, err := strconv.ParseFloat(parts[1], 64)
	if err != nil || value > 1e6 {
		return 0, fmt.Errorf("%q is no number of bytes", shortened(text))
	}

	return int64(value * units[parts[2]]), nil
}
