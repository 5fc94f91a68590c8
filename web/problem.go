package web

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"github.com/millrace-dev/millrace/functions"
)

const contentProblem = "application/problem+json"

// Problem is a refusal, in memory and on the wire.
type Problem struct { //nolint:errname // RFC 9457 calls it a problem
	Type      string       `json:"type"`
	Title     string       `json:"title"`
	Status    int          `json:"status"`
	Detail    string       `json:"detail,omitempty"`
	Code      Code         `json:"code"`
	Hint      string       `json:"hint,omitempty"`
	RequestID string       `json:"request_id,omitempty"`
	Errors    []FieldError `json:"errors,omitempty"`
	Items     []BatchItem  `json:"items,omitempty"` // of a batch that was refused as one
	// Diagnostics are the mistakes in the source of functions that do not build.
	Diagnostics []functions.Diagnostic `json:"diagnostics,omitempty"`

	retryAfter time.Duration
}

// FieldError is what is wrong with one field.
type FieldError struct {
	Field   string `json:"field"`
	Pointer string `json:"pointer,omitempty"` // JSON pointer into the field, when it is about a part of it
	Message string `json:"message"`
}

// BatchItem is what is wrong with one item of a batch.
type BatchItem struct {
	Index int      `json:"index"`
	Error *Problem `json:"error"`
}

// newProblem makes a problem of a code; the detail is for the user and must hold nothing internal.
func newProblem(code Code, detail string) *Problem {
	def, known := definitions[code]
	if !known {
		def = definitions[CodeInternal]
	}
	p := &Problem{
		Type: "/problems/" + string(code), Title: def.title, Status: def.status, Code: code, Hint: def.hint, Detail: detail,
	}
	if p.Status == http.StatusServiceUnavailable || code == CodeKeyInUse { // the same request will be answered otherwise
		p.retryAfter = time.Second
	}
	return p
}

func problemf(code Code, format string, args ...any) *Problem {
	return newProblem(code, fmt.Sprintf(format, args...))
}

// clip bounds what a problem quotes: a caller's text of megabytes, in each line of a batch, would be held and sent.
func clip(text string) string {
	const longest = 100
	if len(text) <= longest {
		return text
	}
	return strings.ToValidUTF8(text[:longest], "") + "…"
}

// fieldProblem is a refusal that names each wrong field.
func fieldProblem(code Code, fields ...FieldError) *Problem {
	p := newProblem(code, "")
	p.Errors = fields
	return p
}

// impossible is a refusal in words, of what no single field is to blame for.
func impossible(detail string) *Problem {
	p := newProblem(CodeValidationFailed, clip(detail))
	p.Hint = "" // there are no fields to look at
	return p
}

// Error makes a problem an error, so that handlers return it.
func (p *Problem) Error() string {
	if p.Detail == "" {
		return string(p.Code)
	}
	return string(p.Code) + ": " + p.Detail
}

// write answers with the problem.
func (p *Problem) write(ctx *fasthttp.RequestCtx, requestID string) {
	answer := *p
	answer.RequestID = requestID
	body, err := json.Marshal(answer)
	if err != nil {
		body = []byte(`{"code":"internal","status":500,"title":"Something went wrong in here","type":"/problems/internal"}`)
	}
	response := &ctx.Response
	response.ResetBody()
	response.SetStatusCode(p.Status)
	response.Header.SetContentType(contentProblem)
	response.Header.Set(fiber.HeaderCacheControl, "no-store")
	response.Header.Set(headerRequestID, requestID)
	if p.retryAfter > 0 {
		response.Header.Set(fiber.HeaderRetryAfter, strconv.Itoa(int(p.retryAfter.Seconds())))
	}
	if p.Status == http.StatusUnauthorized {
		response.Header.Set(fiber.HeaderWWWAuthenticate, `Bearer realm="millrace"`)
	}
	response.SetBodyRaw(append(body, '\n'))
}
