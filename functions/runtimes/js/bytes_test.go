package js_test

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/functions/runtimes"
	"github.com/millrace-dev/millrace/functions/runtimes/js"
	"github.com/millrace-dev/millrace/jobs"
)

// invokeBytes calls a function that may return bytes.
func invokeBytes(t testing.TB, runner *js.Runner, body string) (string, jobs.Bytes, error) {
	t.Helper()

	program := prepare(t, runner, "export default async function (input, ctx) {\n"+body+"\n}")

	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()

	var bytes jobs.Bytes
	output, err := runner.Invoke(ctx, program, runtimes.Call{
		JobID: "7", Function: "test.fn", Version: "v", Input: json.RawMessage("null"), Attempt: 1, MaxAttempts: 1, Bytes: &bytes,
	}, &recorder{})

	return string(output), bytes, err
}

func TestBytesComeOutAsTheyWere(t *testing.T) {
	t.Parallel()
	runner := newRunner(t, js.Config{})

	all := make([]byte, 0, 100_000)
	for i := range cap(all) {
		all = append(all, byte(i*7+i/256))
	}

	const octets = "application/octet-stream"
	for body, want := range map[string]jobs.Bytes{
		`return new Uint8Array([0, 1, 127, 128, 255, 0])`:                           {ContentType: octets, Data: []byte{0, 1, 127, 128, 255, 0}},
		`return new Uint8Array([1, 2, 3]).buffer`:                                   {ContentType: octets, Data: []byte{1, 2, 3}},
		`return new Uint16Array([258])`:                                             {ContentType: octets, Data: []byte{2, 1}},
		`return new Uint8Array([1, 2, 3, 4]).subarray(1, 3)`:                        {ContentType: octets, Data: []byte{2, 3}},
		`return new DataView(new ArrayBuffer(2))`:                                   {ContentType: octets, Data: []byte{0, 0}},
		`return ctx.bytes("a,é\n", "text/csv")`:                                     {ContentType: "text/csv", Data: []byte("a,é\n")},
		`return ctx.bytes(new Uint8Array(0), "image/png")`:                          {ContentType: "image/png", Data: []byte{}},
		`return Uint8Array.from({length: 100000}, (_, i) => i * 7 + (i / 256 | 0))`: {ContentType: octets, Data: all},
	} {
		t.Run(body, func(t *testing.T) {
			t.Parallel()
			output, bytes, err := invokeBytes(t, runner, body)
			require.NoError(t, err)
			require.Equal(t, "null", output)
			require.Equal(t, want, bytes)
		})
	}
}

func TestBytesAreAWholeResult(t *testing.T) {
	t.Parallel()
	runner := newRunner(t, js.Config{})

	output, bytes, err := invokeBytes(t, runner, `ctx.bytes("unused"); return {a: 1}`)
	require.NoError(t, err)
	require.JSONEq(t, `{"a":1}`, output)
	require.Nil(t, bytes.Data)

	for _, tc := range []struct{ body, code, message string }{
		{`return {file: ctx.bytes("a")}`, jobs.CodeInvalidOutput, "ctx.bytes makes a result"},
		{`await ctx.publish("a", ctx.bytes("a"))`, jobs.CodeException, "ctx.bytes makes a result"},
		{`return ctx.bytes(5)`, jobs.CodeException, "the bytes must be a Uint8Array"},
	} {
		_, _, err := invokeBytes(t, runner, tc.body)
		var failure *jobs.Failure
		require.ErrorAs(t, err, &failure, tc.body)
		require.Equal(t, tc.code, failure.Code, failure.Message)
		require.Contains(t, failure.Message, tc.message)
	}
}

// Calls that nobody gives a place for bytes, such as those of consumers, say so.
func TestBytesWhereNoneCanBe(t *testing.T) {
	t.Parallel()
	_, err := run(t, newRunner(t, js.Config{}), `return new Uint8Array(1)`)
	require.ErrorContains(t, err, "cannot return bytes")
}
