package runtimes_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/functions/runtimes"
	"github.com/millrace-dev/millrace/jobs/schedules"
)

func TestParseSchedules(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string][]schedules.Spec{
		`{"schedule":"*/5 * * * *"}`:         {{Name: "1", Cron: "*/5 * * * *"}},
		`{"schedule":{"cron":"@hourly"}}`:    {{Name: "1", Cron: "@hourly"}},
		`{"schedules":[]}`:                   nil,
		`{"schedules":["@daily","@hourly"]}`: {{Name: "1", Cron: "@daily"}, {Name: "2", Cron: "@hourly"}},
		`{"schedules":[{"name":"berlin","cron":"0 9 * * mon-fri","timezone":"Europe/Berlin","input":{"a":[1]},
			"overlap":"skip","catchUp":"all","catchUpWindow":"2h","jitter":30000}]}`: {{
			Name: "berlin", Cron: "0 9 * * mon-fri", Timezone: "Europe/Berlin", Input: json.RawMessage(`{"a":[1]}`),
			Overlap: schedules.OverlapSkip, CatchUp: schedules.CatchUpAll, CatchUpWindow: 2 * time.Hour, Jitter: 30 * time.Second,
		}},
	} {
		config, mistakes := runtimes.ParseConfig([]byte(raw), 1<<30)
		require.Empty(t, mistakes, raw)
		require.Equal(t, want, config.ScheduleSpecs(), raw)

		stored, err := json.Marshal(config)
		require.NoError(t, err)
		var back runtimes.Config
		require.NoError(t, json.Unmarshal(stored, &back))
		require.Equal(t, want, back.ScheduleSpecs(), raw)
	}
}

func TestParseSchedulesMistakes(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		`{"schedule":5}`:            "config.schedule must be a cron expression or {cron, timezone, input}, not 5",
		`{"schedule":null}`:         "config.schedule.cron is missing",
		`{"schedule":"61 * * * *"}`: `config.schedule.cron the minute "61"`,
		`{"schedule":{"cron":"@daily","timezone":"Mars/Olympus"}}`: `config.schedule.timezone "Mars/Olympus" is no time zone`,
		`{"schedule":{"cron":"@daily","timezone":1}}`:              "config.schedule.timezone must be a text",
		`{"schedule":{"cron":"@daily","overlap":"sometimes"}}`:     "config.schedule.overlap must be queue, skip, replace or cancel",
		`{"schedule":{"cron":"@daily","catchUp":"two"}}`:           "config.schedule.catchUp must be none, one or all",
		`{"schedule":{"cron":"@daily","catchUpWindow":"1ms"}}`:     "config.schedule.catchUpWindow must be between",
		`{"schedule":{"cron":"@daily","jitter":"x"}}`:              "config.schedule.jitter must be a time",
		`{"schedule":{"cron":"@daily","input":"\u0000"}}`:          "config.schedule.input",
		`{"schedule":{"cron":"@daily","tz":"UTC"}}`:                "config.schedule.tz is no option",
		`{"schedules":"@daily"}`:                                   "config.schedules must be a list",
		`{"schedules":["@daily",{"cron":"@daily","name":"a b"}]}`:  "config.schedules[1].name must be",
		`{"schedules":["@daily",{"cron":"@daily","name":"1"}]}`:    `config.schedules[1].name "1" is the name of another`,
		`{"schedules":["@daily","@reboot"]}`:                       `config.schedules[1].cron "@reboot" is not known`,
		`{"schedule":"@daily","schedules":[]}`:                     "config.schedule and config.schedules say the same thing",
	} {
		_, mistakes := runtimes.ParseConfig([]byte(raw), 1<<30)
		require.Len(t, mistakes, 1, raw)
		require.Contains(t, mistakes[0], want)
	}
}
