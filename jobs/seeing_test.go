package jobs

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/testdb"
)

func TestATimelineHasEveryAttempt(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	functions := newFunctions()
	functions.deploy("third", func(_ context.Context, run *Run) (json.RawMessage, error) {
		if run.Attempt < 3 {
			return nil, fmt.Errorf("attempt %d", run.Attempt)
		}

		return json.RawMessage(`1`), nil
	}, Settings{Backoff: Backoff{First: time.Millisecond, Max: time.Millisecond}})

	s := startNode(t, db, functions, func(cfg *Config) { cfg.NodeName = "here" })
	waiting := submit(t, s, "third", func(sub *Submission) { sub.Options.Delay = time.Hour })
	id := submit(t, s, "third", attemptsOf(5))
	await(t, db, id, StateCompleted)

	job, err := s.Get(t.Context(), id)
	require.NoError(t, err)
	require.Len(t, job.Timeline, 3)

	for i, entry := range job.Timeline {
		require.Equal(t, i+1, entry.Attempt)
		require.Equal(t, job.Node, entry.Node)
		require.Equal(t, "here", entry.NodeName)
		require.False(t, entry.EndedAt.Add(time.Minute).Before(*entry.StartedAt)) // two clocks
	}

	require.Equal(t, "attempt 2", job.Timeline[1].Error.Message)
	require.Equal(t, "failed", job.Timeline[1].Outcome)
	require.Equal(t, "completed", job.Timeline[2].Outcome)
	require.Nil(t, job.Timeline[2].Error)

	job, err = s.Get(t.Context(), waiting)
	require.NoError(t, err)
	require.Empty(t, job.Timeline)

	lost := submit(t, s, "third", func(sub *Submission) { sub.Options.Delay = time.Hour })
	exec(t, db, `update millrace.river_job set state = 'running', attempt = 1, max_attempts = 1, attempted_at = now() - interval '1 minute',
		attempted_by = '{gone}' where id = $1`, lost)
	await(t, db, lost, StateFailed)

	job, err = s.Get(t.Context(), lost)
	require.NoError(t, err)
	require.Len(t, job.Timeline, 1)
	require.Equal(t, OutcomeLost, job.Timeline[0].Outcome)
	require.Equal(t, "gone", job.Timeline[0].Node)
	require.NotNil(t, job.Timeline[0].StartedAt)
}

func TestListByKeyErrorAndTime(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	s := startInserter(t, db)
	ids := make([]int64, 6)

	for i := range ids {
		ids[i] = submit(t, s, "f")
		exec(t, db, `update millrace.river_job set created_at = now() - $2 * interval '1 hour' where id = $1`, ids[i], len(ids)-i)
	}

	exec(t, db, `update millrace.river_job set metadata = jsonb_build_object('lane', E'ada\x1fbob') where id = $1`, ids[1])

	entry := (&attempt{number: 1}).errorEntry(&Failure{Code: CodeException, Message: `No "Größe" <found>`})
	exec(t, db, `update millrace.river_job set state = 'discarded', finalized_at = now(), errors = array[$2::jsonb] where id = $1`, ids[2], entry)

	ago := func(hours float64) time.Time { return time.Now().Add(-time.Duration(hours * float64(time.Hour))) }

	for _, tc := range []struct {
		query ListQuery
		want  []int64
	}{
		{ListQuery{Key: "ada"}, ids[1:2]},
		{ListQuery{Key: "bob", Function: "f"}, ids[1:2]},
		{ListQuery{Key: "eve"}, nil},
		{ListQuery{Error: `no "größe" <F`}, ids[2:3]},
		{ListQuery{Error: "exception", State: StateFailed, CreatedAfter: ago(10)}, ids[2:3]},
		{ListQuery{Error: "%"}, nil},
		{ListQuery{CreatedAfter: ago(3.5)}, ids[3:]},
		{ListQuery{CreatedBefore: ago(3.5)}, ids[:3]},
		{ListQuery{CreatedAfter: ago(4.5), CreatedBefore: ago(2.5), Function: "f"}, ids[2:4]},
		{ListQuery{CreatedAfter: ago(4.5), CreatedBefore: ago(2.5), State: StateQueued}, ids[3:4]},
		{ListQuery{CreatedAfter: ago(-1)}, nil},
		{ListQuery{CreatedBefore: ago(24)}, nil},
	} {
		page, err := s.List(t.Context(), tc.query)
		require.NoError(t, err)
		require.Empty(t, page.Next)

		var got []int64
		for i := range page.Jobs {
			got = append([]int64{page.Jobs[i].ID}, got...)
		}

		require.Equal(t, append([]int64(nil), tc.want...), got, "%+v", tc.query)
	}

	_, err := s.List(t.Context(), ListQuery{Key: "\x00", Error: "\x00", CreatedAfter: ago(1), CreatedBefore: ago(2)})

	var wrong *ValidationError
	require.ErrorAs(t, err, &wrong)
	require.Len(t, wrong.Fields, 3)
}

// A time is found without looking at the jobs before it.
func TestATimeIsFoundAmongMany(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	s := startInserter(t, db)

	id, err := s.firstIDSince(t.Context(), time.Now())
	require.NoError(t, err)
	require.Positive(t, id, "of an empty table")

	exec(t, db, `insert into millrace.river_job (id, kind, args, max_attempts, state, finalized_at, created_at)
		select i * 7, 'f', '{}', 1, 'completed', now(), '2026-01-01'::timestamptz + i * interval '1 second' from generate_series(1, 20000) i`)
	exec(t, db, `analyze millrace.river_job`)

	var begin time.Time
	require.NoError(t, db.Pool.QueryRow(t.Context(), `select '2026-01-01'::timestamptz`).Scan(&begin))

	for _, second := range []int64{1, 2, 777, 13_333, 20_000} {
		id, err := s.firstIDSince(t.Context(), begin.Add(time.Duration(second)*time.Second))
		require.NoError(t, err)
		require.Equal(t, second*7, id)
	}

	stats, err := s.Stats(t.Context())
	require.NoError(t, err)
	require.InEpsilon(t, 20_000, stats.Estimates[StateCompleted], .05)
	require.Len(t, stats.Estimates, 1)
}

func TestAJobsLogIsRotated(t *testing.T) {
	t.Parallel()

	s, w, id := startReports(t, testdb.New(t))
	w.rotateLater(id) // a short log stays as it is
	r := newRunReporter(w, id, 1)
	r.Log("info", "short", nil)
	r.close(t.Context())
	require.NoError(t, w.rotateJob(t.Context(), id))
	require.Equal(t, "short", logged(t, s, id)[0].Message)

	message := strings.Repeat("x", 8_000)

	for attempt := 2; attempt <= 7; attempt++ {
		r := newRunReporter(w, id, attempt)
		for range maxLogBytes/8_000 - 5 {
			r.Log("info", message, nil)
		}

		r.close(t.Context())
	}

	require.Eventually(t, func() bool { // by itself, after an attempt
		first := logged(t, s, id)[0]

		return first.Level == "warn" && strings.HasPrefix(first.Message, "older lines are gone") && first.Attempt > 2
	}, patience, 10*time.Millisecond)

	lines := logged(t, s, id)
	require.InDelta(t, maxJobLogBytes/8_064, len(lines), 2)
	require.Equal(t, 7, lines[len(lines)-1].Attempt)
	require.NoError(t, w.rotateJob(t.Context(), id))
	require.Len(t, logged(t, s, id), len(lines), "once is enough")
}

func TestStatementsOfSeeingUseTheirIndexes(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	exec(t, db, fill)

	conn, err := db.Pool.Acquire(t.Context())
	require.NoError(t, err)

	defer conn.Release()

	for _, analyze := range []string{"", "analyze millrace.river_job"} {
		if analyze != "" {
			exec(t, db, analyze)
		}

		for name, statement := range map[string]struct{ sql, args, index string }{
			"list at":  {listAtSQL, "now()", "river_job_pkey"},
			"timeline": {timelineSQL, "7", "river_job_pkey"},
		} {
			indexes := make(map[string]bool)
			testdb.Explain(t, conn.Conn(), statement.sql, statement.args).Walk(func(p testdb.Plan) {
				if p.Table == "river_job" {
					require.NotEqual(t, "Seq Scan", p.Type, name)
				}

				indexes[p.Index] = true
			})
			require.True(t, indexes[statement.index], "%s uses %v (%q)", name, indexes, analyze)
		}
	}
}
