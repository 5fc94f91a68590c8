package apiclient

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"
)

// Problem is a refusal of the server (RFC 9457). Code is the stable word to compare; Title, Detail and
// Hint are for people.
type Problem struct { //nolint:errname // the RFC's own word
	Type      string       `json:"type"`
	Title     string       `json:"title"`
	Status    int          `json:"status"`
	Detail    string       `json:"detail,omitempty"`
	Code      string       `json:"code"`
	Hint      string       `json:"hint,omitempty"`
	RequestID string       `json:"request_id,omitempty"`
	Errors    []FieldError `json:"errors,omitempty"`

	RetryAfter  time.Duration `json:"-"`                     // from the header; 0 when the server named none
	Diagnostics []Diagnostic  `json:"diagnostics,omitempty"` // of a refused deployment
}

// FieldError is one mistake in a request.
type FieldError struct {
	Field   string `json:"field"`
	Message string `json:"message"`
}

// Error says title, detail, each field's mistake and the hint, in lines that read well in a terminal.
func (p *Problem) Error() string {
	var text strings.Builder
	text.WriteString(p.summary())
	for _, field := range p.Errors {
		fmt.Fprintf(&text, "\n  %s: %s", field.Field, field.Message)
	}
	for _, diagnostic := range p.Diagnostics {
		text.WriteString("\n  " + diagnostic.String())
	}
	if p.Hint != "" {
		text.WriteString("\n" + p.Hint)
	}
	return text.String()
}

func (p *Problem) summary() string {
	switch {
	case p.Detail == "" || p.Detail == p.Title:
		return p.Title
	case p.Code == "not_found":
		return p.Detail // names what is missing, which the title only says again
	default:
		return p.Title + ": " + p.Detail
	}
}

// IsProblem tells that the server answered and refused.
func IsProblem(err error) bool {
	var problem *Problem
	return errors.As(err, &problem)
}

// HasCode tells whether err is a Problem with this code.
func HasCode(err error, code string) bool {
	var problem *Problem
	return errors.As(err, &problem) && problem.Code == code
}

// HasStatus tells whether err is a Problem with this HTTP status.
func HasStatus(err error, status int) bool {
	var problem *Problem
	return errors.As(err, &problem) && problem.Status == status
}

// maxProblem bounds a refusal in bytes; only diagnostics of a broken deployment come near.
const maxProblem = 1 << 20

// readProblem turns a refusal into a *Problem. What is not a problem document (a proxy's page, another
// server) becomes one that says so, with the beginning of what came.
func readProblem(req call, resp *http.Response) *Problem {
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxProblem))
	problem := &Problem{}
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	isJSON := kind == "application/problem+json" || kind == "application/json"
	if err != nil || !isJSON || json.Unmarshal(body, problem) != nil || problem.Title == "" {
		problem = foreignProblem(req, resp, body)
	}
	problem.Status = resp.StatusCode
	problem.RetryAfter = parseRetryAfter(resp.Header.Get("Retry-After"), time.Now())
	if problem.RequestID == "" {
		problem.RequestID = resp.Header.Get("X-Request-ID")
	}
	return problem
}

func foreignProblem(req call, resp *http.Response, body []byte) *Problem {
	const shown = 200
	detail := strings.TrimSpace(strings.ToValidUTF8(string(body[:min(len(body), shown)]), "�"))
	return &Problem{
		Title:  fmt.Sprintf("%s answered %s", req.op(), resp.Status),
		Detail: detail,
		Code:   "foreign_answer",
		Hint:   "The answer is not one of millrace's: check the server address (and any proxy in between).",
	}
}
