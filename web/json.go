package web

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/gofiber/fiber/v2"
)

// writeJSON answers with a value. HTML is escaped as encoding/json does, so that an answer opened as a page by
// mistake is text. The line ends, for terminals.
func writeJSON(c *fiber.Ctx, status int, value any) error {
	var out bytes.Buffer
	if err := json.NewEncoder(&out).Encode(value); err != nil {
		return fmt.Errorf("encode an answer: %w", err)
	}
	return writeRaw(c, status, fiber.MIMEApplicationJSON, out.Bytes())
}

func writeRaw(c *fiber.Ctx, status int, kind string, data []byte) error {
	response := &c.Context().Response
	response.SetStatusCode(status)
	response.Header.SetContentType(kind)
	response.SetBodyRaw(data)
	return nil
}

// readJSON reads the body into a value. Unknown fields are refused: a misspelt option that is silently ignored
// is found in production.
func (s *Server) readJSON(c *fiber.Ctx, into any) error {
	if err := wantJSON(c); err != nil {
		return err
	}
	data, err := s.readBody(c)
	if err != nil {
		return err
	}
	return decodeJSON(data, into)
}

// decodeJSON decodes exactly one value.
func decodeJSON(data []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return jsonProblem(data, err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return newProblem(CodeInvalidJSON, "There is more than one JSON value.")
	}
	return nil
}

// jsonProblem says where and why, in words of ours: the package's own name Go types.
func jsonProblem(data []byte, err error) *Problem {
	var (
		syntax *json.SyntaxError
		kind   *json.UnmarshalTypeError
	)
	const unknownField = `json: unknown field `
	switch text := err.Error(); {
	case len(bytes.TrimSpace(data)) == 0:
		return newProblem(CodeInvalidJSON, "The body is empty.")
	case errors.As(err, &syntax):
		return problemf(CodeInvalidJSON, "Byte %d: %s.", syntax.Offset, syntax.Error())
	case errors.Is(err, io.ErrUnexpectedEOF):
		return newProblem(CodeInvalidJSON, "The JSON value is not complete.")
	case errors.As(err, &kind):
		return fieldProblem(CodeInvalidRequest, FieldError{Field: clip(kind.Field), Message: "cannot be " + article(kind.Value)})
	case len(text) > len(unknownField) && text[:len(unknownField)] == unknownField:
		return fieldProblem(CodeInvalidRequest, FieldError{
			Field: clip(strings.Trim(text[len(unknownField):], `"`)), Message: "is not known here",
		})
	default:
		return newProblem(CodeInvalidRequest, "A value has a form that is not expected: durations are texts such as "+
			`"10s", times as "2026-01-31T08:00:00Z".`)
	}
}

// article is a kind of JSON value in a sentence. Of a number that does not fit, encoding/json tells the number too.
func article(kind string) string {
	if strings.HasPrefix(kind, "object") || strings.HasPrefix(kind, "array") {
		return "an " + kind
	}
	return "a " + clip(kind)
}
