package jobs

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/testdb"
)

// returnsBytes is a function whose result is bytes.
func returnsBytes(contentType string, data []byte) func(context.Context, *Run) (json.RawMessage, error) {
	return func(_ context.Context, run *Run) (json.RawMessage, error) {
		run.Bytes = Bytes{ContentType: contentType, Data: data}

		return nil, nil
	}
}

func countOutputs(t *testing.T, db *testdb.DB) (n int) {
	t.Helper()
	require.NoError(t, db.Pool.QueryRow(t.Context(), "select count(*) from millrace.job_output").Scan(&n))

	return n
}

func TestAResultMayBeBytes(t *testing.T) {
	t.Parallel()

	db, functions := testdb.New(t), newFunctions()
	s := startNode(t, db, functions)

	for name, tc := range map[string]struct {
		given, want Bytes
		reference   string
	}{
		"image":   {Bytes{"image/png", []byte{0, 255, 1}}, Bytes{"image/png", []byte{0, 255, 1}}, `{"$bytes": {"content_type": "image/png", "size": 3}}`},
		"untyped": {Bytes{"", []byte("a")}, Bytes{anyBytes, []byte("a")}, `{"$bytes": {"content_type": "application/octet-stream", "size": 1}}`},
		"empty":   {Bytes{"text/plain", []byte{}}, Bytes{"text/plain", []byte{}}, `{"$bytes": {"content_type": "text/plain", "size": 0}}`},
	} {
		functions.deploy(name, returnsBytes(tc.given.ContentType, tc.given.Data))
		job := await(t, db, submit(t, s, name), StateCompleted)
		require.JSONEq(t, tc.reference, string(job.Output), name)

		output, err := s.Output(t.Context(), job.ID)
		require.NoError(t, err)
		require.Equal(t, tc.want, output, name)
	}

	require.Equal(t, 3, countOutputs(t, db))
	exec(t, db, "delete from millrace.river_job")
	require.Zero(t, countOutputs(t, db), "the bytes go with their job")
}

func TestAResultOfJSONHasNoBytes(t *testing.T) {
	t.Parallel()

	db, functions := testdb.New(t), newFunctions()
	s := startNode(t, db, functions)

	for _, text := range []string{`{"a": 1}`, `null`, `{"$bytes": {"content_type": "image/png", "size": 3}}`, `{"$bytes": 1}`} {
		functions.deploy("f", returns(text))

		output, err := s.Output(t.Context(), await(t, db, submit(t, s, "f"), StateCompleted).ID)
		require.NoError(t, err)
		require.Equal(t, "application/json", output.ContentType)
		require.JSONEq(t, text, string(output.Data))
	}

	require.Zero(t, countOutputs(t, db))

	later := submit(t, s, "f", func(sub *Submission) { sub.Options.Delay = maxRunAhead })
	_, err := s.Output(t.Context(), later)
	require.ErrorIs(t, err, ErrState)

	_, err = s.Output(t.Context(), 1<<40)
	require.ErrorIs(t, err, ErrNotFound)
}

func TestBytesThatCannotBeAResult(t *testing.T) {
	t.Parallel()

	db, functions := testdb.New(t), newFunctions()
	s := startNode(t, db, functions, func(cfg *Config) { cfg.MaxInput = 1000 })

	for message, tc := range map[string]Bytes{
		"the output is 1001 bytes long, the limit is 1000":    {"image/png", make([]byte, 1001)},
		`"no type" is no media type such as image/png`:        {"no type", []byte("a")},
		`"text/a\r\nb: c" is no media type such as`:           {"text/a\r\nb: c", []byte("a")},
		`is no media type such as image/png`:                  {"text/plain; a=" + strings.Repeat("b", 250), []byte("a")},
		`"text/plain; a=\"é\"" is no media type such as imag`: {`text/plain; a="é"`, []byte("a")},
	} {
		functions.deploy("f", returnsBytes(tc.ContentType, tc.Data))

		job := await(t, db, submit(t, s, "f", func(sub *Submission) { sub.Options.MaxAttempts = 1 }), StateFailed)
		require.Equal(t, CodeInvalidOutput, job.Error.Code)
		require.Contains(t, job.Error.Message, message)
	}

	require.Zero(t, countOutputs(t, db))
}

// What an attempt that was superseded returns must not stand for the newer one's result.
func TestBytesOfALateAttemptAreNotStored(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	insertJobs(t, db, 1)

	mine := claimOne(t, db, "a")
	first, second := &Bytes{anyBytes, []byte("first")}, &Bytes{anyBytes, []byte("second")}
	require.NoError(t, storeOutput(t.Context(), db.Pool, mine, "b", first), "somebody else's")
	require.Zero(t, countOutputs(t, db))
	require.NoError(t, storeOutput(t.Context(), db.Pool, mine, "a", first))

	exec(t, db, "update millrace.river_job set state = 'available'")

	next := claimOne(t, db, "b")
	require.NoError(t, storeOutput(t.Context(), db.Pool, next, "b", second))
	require.NoError(t, storeOutput(t.Context(), db.Pool, mine, "a", first), "late")

	var data string
	require.NoError(t, db.Pool.QueryRow(t.Context(), "select convert_from(data, 'UTF8') from millrace.job_output").Scan(&data))
	require.Equal(t, "second", data)
}
