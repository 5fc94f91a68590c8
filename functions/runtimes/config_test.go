package runtimes_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/functions/runtimes"
	"github.com/millrace-dev/millrace/jobs"
)

func TestParseConfigValues(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]runtimes.Config{
		`{}`:                                    {},
		`{"retries":0}`:                         {MaxAttempts: 1},
		`{"maxAttempts":100}`:                   {MaxAttempts: 100},
		`{"timeout":1500}`:                      {Timeout: 1500},
		`{"timeout":1500,"softTimeout":"1.4s"}`: {Timeout: 1500, SoftTimeout: 1400},
		`{"softTimeout":"59s"}`:                 {SoftTimeout: 59_000},
		`{"timeout":"1h30m"}`:                   {Timeout: 5_400_000},
		`{"timeout":"1d"}`:                      {Timeout: 86_400_000},
		`{"backoff":"10s"}`:                     {Backoff: jobs.Backoff{First: 10 * time.Second}},
		`{"backoff":{"kind":"linear","first":"1s","jitter":0}}`: {Backoff: jobs.Backoff{Kind: jobs.BackoffLinear, First: time.Second, Jitter: -1}},
		`{"unique":true}`:   {Unique: &jobs.Unique{}},
		`{"debounce":1500}`: {Debounce: &jobs.Debounce{Period: 1500 * time.Millisecond}},
		`{"throttle":{"limit":5,"period":"1m","drop":true}}`: {Throttle: &jobs.Throttle{Limit: 5, Period: time.Minute, Drop: true}},
		`{"backoff":["1s",5000]}`:                            {Backoff: jobs.Backoff{Delays: []time.Duration{time.Second, 5 * time.Second}}},
		`{"memory":"64MB"}`:                                  {Memory: 64_000_000},
		`{"memory":"0.5GiB"}`:                                {Memory: 512 << 20},
		`{"memory":8388608}`:                                 {Memory: 8 << 20},
		`{"queue":"mail-out_2","priority":4}`:                {Queue: "mail-out_2", Priority: 4},
		`{"concurrency":2}`:                                  {Concurrency: 2},
		`{"concurrency":2,"concurrencyKey":"input.customer.id"}`: {
			Concurrency: 2, ConcurrencyKey: "input.customer.id",
		},
		`{"rate":{"limit":10,"period":"1m"}}`: {Rate: runtimes.Rate{Limit: 10, Period: 60_000}},
		`{"rate":{"limit":10,"period":500,"burst":3,"key":"{input.region}:{input.id}"}}`: {
			Rate: runtimes.Rate{Limit: 10, Period: 500, Burst: 3, Key: "{input.region}:{input.id}"},
		},
	} {
		got, mistakes := runtimes.ParseConfig([]byte(raw), 1<<30)
		require.Empty(t, mistakes, raw)
		require.Equal(t, want, got, raw)
	}
}

func TestParseConfigMistakes(t *testing.T) {
	t.Parallel()
	for _, raw := range []string{
		`null`, `[]`, `5`, `{"queue":""}`, `{"queue":"A"}`, `{"queue":null}`, `{"priority":0}`, `{"priority":"1"}`, `{"retries":100}`,
		`{"retries":null}`, `{"maxAttempts":0}`, `{"timeout":0}`, `{"softTimeout":0}`, `{"softTimeout":"1m"}`, `{"timeout":5,"softTimeout":5}`, `{"timeout":"2d"}`, `{"timeout":null}`, `{"timeout":1e300}`,
		`{"backoff":[]}`, `{"backoff":["x"]}`, `{"backoff":{"factor":0.5}}`, `{"backoff":{"first":"x"}}`, `{"memory":"1 PB"}`,
		`{"memory":1}`, `{"memory":"2GiB"}`, `{"memory":null}`, `{"Queue":"x"}`,
		`{"concurrency":0}`, `{"concurrency":"2"}`, `{"concurrencyKey":"input.id"}`, `{"concurrency":1,"concurrencyKey":"id"}`,
		`{"concurrency":1,"concurrencyKey":7}`, `{"rate":null}`, `{"rate":{"limit":1}}`, `{"rate":{"period":"1s"}}`,
		`{"rate":{"limit":0,"period":"1s"}}`, `{"rate":{"limit":1,"period":"366d"}}`, `{"rate":{"limit":1,"period":"1s","per":1}}`,
		`{"rate":{"limit":1,"period":"1s","key":""}}`, `{"rate":{"limit":1,"period":"1s","burst":0}}`,
	} {
		_, mistakes := runtimes.ParseConfig([]byte(raw), 1<<30)
		require.Len(t, mistakes, 1, raw)
	}
}

func TestConfigAndSettingsAgree(t *testing.T) {
	t.Parallel()
	settings := jobs.Settings{
		Version: "v", Queue: "q", Priority: 3, MaxAttempts: 7, Timeout: time.Second,
		Backoff: jobs.Backoff{First: time.Second, Max: time.Minute, Factor: 3, Delays: []time.Duration{time.Second}},
		Limits: jobs.Limits{
			Concurrency: 2, ConcurrencyKey: "input.id",
			Rate: jobs.Rate{Limit: 3, Period: time.Second, Burst: 4, Key: "input.to"},
		},
	}
	config := runtimes.ConfigOf(settings)
	require.Equal(t, settings, config.Settings("v"))

	raw, err := json.Marshal(config)
	require.NoError(t, err)
	var back runtimes.Config
	require.NoError(t, json.Unmarshal(raw, &back))
	require.Equal(t, config, back)
}

func TestParseOptions(t *testing.T) {
	t.Parallel()
	options, err := runtimes.ParseOptions([]byte(`{"queue":"q","priority":1,"maxAttempts":2,"timeout":"5s","softTimeout":4000,"delay":250,"tags":["abc"],"idempotencyKey":"k"}`))
	require.NoError(t, err)
	require.Equal(t, jobs.Options{
		Queue: "q", Priority: 1, MaxAttempts: 2, Timeout: 5 * time.Second, SoftTimeout: 4 * time.Second, Delay: 250 * time.Millisecond, Tags: []string{"abc"}, IdempotencyKey: "k",
	}, options)

	options, err = runtimes.ParseOptions([]byte(`null`))
	require.NoError(t, err)
	require.Equal(t, jobs.Options{}, options)

	_, err = runtimes.ParseOptions([]byte(`{"queu":"q","delay":"x","runAt":5}`))
	require.ErrorContains(t, err, `no option "queu"`)
	require.ErrorContains(t, err, "delay")
	require.ErrorContains(t, err, "runAt")

	_, err = runtimes.ParseOptions([]byte(`5`))
	require.Error(t, err)
}
