package web

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/millrace-dev/millrace/internal/auth"
	"github.com/millrace-dev/millrace/jobs"
)

// submission is a job to be, as JSON bodies and lines of a batch say it.
type submission struct {
	Function string          `json:"function"`
	Input    json.RawMessage `json:"input"`
	Options  options         `json:"options"`
}

// options are jobs.Options in JSON. Durations are texts as in the query.
type options struct {
	Queue          string         `json:"queue"`
	Priority       int            `json:"priority"`
	MaxAttempts    int            `json:"max_attempts"`
	Timeout        duration       `json:"timeout"`
	SoftTimeout    duration       `json:"soft_timeout"`
	RunAt          *time.Time     `json:"run_at"`
	Delay          duration       `json:"delay"`
	Tags           []string       `json:"tags"`
	IdempotencyKey string         `json:"idempotency_key"`
	Callback       *jobs.Callback `json:"callback"`
	Traceparent    string         `json:"traceparent"`

	// As package jobs reads them.
	Backoff  json.RawMessage `json:"backoff"`
	Unique   json.RawMessage `json:"unique"`
	Debounce json.RawMessage `json:"debounce"`
	Throttle json.RawMessage `json:"throttle"`
}

// rules reads the options that package jobs has a grammar for.
func (o *options) rules(into *jobs.Options) (err error) {
	var problems []error
	read := func(raw json.RawMessage, parse func(raw []byte) error) {
		if len(raw) > 0 {
			problems = append(problems, parse(raw))
		}
	}
	read(o.Backoff, func(raw []byte) error { into.Backoff, err = jobs.ParseBackoff(raw, jsonDuration); return err })
	read(o.Unique, func(raw []byte) error { into.Unique, err = jobs.ParseUnique(raw, jsonDuration); return err })
	read(o.Debounce, func(raw []byte) error { into.Debounce, err = jobs.ParseDebounce(raw, jsonDuration); return err })
	read(o.Throttle, func(raw []byte) error { into.Throttle, err = jobs.ParseThrottle(raw, jsonDuration); return err })
	all := &jobs.ValidationError{}
	for _, problem := range problems {
		if wrong, ok := errors.AsType[*jobs.ValidationError](problem); ok {
			all.Fields = append(all.Fields, wrong.Fields...)
		}
	}
	if len(all.Fields) > 0 {
		return all
	}
	return nil
}

// jsonDuration reads a text such as "10s" or a number of seconds.
func jsonDuration(raw []byte) (time.Duration, error) {
	var d duration
	if len(raw) == 0 || raw[0] == '[' || raw[0] == '{' {
		return 0, errors.New(durationGrammar) //nolint:err113 // shown to the user as it is
	}
	err := d.UnmarshalJSON(raw)
	return time.Duration(d), err
}

// queryRule is a query's value as JSON: that itself, when it is an object or an array, true or false, or else a text;
// a list of waits is separated by commas.
func queryRule(q *query, name string) json.RawMessage {
	text := q.text(name)
	switch {
	case text == "":
		return nil
	case text == "true", text == "false", text[0] == '{', text[0] == '[':
		if !json.Valid([]byte(text)) {
			q.fail(name, "is not valid JSON")
			return nil
		}
		return json.RawMessage(text)
	}
	var value any = text
	if waits := strings.Split(text, ","); name == "backoff" && len(waits) > 1 {
		value = waits
	}
	raw, _ := json.Marshal(value) //nolint:errchkjson // texts
	return raw
}

// duration is a text such as "10s" or a number of seconds.
type duration time.Duration

// UnmarshalJSON reads both.
func (d *duration) UnmarshalJSON(data []byte) error {
	parsed, ok := parseDuration(string(bytes.Trim(data, `"`)))
	if string(data) == "null" {
		return nil
	}
	if !ok {
		return errors.New(durationGrammar) //nolint:err113 // shown to the user as it is
	}
	*d = duration(parsed)
	return nil
}

// job is what is submitted for the caller.
func (s submission) job(who auth.Identity) (jobs.Submission, error) {
	sub := jobs.Submission{Function: s.Function, Input: s.Input, Options: jobs.Options{
		Queue:          s.Options.Queue,
		Priority:       s.Options.Priority,
		MaxAttempts:    s.Options.MaxAttempts,
		Timeout:        time.Duration(s.Options.Timeout),
		SoftTimeout:    time.Duration(s.Options.SoftTimeout),
		Delay:          time.Duration(s.Options.Delay),
		Tags:           s.Options.Tags,
		IdempotencyKey: ownJobKey(who, s.Options.IdempotencyKey),
		Callback:       s.Options.Callback,
		Traceparent:    s.Options.Traceparent,
	}}
	if s.Options.RunAt != nil {
		sub.Options.RunAt = *s.Options.RunAt
	}
	return sub, s.Options.rules(&sub.Options)
}

// submitToFunction takes the body as the input and the options from query and headers.
func (s *Server) submitToFunction(c *fiber.Ctx) error {
	name, err := pathParam(c, "name")
	if err != nil {
		return err
	}
	q := newQuery(c)
	const maxInt = 1 << 31
	sub := jobs.Submission{Function: name, Options: jobs.Options{
		Queue:          q.text("queue"),
		Priority:       int(q.number("priority", -maxInt, maxInt)),
		MaxAttempts:    int(q.number("max_attempts", -maxInt, maxInt)),
		Timeout:        q.duration("timeout"),
		SoftTimeout:    q.duration("soft_timeout"),
		RunAt:          q.instant("run_at"),
		Delay:          q.duration("delay"),
		Tags:           q.list("tags"),
		IdempotencyKey: ownJobKey(identityOf(c), c.Get(headerIdempotencyKey)),
		Callback:       q.callback(),
	}}
	wait := q.wait()
	given := options{
		Backoff: queryRule(q, "backoff"), Unique: queryRule(q, "unique"),
		Debounce: queryRule(q, "debounce"), Throttle: queryRule(q, "throttle"),
	}
	if err := q.err(); err != nil {
		return err
	}
	if err := given.rules(&sub.Options); err != nil {
		return err
	}
	if err := checkKeyHeader(c); err != nil {
		return err
	}
	if mediaType(&c.Context().Request.Header) == mimeEventBatch {
		sub.Options.IdempotencyKey = "" // each event has its own
		kind := &eventBatch{jobBatch: jobBatch{jobs: s.cfg.Jobs, who: identityOf(c)}, like: sub}
		return answerBatch[jobs.Submission, batchResult](s, c, kind, s.cfg.MaxInput+bodyExtra)
	}
	if is, err := s.readEvent(c, &sub); is {
		if err != nil {
			return err
		}
		return s.submit(c, sub, wait)
	}
	if err := wantJSON(c); err != nil {
		return err
	}
	if sub.Input, err = s.readBody(c); err != nil {
		return err
	}
	return s.submit(c, sub, wait)
}

// submitJob takes function, input and options from the body.
func (s *Server) submitJob(c *fiber.Ctx) error {
	q := newQuery(c)
	wait := q.wait()
	if err := q.err(); err != nil {
		return err
	}
	var said submission
	if err := s.readJSON(c, &said); err != nil {
		return err
	}
	if err := checkKeyHeader(c); err != nil {
		return err
	}
	if key := c.Get(headerIdempotencyKey); key != "" {
		said.Options.IdempotencyKey = key
	}
	who := identityOf(c)
	if !who.Allows(auth.ScopeJobsSubmit, said.Function) {
		return forbidden(auth.ScopeJobsSubmit, said.Function)
	}
	sub, err := said.job(who)
	if err != nil {
		return err //nolint:wrapcheck // mapped by problemOf
	}
	return s.submit(c, sub, wait)
}

// headerOutcome says in a word what Job.Outcome does.
const headerOutcome = "Millrace-Outcome"

// submit answers 202 and the job, or 200 and an earlier one that the submission came to, or as little of it as "Prefer: return=minimal" asks for, or 200 and the finished job when it is done within wait.
func (s *Server) submit(c *fiber.Ctx, sub jobs.Submission, wait time.Duration) error {
	job, err := s.cfg.Jobs.Submit(c.UserContext(), sub)
	if err != nil {
		return submitProblem(err, sub.Input)
	}
	if job.Replayed {
		c.Set(headerReplayed, "true")
	}
	outcome := job.Outcome
	if outcome != "" {
		c.Set(headerOutcome, string(outcome))
		if !identityOf(c).Allows(auth.ScopeJobsRead, job.Function) { // it may be somebody else's
			c.Set(fiber.HeaderLocation, jobPath(job.ID))
			return writeJSON(c, http.StatusOK, accepted{job.ID, job.Function, job.State, outcome})
		}
	}
	if wait > 0 {
		// The job is accepted whatever becomes of the waiting: an error here would make clients submit it again.
		if latest, err := s.waitFor(c, job, wait); err == nil {
			job = latest
			job.Outcome = outcome
		} else {
			s.log.WarnContext(c.UserContext(), "wait for a submitted job", "job_id", job.ID, "err", err)
		}
	}
	c.Set(fiber.HeaderLocation, jobPath(job.ID))
	status := http.StatusAccepted
	awaited := wait > 0 && job.State.Finished()
	if outcome != "" || awaited {
		status = http.StatusOK
	}
	if preferred(c.Get("Prefer"), "return") == "minimal" && !awaited {
		c.Set("Preference-Applied", "return=minimal")
		return writeJSON(c, status, accepted{job.ID, job.Function, job.State, outcome})
	}
	return writeJSON(c, status, job)
}

// accepted is a job for those who know its input already and ask for no more than its id.
type accepted struct {
	ID       int64        `json:"id,string"`
	Function string       `json:"function"`
	State    jobs.State   `json:"state"`
	Outcome  jobs.Outcome `json:"outcome,omitempty"`
}

// submitProblem tells input that is not JSON at all (400) from JSON that cannot be taken (422).
func submitProblem(err error, input []byte) error {
	var invalid *jobs.ValidationError
	if !errors.As(err, &invalid) || json.Valid(input) || len(input) == 0 {
		return err
	}
	problem := newProblem(CodeInvalidJSON, "")
	for _, f := range invalid.Fields {
		problem.Errors = append(problem.Errors, FieldError{Field: f.Field, Message: f.Message})
	}
	return problem
}

func jobPath(id int64) string { return "/v1/jobs/" + strconv.FormatInt(id, 10) }
