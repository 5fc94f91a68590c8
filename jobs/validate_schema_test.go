package jobs

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/testdb"
)

const orderSchema = `{"type": "object", "required": ["id"], "additionalProperties": false, "properties": {
	"id": {"type": "integer"}, "mail": {"type": "string", "format": "email"},
	"items": {"type": "array", "items": {"$ref": "#/$defs/item"}}},
	"$defs": {"item": {"type": "object", "properties": {"a/b": {"minimum": 1}}}}}`

func compiled(t testing.TB, source string) *Schema {
	t.Helper()

	schema, err := CompileSchema([]byte(source))
	require.NoError(t, err)

	return schema
}

func TestInputsAreCheckedByTheSchema(t *testing.T) {
	t.Parallel()

	db, functions := testdb.New(t), newFunctions()
	functions.deploy("f", returns(`1`), Settings{Schema: compiled(t, orderSchema)})
	nativeConfig(t, db, "f", `{}`)

	s := startNode(t, db, functions, withListener(t, db))

	for input, pointer := range map[string]string{
		``: "", `1`: "", `{}`: "", `{"id": "x"}`: "/id", `{"id": 1.5}`: "/id", `{"id": 1, "mail": "x"}`: "/mail",
		`{"id": 1, "items": [{}, {"a/b": 0}]}`: "/items/1/a~1b", `{"id": 1, "x": 1}`: "",
		`[` + strings.Repeat(`1,`, 2*maxSchemaValues) + `1]`: "",
	} {
		_, err := s.Submit(t.Context(), Submission{Function: "f", Input: json.RawMessage(input)})
		wrong, ok := errors.AsType[*ValidationError](err)
		require.True(t, ok, "%.100s: %v", input, err)
		require.Equal(t, []string{"input", pointer}, []string{wrong.Fields[0].Field, wrong.Fields[0].Pointer}, "%.100s", input)
	}

	_, err := s.Submit(t.Context(), Submission{Function: "f", Input: json.RawMessage(
		`{"id": 1, "items": [` + strings.Repeat(`1,`, 1_000) + `1]}`)})
	wrong, ok := errors.AsType[*ValidationError](err)
	require.True(t, ok)
	require.Len(t, wrong.Fields, maxSchemaMistakes)

	await(t, db, submit(t, s, "f", func(sub *Submission) { sub.Input = json.RawMessage(`{"id": 1}`) }), StateCompleted)

	// SQL checks no schemas: the job fails before it begins.
	job := await(t, db, mustEnqueue(t, db.Pool, "f", `{"id": "x"}`, `{}`), StateFailed)
	require.Equal(t, CodeInvalidInput, job.Error.Code)
	require.Contains(t, job.Error.Message, "input/id")
	require.Equal(t, 1, job.Attempt)
}

func TestBadSchemasAreRefused(t *testing.T) {
	t.Parallel()

	for source, why := range map[string]string{
		`{`: "not valid JSON", `1`: "schema", `{"type": "strange"}`: "/type", `{"pattern": "("}`: "regex",
		`{"$ref": "https://example.com/s"}`:                   "nothing else is loaded",
		`{"$ref": "file:///etc/passwd"}`:                      "nothing else is loaded",
		`{"$schema": "https://example.com/s"}`:                "nothing else is loaded",
		`{"$ref": "#/$defs/none"}`:                            "none",
		`{"title": "` + strings.Repeat("x", MaxSchema) + `"}`: "the limit is 65536",
	} {
		_, err := CompileSchema([]byte(source))
		require.ErrorContains(t, err, why, "%.100s", source)
		require.Less(t, len(err.Error()), 400)
	}
}
