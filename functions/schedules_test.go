package functions_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/functions"
	"github.com/millrace-dev/millrace/internal/testdb"
)

func scheduled(name, config string) functions.Source {
	return source(name, `export const config = `+config+`; export default async () => 1`)
}

type declared struct {
	Name, Cron, Timezone, Input string
	Paused                      bool
}

func schedulesOf(t *testing.T, db *testdb.DB, function string) []declared {
	t.Helper()
	rows, err := db.Pool.Query(t.Context(), `select name, cron, timezone, input::text, paused_at is not null from millrace.schedule
		where owner = $1 and function = $1 order by name`, function)
	require.NoError(t, err)
	defer rows.Close()

	list := []declared{}
	for rows.Next() {
		var d declared
		require.NoError(t, rows.Scan(&d.Name, &d.Cron, &d.Timezone, &d.Input, &d.Paused))
		list = append(list, d)
	}
	require.NoError(t, rows.Err())
	return list
}

// What a function declares follows its live version: deploys, a roll-back, its removal.
func TestSchedulesFollowTheLiveVersion(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	s := start(t, db, setup{})

	first := deploy(t, s, scheduled("reports.daily", `{schedule: "0 9 * * *"}`))[0]
	require.Equal(t, []declared{{"reports.daily:1", "0 9 * * *", "UTC", "null", false}}, schedulesOf(t, db, "reports.daily"))

	_, err := db.Pool.Exec(t.Context(), `update millrace.schedule set paused_at = now(), due_at = null, fired = 7`)
	require.NoError(t, err)

	deploy(t, s, scheduled("reports.daily",
		`{schedules: [{cron: "0 9 * * *", timezone: "Europe/Berlin"}, {name: "late", cron: "@every 90m", input: {late: true}}]}`),
		scheduled("other", `{schedule: "@hourly"}`))
	require.Equal(t, []declared{
		{"reports.daily:1", "0 9 * * *", "Europe/Berlin", "null", true},
		{"reports.daily:late", "@every 90m", "UTC", `{"late": true}`, false},
	}, schedulesOf(t, db, "reports.daily"), "a pause outlives a deploy")

	_, err = s.Rollback(t.Context(), "reports.daily", first.Version)
	require.NoError(t, err)
	require.Equal(t, []declared{{"reports.daily:1", "0 9 * * *", "UTC", "null", true}}, schedulesOf(t, db, "reports.daily"))

	var fired int
	require.NoError(t, db.Pool.QueryRow(t.Context(), `select fired from millrace.schedule where name = 'reports.daily:1'`).Scan(&fired))
	require.Equal(t, 7, fired, "what happened stays")

	_, err = s.Deploy(t.Context(), functions.Deployment{Remove: []string{"reports.daily"}, DryRun: true})
	require.NoError(t, err)
	require.Len(t, schedulesOf(t, db, "reports.daily"), 1)

	_, err = s.Deploy(t.Context(), functions.Deployment{Remove: []string{"reports.daily"}})
	require.NoError(t, err)
	require.Empty(t, schedulesOf(t, db, "reports.daily"))
	require.Len(t, schedulesOf(t, db, "other"), 1)
}

func TestABadScheduleIsAMistakeOfTheDeployment(t *testing.T) {
	t.Parallel()
	s := start(t, testdb.New(t), setup{})
	_, err := s.Deploy(t.Context(), functions.Deployment{Functions: []functions.Source{scheduled("fn", `{schedule: "0 25 * * *"}`)}})
	var build *functions.BuildError
	require.ErrorAs(t, err, &build)
	require.Contains(t, build.Diagnostics[0].Message, `config.schedule.cron the hour "25": "25" is not possible; it takes 0 to 23`)
}
