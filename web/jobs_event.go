package web

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/gofiber/fiber/v2"

	"github.com/millrace-dev/millrace/internal/auth"
	"github.com/millrace-dev/millrace/jobs"
)

// CloudEvents 1.0 (https://github.com/cloudevents/spec): the three forms in which HTTP carries them.
const (
	mimeEvent      = "application/cloudevents+json"
	mimeEventBatch = "application/cloudevents-batch+json"
	eventPrefix    = "ce-"
	eventVersion   = "1.0"
)

// cloudEvent is an event on its way to be a job: its data is the input, its other attributes are Options.Event, and
// its id and source are the idempotency key, as they say that an event is the same one.
type cloudEvent struct {
	attributes map[string]json.RawMessage
	data       json.RawMessage // null when there is none
}

// binaryEvent reads an event whose attributes are headers and whose data is the body; nil when it is none.
func binaryEvent(c *fiber.Ctx) *cloudEvent {
	if c.Get(eventPrefix+"specversion") == "" {
		return nil
	}
	event := &cloudEvent{attributes: map[string]json.RawMessage{}}
	for name, value := range c.Context().Request.Header.All() {
		attribute, ok := strings.CutPrefix(strings.ToLower(string(name)), eventPrefix)
		if !ok {
			continue
		}
		text, err := url.PathUnescape(string(value)) // section 3.1.3.2 of the HTTP binding
		if err != nil {
			text = string(value)
		}
		event.attributes[attribute], _ = json.Marshal(text) //nolint:errchkjson // a text
	}
	if kind := c.Get(fiber.HeaderContentType); kind != "" {
		event.attributes["datacontenttype"], _ = json.Marshal(kind) //nolint:errchkjson // a text
	}
	return event
}

// structuredEvent reads an event that is one JSON object.
func structuredEvent(raw []byte) (*cloudEvent, error) {
	event := &cloudEvent{data: json.RawMessage("null")}
	if err := json.Unmarshal(raw, &event.attributes); err != nil || event.attributes == nil {
		if len(raw) > 0 && json.Valid(raw) {
			return nil, problemf(CodeInvalidRequest, "A CloudEvent is a JSON object.")
		}
		return nil, jsonProblem(raw, err)
	}
	data, isData := event.attributes["data"]
	coded, isCoded := event.attributes["data_base64"]
	delete(event.attributes, "data")
	delete(event.attributes, "data_base64")
	switch {
	case isData && isCoded:
		return nil, fieldProblem(CodeValidationFailed, FieldError{Field: "data", Message: "cannot stand beside data_base64"})
	case isData:
		event.data = data
	case isCoded:
		var text []byte
		if err := json.Unmarshal(coded, &text); err != nil {
			return nil, fieldProblem(CodeValidationFailed, FieldError{Field: "data_base64", Message: "is not base64"})
		}
		event.setData(text)
	}
	return event, nil
}

// text is an attribute that is a text; empty when it is not there or is none.
func (e *cloudEvent) text(name string) (value string) {
	_ = json.Unmarshal(e.attributes[name], &value) // what is no text is missing
	return value
}

// setData takes JSON as it is, other text as a text, and bytes as base64.
func (e *cloudEvent) setData(data []byte) {
	kind, _, _ := strings.Cut(e.text("datacontenttype"), ";")
	kind = strings.ToLower(strings.TrimSpace(kind))
	switch {
	case len(data) == 0:
		e.data = json.RawMessage("null")
	case kind == "" || kind == fiber.MIMEApplicationJSON || strings.HasSuffix(kind, "+json"):
		e.data = data
	case utf8.Valid(data):
		e.data, _ = json.Marshal(string(data)) //nolint:errchkjson // a text
	default:
		e.data, _ = json.Marshal(base64.StdEncoding.EncodeToString(data)) //nolint:errchkjson // a text
	}
}

// into makes the event part of a submission, or says what is wrong with it.
func (e *cloudEvent) into(sub *jobs.Submission, who auth.Identity) error {
	var wrong []FieldError
	for _, name := range []string{"id", "source", "type"} {
		if e.text(name) == "" {
			wrong = append(wrong, FieldError{Field: name, Message: "is a text that is not empty, in every CloudEvent"})
		}
	}
	if e.text("specversion") != eventVersion {
		wrong = append(wrong, FieldError{Field: "specversion", Message: "must be " + eventVersion})
	}
	for name := range e.attributes {
		if strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789") != "" {
			wrong = append(wrong, FieldError{Field: clip(name), Message: "is no attribute: those are lower-case letters and digits"})
			break
		}
	}
	if len(wrong) > 0 {
		return fieldProblem(CodeValidationFailed, wrong...)
	}
	sub.Input = e.data
	if sub.Options.IdempotencyKey == "" {
		sum := sha256.Sum256([]byte(e.text("source") + "\x00" + e.text("id")))
		sub.Options.IdempotencyKey = ownJobKey(who, "ce "+hex.EncodeToString(sum[:]))
	}
	var err error
	sub.Options.Event, err = json.Marshal(e.attributes)
	return err //nolint:wrapcheck // cannot happen: it was JSON
}

// readEvent reads the body of a request that says it is a CloudEvent, and reports whether it does.
func (s *Server) readEvent(c *fiber.Ctx, sub *jobs.Submission) (bool, error) {
	event := binaryEvent(c)
	structured := mediaType(&c.Context().Request.Header) == mimeEvent
	if event == nil && !structured {
		return false, nil
	}
	body, err := s.readBody(c)
	if err != nil {
		return true, err
	}
	if structured {
		if event, err = structuredEvent(body); err != nil {
			return true, err
		}
	} else {
		event.setData(body)
	}
	return true, event.into(sub, identityOf(c))
}

// eventBatch makes a job of each event of a batch.
type eventBatch struct {
	jobBatch
	like jobs.Submission // the function, and the options of the request
}

func (b *eventBatch) read(line []byte) (jobs.Submission, error) {
	event, err := structuredEvent(bytes.TrimSpace(line))
	if err != nil {
		return jobs.Submission{}, err
	}
	sub := b.like
	return sub, event.into(&sub, b.who)
}
