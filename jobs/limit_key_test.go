package jobs

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/testdb"
)

func TestKeysOfInputs(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	input := `{"customer": {"id": 7, "name": "Ada", "vip": true, "none": null}, "region": "eu",
		"items": [{"sku": "x1"}, {"sku": "x2"}], "sep": "a` + "\\u001f" + `b", "long": "` + strings.Repeat("ü", 150) + `"}`

	for expression, want := range map[string]string{
		"input.customer.id":                  "7",
		"input.customer.name":                "Ada",
		"input.customer.vip":                 "true",
		"input.customer.none":                "",
		"input.customer.missing.deep":        "",
		"input.items.1.sku":                  "x2",
		"input.customer":                     `{"id": 7, "vip": true, "name": "Ada", "none": null}`,
		"{input.region}:{input.customer.id}": "eu:7",
		"all of {input.region}":              "all of eu",
		"{input.region}{input.region}-":      "eueu-",
		"input.sep":                          "a b",
	} {
		require.NoError(t, checkKey("the key", expression))

		var got string
		require.NoError(t, db.Pool.QueryRow(t.Context(), "select millrace.limit_key($1, $2)", expression, input).Scan(&got))
		require.Equal(t, want, got, expression)
	}

	var length int
	require.NoError(t, db.Pool.QueryRow(t.Context(),
		"select octet_length(millrace.limit_key('input.long', $1))", input).Scan(&length))
	require.LessOrEqual(t, length, 200)

	var whole string
	require.NoError(t, db.Pool.QueryRow(t.Context(), `select millrace.limit_key('input', '"x"')`).Scan(&whole))
	require.Equal(t, "x", whole)
}

func TestMistakesInLimits(t *testing.T) {
	t.Parallel()

	for want, limits := range map[string]Limits{
		"concurrency must be 1 to 1000000":                {Concurrency: -1},
		"a concurrency key needs a concurrency":           {ConcurrencyKey: "input.id"},
		"the concurrency key must be a path such as":      {Concurrency: 1, ConcurrencyKey: "customer.id"},
		"not \"{input.id\"":                               {Concurrency: 1, ConcurrencyKey: "{input.id"},
		"not \"input..id\"":                               {Concurrency: 1, ConcurrencyKey: "input..id"},
		"not \"fixed\"":                                   {Concurrency: 1, ConcurrencyKey: "fixed"},
		"at most 200 bytes":                               {Concurrency: 1, ConcurrencyKey: "input." + strings.Repeat("x", 200)},
		"a rate needs a limit":                            {Rate: Rate{Period: time.Second}},
		"the rate's limit must be 1 to 1000000":           {Rate: Rate{Limit: -1, Period: time.Second}},
		"the rate's period must be 1ms to 8760h0m0s":      {Rate: Rate{Limit: 1}},
		"the rate is above one start in a microsecond":    {Rate: Rate{Limit: 2_000, Period: time.Millisecond}},
		"the rate's burst must be 1 to 1000000":           {Rate: Rate{Limit: 1, Period: time.Second, Burst: -1}},
		"the rate's key must be a path such as input.cus": {Rate: Rate{Limit: 1, Period: time.Second, Key: "{}"}},
	} {
		require.ErrorContains(t, limits.Validate(), want)
	}

	require.NoError(t, Limits{}.Validate())
	require.True(t, Limits{}.None())
}

// The burst that a rate has by itself: what it makes in a tenth of a second.
func TestTheDefaultBurst(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)

	for want, rate := range map[int]Rate{
		1:   {Limit: 10, Period: time.Minute},
		100: {Limit: 1_000, Period: time.Second},
		7:   {Limit: 1_000, Period: time.Second, Burst: 7},
	} {
		require.NoError(t, StoreLimits(t.Context(), db.Pool, "mail", Limits{Rate: rate}))

		var got int
		require.NoError(t, db.Pool.QueryRow(t.Context(), "select rate_burst from millrace.function_limit").Scan(&got))
		require.Equal(t, want, got)
	}
}

// However a job is submitted, its lane is the one that millrace.lane names.
func TestSubmissionsCarryTheirLane(t *testing.T) {
	t.Parallel()

	db, functions := testdb.New(t), newFunctions()
	limits := Limits{
		Concurrency: 1, ConcurrencyKey: "input.a",
		Rate: Rate{Limit: 1, Period: time.Hour, Key: "{input.b}!"},
	}
	deployLimited(t, db, functions, "charge", limits, returns(`1`))
	functions.deploy("noop", returns(`1`))

	s := newNode(t, db, functions, func(cfg *Config) { cfg.InsertOnly = true })
	require.NoError(t, s.Start(t.Context()))
	t.Cleanup(func() { stopNode(t, s, patience) })

	lane := func(id int64) (lane *string) {
		require.NoError(t, db.Pool.QueryRow(t.Context(),
			"select metadata ->> 'lane' from millrace.river_job where id = $1", id).Scan(&lane))

		return lane
	}

	input := json.RawMessage(`{"a": "x", "b": "y"}`)

	job, err := s.Submit(t.Context(), Submission{Function: "charge", Input: input})
	require.NoError(t, err)
	require.Equal(t, "x\x1fy!", *lane(job.ID))

	job, err = s.Submit(t.Context(), Submission{Function: "charge", Input: input, Options: Options{
		Delay: time.Hour, IdempotencyKey: "once", Timeout: time.Minute,
	}})
	require.NoError(t, err)
	require.Equal(t, "x\x1fy!", *lane(job.ID))

	job, err = s.Submit(t.Context(), Submission{Function: "noop", Input: input})
	require.NoError(t, err)
	require.Nil(t, lane(job.ID))
}
