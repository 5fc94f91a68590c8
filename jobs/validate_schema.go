package jobs

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/millrace-dev/millrace/internal/postgres"
)

// Bounds of schemas and of what is checked by them.
const (
	MaxSchema = 64 << 10 // bytes of JSON

	// maxSchemaValues bounds the values of an input that has a schema: each of them may become a mistake.
	maxSchemaValues   = 100_000
	maxSchemaMistakes = 20
	maxSchemaMessage  = 200
)

// Schema checks the input of a function. It is safe for concurrent use.
type Schema struct {
	source   json.RawMessage
	compiled *jsonschema.Schema
}

// CompileSchema reads a JSON Schema, of draft 2020-12 unless its $schema names an older one. A $ref leads to places in
// the same document only: nothing is loaded. The error says what is wrong with it.
func CompileSchema(source []byte) (*Schema, error) {
	if len(source) > MaxSchema {
		return nil, fmt.Errorf("the schema is %d bytes long, the limit is %d", len(source), MaxSchema)
	}

	if err := checkJSON(source, MaxSchema); err != nil {
		return nil, fmt.Errorf("the schema %w", err)
	}

	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(source))
	if err != nil {
		return nil, fmt.Errorf("the schema is not JSON: %w", err)
	}

	const here = "schema:input"

	compiler := jsonschema.NewCompiler()
	compiler.UseLoader(noLoader{})
	compiler.AssertFormat()

	if err := compiler.AddResource(here, document); err != nil {
		return nil, schemaError(err)
	}

	compiled, err := compiler.Compile(here)
	if err != nil {
		return nil, schemaError(err)
	}

	return &Schema{source: bytes.Clone(source), compiled: compiled}, nil
}

// noLoader keeps a schema from reading files and addresses.
type noLoader struct{}

var errElsewhere = errors.New("it is not in this document, and nothing else is loaded")

func (noLoader) Load(string) (any, error) { return nil, errElsewhere }

// schemaError bounds and shortens the package's words.
func schemaError(err error) error {
	var (
		elsewhere *jsonschema.LoadURLError
		invalid   *jsonschema.ValidationError
	)

	switch {
	case errors.As(err, &elsewhere):
		return fmt.Errorf("the schema refers to %.100q: %w", elsewhere.URL, errElsewhere)
	case errors.As(err, &invalid):
		wrong := &ValidationError{}
		addMistakes(wrong, invalid)
		first := wrong.Fields[0]

		return fmt.Errorf("the schema is no JSON Schema: at %q: %s", first.Pointer, first.Message)
	}

	return fmt.Errorf("the schema is no JSON Schema: %.*s", maxSchemaMessage, err.Error())
}

// MarshalJSON returns the schema as it was written.
func (s *Schema) MarshalJSON() ([]byte, error) { return s.source, nil }

// UnmarshalJSON is CompileSchema.
func (s *Schema) UnmarshalJSON(source []byte) error {
	compiled, err := CompileSchema(source)
	if err == nil {
		*s = *compiled
	}

	return err
}

// check adds what is wrong with an input, at most maxSchemaMistakes. nil checks nothing.
func (s *Schema) check(wrong *ValidationError, input json.RawMessage) {
	if s == nil {
		return
	}

	if len(input) == 0 {
		input = json.RawMessage(`null`)
	}

	if bytes.Count(input, []byte{','}) > maxSchemaValues && countValues(input) > maxSchemaValues {
		wrong.Add("input", fmt.Sprintf("holds more than %d values, the limit for functions with a schema", maxSchemaValues))

		return
	}

	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(input))
	if err != nil {
		wrong.Add("input", "is not valid JSON")

		return
	}

	if invalid, ok := errors.AsType[*jsonschema.ValidationError](s.compiled.Validate(value)); ok {
		addMistakes(wrong, invalid)
	}
}

// invalidInput is the failure of a job whose input does not fit the schema of the version that would run: it came by
// SQL, which checks no schemas, or the schema is newer. An attempt that follows another is not kept from ending what
// that one began.
func (s *Schema) invalidInput(a *attempt) *Failure {
	wrong := &ValidationError{}
	if a.number == 1 {
		s.check(wrong, a.input)
	}

	if wrong.OrNil() == nil {
		return nil
	}

	return &Failure{Code: CodeInvalidInput, Message: postgres.Storable("the input does not fit the function's schema: "+
		strings.TrimPrefix(wrong.Error(), "invalid request: "), maxFailureMessage)}
}

// CodeInvalidInput is the failure of a job whose input its function cannot take. It is not retried.
const CodeInvalidInput = "invalid_input"

// countValues counts the values that follow another: a comma within a text is none.
func countValues(input json.RawMessage) int {
	decoder := json.NewDecoder(bytes.NewReader(input))

	for n := 0; ; n++ {
		if _, err := decoder.Token(); err != nil || n > 2*maxSchemaValues { // names are tokens too
			return n
		}
	}
}

// addMistakes adds the leaves of a tree of mistakes: what lies above only says that there are some.
func addMistakes(wrong *ValidationError, invalid *jsonschema.ValidationError) {
	for _, cause := range invalid.Causes {
		if len(wrong.Fields) >= maxSchemaMistakes {
			return
		}

		addMistakes(wrong, cause)
	}

	if len(invalid.Causes) > 0 {
		return
	}

	message := invalid.BasicOutput().Error.String()
	if len(message) > maxSchemaMessage {
		message = strings.ToValidUTF8(message[:maxSchemaMessage], "") + "…"
	}

	wrong.Fields = append(wrong.Fields, FieldError{
		Field: "input", Pointer: pointerOf(invalid.InstanceLocation), Message: message,
	})
}

// pointerOf is a JSON pointer (RFC 6901), cut when names make it long.
func pointerOf(path []string) string {
	var pointer strings.Builder

	for _, name := range path {
		pointer.WriteString("/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(clipped(name)))
	}

	return pointer.String()
}
