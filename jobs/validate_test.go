package jobs

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/millrace-dev/millrace/internal/testdb"
)

func newTestChecker() *checker {
	return &checker{grammar: newGrammar(), maxInput: 1_000, now: time.Now}
}

func TestInputRefused(t *testing.T) {
	t.Parallel()

	for name, tc := range map[string]struct{ input, says string }{
		"broken":              {`{"a":`, "not valid JSON"},
		"two values":          {`1 2`, "at byte 3"},
		"NUL":                 {`{"a":"x\u0000y"}`, `\u0000 at byte 8`},
		"NUL in a key":        {`{"\u0000":1}`, `\u0000`},
		"escaped then NUL":    {`"\\\u0000"`, `\u0000`},
		"high surrogate":      {`"\ud800"`, "surrogate"},
		"high and character":  {`"\ud800x"`, "surrogate"},
		"high and newline":    {`"\ud800\n"`, "surrogate"},
		"two high":            {`"\ud800\ud800"`, "surrogate"},
		"low surrogate":       {`"\udc00"`, "surrogate"},
		"raw bytes":           {"\"\xff\"", "UTF-8"},
		"too long":            {`"` + strings.Repeat("x", 1_000) + `"`, "1002 bytes"},
		"too deep":            {strings.Repeat("[", 65) + strings.Repeat("]", 65), "deeper than 64"},
		"out of range":        {`1e999`, "out of range"},
		"exponent overflow":   {`1e99999999999999999999`, "out of range"},
		"a name twice":        {`{"a":1,"b":{"a":2},"a":3}`, `the name "a" twice, the second time at byte 20`},
		"twice, escaped":      {`{"é":1,"\u00e9" : 2}`, "twice"},
		"twice, deep inside":  {`[[{"x":[{"":0,"a":[1],"":0}]}]]`, "twice"},
		"twice among many":    {manyNames(40, `"n39"`), "twice"},
		"exponents in a heap": {`[1e-300,1e-300,1e-300,1e-300]`, "exponents"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			err := newTestChecker().check(&Submission{Function: "f", Input: json.RawMessage(tc.input)})

			var wrong *ValidationError
			require.ErrorAs(t, err, &wrong)
			require.Len(t, wrong.Fields, 1)
			require.Equal(t, "input", wrong.Fields[0].Field)
			require.Contains(t, wrong.Fields[0].Message, tc.says)
		})
	}

	require.ErrorContains(t, checkJSON([]byte(strings.Repeat("9", 2_000)), 10_000), "1000 characters")
}

// manyNames is an object with n names and another one.
func manyNames(n int, last string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `"n%d":0,`, i)
	}

	return "{" + b.String() + last + ":0}"
}

func TestInputAccepted(t *testing.T) {
	t.Parallel()

	for _, input := range []string{
		``, `null`, `0`, `"\\u0000"`, `"\ud83d\ude00"`, `"\u00e9\"\\"`, `{"a":[1e3,-2.5E-7,{"b":true}]}`, ` [ ] `,
		`{"a":{"a":{"a":["a","a",{"a":1},{"a":2}]}},"b":"a"}`, manyNames(40, `"m"`), `{"a\\":1,"a":2}`,
		strings.Repeat("[", 64) + strings.Repeat("]", 64), `[[],[],[[]]]`,
	} {
		require.NoError(t, newTestChecker().check(&Submission{Function: "f", Input: json.RawMessage(input)}), input)
	}
}

// Whatever passes the check must be stored by Postgres: a refusal there fails a batch of other people's jobs.
func TestWhatPassesIsStored(t *testing.T) {
	t.Parallel()

	db, ctx := testdb.New(t), t.Context()
	pieces := []string{
		`"`, `\u0000`, `\ud800`, `\udc00`, `\u00e9`, `\\`, `\"`, `\`, `u0000`, `[`, `]`, `{`, `}`, `:`, `,`, "\x00", "\xff",
		`1`, `-`, `1e5`, `1e308`, `1e309`, `0.00000000001`, `E+2`, `e-320`, `true`, `null`, ` `, "\n", `x`, "é", "\U0001F600",
	}
	fixed := []string{`"\\\ud83d\ude00"`, `1e-320`, `-0`, `1.5e308`, `"\u0001\u007f"`, strings.Repeat("9", maxNumber)}

	check := func(t require.TestingT, input string) {
		stored := checkJSON([]byte(input), 100_000) == nil

		var back string
		err := db.Pool.QueryRow(ctx, `select $1::text::jsonb::text`, input).Scan(&back)

		if stored {
			require.NoError(t, err, "%q passed the check", input)
		}
	}

	for _, input := range fixed {
		check(t, input)
	}

	rapid.Check(t, func(t *rapid.T) {
		parts := rapid.SliceOfN(rapid.SampledFrom(pieces), 0, 6).Draw(t, "parts")
		body := strings.Join(parts, "")
		check(t, body)
		check(t, `"`+body+`"`)
		check(t, `[`+strings.Join(parts, ",")+`]`)
	})
}

func TestOptionsRefused(t *testing.T) {
	t.Parallel()

	day := 24 * time.Hour
	for field, opts := range map[string][]Options{
		"priority":        {{Priority: 5}, {Priority: -1}},
		"max_attempts":    {{MaxAttempts: 101}, {MaxAttempts: -1}},
		"soft_timeout":    {{SoftTimeout: time.Microsecond}, {SoftTimeout: 25 * time.Hour}, {SoftTimeout: -1}},
		"timeout":         {{Timeout: time.Microsecond}, {Timeout: 25 * time.Hour}, {Timeout: -1}},
		"delay":           {{Delay: -1}, {Delay: 4_000 * day}, {Delay: 1, RunAt: time.Now()}},
		"run_at":          {{RunAt: time.Now().Add(4_000 * day)}},
		"queue":           {{Queue: "No"}, {Queue: "a b"}, {Queue: "-a"}, {Queue: strings.Repeat("q", 65)}, {Queue: "a|b"}},
		"tags":            {{Tags: []string{"ab"}}, {Tags: []string{"a:b"}}, {Tags: []string{"a,b"}}, {Tags: make([]string, 1)}},
		"idempotency_key": {{IdempotencyKey: "a\nb"}, {IdempotencyKey: strings.Repeat("k", 256)}, {IdempotencyKey: "ключ"}},
	} {
		for _, opt := range opts {
			var wrong *ValidationError

			require.ErrorAs(t, newTestChecker().check(&Submission{Function: "f", Options: opt}), &wrong, "%s %+v", field, opt)
			require.Equal(t, field, wrong.Fields[0].Field)
		}
	}

	for _, name := range []string{"", ".", "a.", ".a", "a..b", "a b", "a/b", "-a", "é", "a\nb", strings.Repeat("f", 128)} {
		require.ErrorContains(t, newTestChecker().check(&Submission{Function: name}), "function", name)
	}
}

func TestAllMistakesAtOnce(t *testing.T) {
	t.Parallel()

	err := newTestChecker().check(&Submission{
		Function: "no good",
		Input:    json.RawMessage(`{`),
		Options:  Options{Queue: "NO", Priority: 9, MaxAttempts: 1_000, Timeout: -1, Delay: -1, Tags: []string{"x"}, IdempotencyKey: "\x00"},
	})

	var wrong *ValidationError
	require.ErrorAs(t, err, &wrong)
	require.Len(t, wrong.Fields, 9)
}
