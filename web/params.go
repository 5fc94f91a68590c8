package web

import (
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"
)

// pathParam returns a parameter of the path, unescaped once.
func pathParam(c *fiber.Ctx, name string) (string, error) {
	value, err := url.PathUnescape(c.Params(name))
	if err != nil {
		return "", newProblem(CodeInvalidRequest, "The path holds a broken % escape.")
	}
	return value, nil
}

// jobID reads the id of the path. What is no id is no job's.
func jobID(c *fiber.Ctx) (int64, error) {
	id, err := strconv.ParseInt(c.Params("id"), 10, 64)
	if err != nil || id <= 0 || c.Params("id")[0] == '+' {
		return 0, newProblem(CodeNotFound, "There is no such job.")
	}
	return id, nil
}

// maxUnknown is how many unknown parameters are told of.
const maxUnknown = 10

// checkQuery refuses parameters that the route does not have: who misspells one shall not get an answer that looks as if
// it had been heeded.
func (r *Route) checkQuery(c *fiber.Ctx) error {
	if r.AnyQuery || len(c.Context().QueryArgs().QueryString()) == 0 {
		return nil
	}
	known := r.queryNames()
	takes := "this route takes none"
	if len(known) > 0 {
		takes = "this route takes: " + strings.Join(known, ", ")
	}
	q := newQuery(c)
	for name := range c.Context().QueryArgs().All() {
		if name := string(name); !slices.Contains(known, name) && len(q.wrong) < maxUnknown {
			q.fail(clip(name), "is no parameter; "+takes)
		}
	}
	return q.err()
}

// queryNames lists the parameters that a query may have.
func (r *Route) queryNames() []string {
	var names []string
	for _, param := range r.Params {
		if param.In == "query" {
			names = append(names, param.Name)
		}
	}
	if r.TokenQuery {
		names = append(names, "token")
	}
	return names
}

// query reads typed values of the query string and gathers every mistake.
type query struct {
	c     *fiber.Ctx
	wrong []FieldError
}

func newQuery(c *fiber.Ctx) *query { return &query{c: c} }

func (q *query) text(name string) string { return q.c.Query(name) }

func (q *query) fail(name, message string) {
	q.wrong = append(q.wrong, FieldError{Field: name, Message: message})
}

// number is 0 when absent.
func (q *query) number(name string, least, most int64) int64 {
	text := q.c.Query(name)
	if text == "" {
		return 0
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < least || n > most {
		limits := "is a whole number of at least " + strconv.FormatInt(least, 10)
		if most < math.MaxInt64 {
			limits += " and at most " + strconv.FormatInt(most, 10)
		}
		q.fail(name, limits)
		return 0
	}
	return n
}

// duration is 0 when absent.
func (q *query) duration(name string) time.Duration {
	text := q.c.Query(name)
	if text == "" {
		return 0
	}
	d, ok := parseDuration(text)
	if !ok {
		q.fail(name, durationGrammar)
	}
	return d
}

// instant is zero when absent.
func (q *query) instant(name string) time.Time {
	text := q.c.Query(name)
	if text == "" {
		return time.Time{}
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		q.fail(name, "is a time such as 2026-01-31T08:00:00Z")
	}
	return at
}

// list splits at commas; nil when absent.
func (q *query) list(name string) []string {
	text := q.c.Query(name)
	if text == "" {
		return nil
	}
	return strings.Split(text, ",")
}

// flag is false when absent. Anything but true and false is a mistake: who writes dry_run=1 does not mean a deploy.
func (q *query) flag(name string) bool {
	switch q.c.Query(name) {
	case "", "false":
		return false
	case "true":
		return true
	default:
		q.fail(name, "is true or false")
		return false
	}
}

// wait is how long the answer may be held back: ?wait=10s, else "Prefer: wait=10" (RFC 7240).
func (q *query) wait() time.Duration {
	text := q.c.Query("wait")
	if text == "" {
		return min(preferredWait(q.c.Get("Prefer")), maxWait)
	}
	d, ok := parseDuration(text)
	if !ok || d < 0 {
		q.fail("wait", durationGrammar)
		return 0
	}
	return min(d, maxWait)
}

// preferredWait finds wait=N among the preferences. What is no number of seconds is ignored like the preferences
// that are none of ours: the RFC allows no refusal.
func preferredWait(header string) time.Duration {
	d, _ := parseDuration(preferred(header, "wait"))
	return max(d, 0)
}

// preferred returns the value of a preference, empty when there is none.
func preferred(header, wanted string) string {
	for preference := range strings.SplitSeq(header, ",") {
		preference, _, _ = strings.Cut(preference, ";") // parameters
		name, value, _ := strings.Cut(preference, "=")
		if strings.EqualFold(strings.TrimSpace(name), wanted) {
			return strings.Trim(strings.TrimSpace(value), `"`)
		}
	}
	return ""
}

func (q *query) err() error {
	if len(q.wrong) == 0 {
		return nil
	}
	return fieldProblem(CodeInvalidRequest, q.wrong...)
}

const durationGrammar = "is a duration such as 500ms, 10s, 2h, or a number of seconds"

// parseDuration reads Go's durations and plain seconds.
func parseDuration(text string) (time.Duration, bool) {
	if seconds, err := strconv.ParseInt(text, 10, 32); err == nil {
		return time.Duration(seconds) * time.Second, true
	}
	d, err := time.ParseDuration(text)
	return d, err == nil
}
