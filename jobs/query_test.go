package jobs

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/testdb"
)

func TestGetReadsEveryField(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	s := startInserter(t, db)
	id := submit(t, s, "orders.charge")

	exec(t, db, `update millrace.river_job set state = 'discarded', attempt = 2, attempted_at = created_at, finalized_at = created_at,
		attempted_by = '{old,node-x}',
		metadata = '{"v": "abc", "progress": {"percent": 40, "message": "half", "at": "2026-01-02T03:04:05Z"}}',
		errors = array[jsonb_build_object('at', now(), 'attempt', 1, 'error', 'plain text', 'trace', ''),
			jsonb_build_object('at', now(), 'attempt', 2, 'trace', '', 'error',
				'{"code":"exception","message":"no","stack":"a.ts:3","retryable":true}')]
		where id = $1`, id)

	job, err := s.Get(t.Context(), id)
	require.NoError(t, err)

	want := Job{
		ID: id, Function: "orders.charge", State: StateFailed, Input: json.RawMessage(`{"n": 1}`),
		Error:   &Failure{Code: CodeException, Message: "no", Stack: "a.ts:3", Retryable: true},
		Attempt: 2, MaxAttempts: 9, Queue: "money", Priority: 1, Version: "abc", Tags: []string{}, Node: "node-x",
		Progress:  &Progress{Percent: 40, Message: "half", At: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)},
		CreatedAt: job.CreatedAt, ScheduledAt: job.CreatedAt, StartedAt: &job.CreatedAt, FinishedAt: &job.CreatedAt,
	}
	require.Len(t, job.Timeline, 2)
	require.Equal(t, "plain text", job.Timeline[0].Error.Message)
	require.Equal(t, job.Error, job.Timeline[1].Error)

	want.Timeline = job.Timeline
	require.Equal(t, want, job)

	encoded, err := json.Marshal(job)
	require.NoError(t, err)
	require.Contains(t, string(encoded), fmt.Sprintf(`{"id":"%d","function":"orders.charge","state":"failed","input":{"n":1},"output":null,`, id))

	_, err = s.Get(t.Context(), id+1)
	require.ErrorIs(t, err, ErrNotFound)
}

// SQL users may write what this program would not; one such row must not break a list.
func TestOddRowsCanBeRead(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	s := startInserter(t, db)

	for _, set := range []string{
		`scheduled_at = 'infinity'`, `scheduled_at = '-infinity'`, `metadata = '5'`, `metadata = '{"progress": 7, "v": {"a": 1}}'`,
		`errors = array['3'::jsonb]`, `errors = array['{"error": 5}'::jsonb]`, `errors = array[null]::jsonb[]`, `attempted_by = '{}'`,
		`args = '"text"'`, `kind = 'a b/c'`,
	} {
		exec(t, db, `update millrace.river_job set `+set+` where id = $1`, submit(t, s, "f"))
	}

	page, err := s.List(t.Context(), ListQuery{})
	require.NoError(t, err)
	require.Len(t, page.Jobs, 10)

	for _, job := range page.Jobs {
		_, err := json.Marshal(job)
		require.NoError(t, err)

		_, err = s.Get(t.Context(), job.ID)
		require.NoError(t, err)
	}
}

func TestStatsCountWithinBounds(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	s := startInserter(t, db)

	exec(t, db, `insert into millrace.river_job (kind, args, max_attempts, queue)
		select 'f', '{}', 1, q from generate_series(1, 3), unnest('{a,b,c,d}'::text[]) q`)
	exec(t, db, `insert into millrace.river_job (kind, args, max_attempts, queue, state, finalized_at)
		select 'f', '{}', 1, 'a', 'completed', now() from generate_series(1, $1)`, CountLimit+5)
	exec(t, db, `insert into millrace.river_job (kind, args, max_attempts, queue, state, attempted_at)
		select 'f', '{}', 1, q, 'running', now() from unnest('{a,z}'::text[]) q`)
	exec(t, db, `insert into millrace.river_job (kind, args, max_attempts, state) values ('f', '{}', 1, 'pending'), ('f', '{}', 1, 'scheduled')`)
	exec(t, db, `insert into millrace.node (id, name, heartbeat_at, info) values
		('n1', 'one', now(), '{"slots": 5}'), ('n2', 'two', now() - interval '11 seconds', '{}')`)

	stats, err := s.Stats(t.Context())
	require.NoError(t, err)
	require.Equal(t, map[State]int{
		StateQueued: 12, StateScheduled: 2, StateRunning: 2, StateRetrying: 0,
		StateCompleted: CountLimit, StateFailed: 0, StateCancelled: 0,
	}, stats.States)
	require.Equal(t, []QueueStats{
		{Name: "a", Queued: 3, Running: 1}, {Name: "b", Queued: 3}, {Name: "c", Queued: 3}, {Name: "d", Queued: 3},
		{Name: "z", Running: 1},
	}, stats.Queues)

	slices.SortFunc(stats.Nodes, func(a, b Node) int { return strings.Compare(a.ID, b.ID) })
	require.Len(t, stats.Nodes, 2)
	require.True(t, stats.Nodes[0].Alive)
	require.False(t, stats.Nodes[1].Alive)
	require.JSONEq(t, `{"slots": 5}`, string(stats.Nodes[0].Info))
}

// setState brings a row into a stored state, with what the table's constraints ask for.
func setState(t *testing.T, db *testdb.DB, id int64, stored string) {
	t.Helper()

	exec(t, db, `update millrace.river_job set state = $2::text::millrace.river_job_state, attempt = 1,
		attempted_at = case when $2 = 'running' then now() end,
		finalized_at = case when $2 in ('completed', 'cancelled', 'discarded') then now() end where id = $1`, id, stored)
}

func TestCancelAndRetryByState(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	s := startInserter(t, db)

	for stored, tc := range map[string]struct{ cancelled, retried State }{ // "" means refused
		"available": {cancelled: StateCancelled},
		"scheduled": {cancelled: StateCancelled, retried: StateQueued},
		"pending":   {cancelled: StateCancelled, retried: StateQueued},
		"retryable": {cancelled: StateCancelled, retried: StateQueued},
		"running":   {cancelled: StateRunning},
		"completed": {},
		"discarded": {retried: StateQueued},
		"cancelled": {retried: StateQueued},
	} {
		t.Run(stored, func(t *testing.T) {
			t.Parallel()

			for verb, want := range map[string]State{"cancel": tc.cancelled, "retry": tc.retried} {
				id := submit(t, s, "f")
				setState(t, db, id, stored)

				call := s.Cancel
				if verb == "retry" {
					call = s.Retry
				}

				job, err := call(t.Context(), id)
				row := read(t, db, id)
				row.WaitingFor, row.Timeline = job.WaitingFor, job.Timeline // only Get looks for these
				require.Equal(t, job, row)

				if want == "" {
					require.ErrorIs(t, err, ErrState, verb)
				} else {
					require.NoError(t, err, verb)
					require.Equal(t, want, job.State, verb)
				}
			}

			_, err := s.Cancel(t.Context(), 1<<40)
			require.ErrorIs(t, err, ErrNotFound)
			_, err = s.Retry(t.Context(), 1<<40)
			require.ErrorIs(t, err, ErrNotFound)
		})
	}
}

// Users of SQL may have put anything into a job's metadata.
func TestOddMetadataHidesNoCancellation(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	s := startInserter(t, db)

	for _, metadata := range []string{`[]`, `1`, `null`, `"text"`} {
		id := submit(t, s, "f")
		exec(t, db, "update millrace.river_job set metadata = $2 where id = $1", id, metadata)
		a := claimOne(t, db, "a")

		_, err := s.Cancel(t.Context(), id)
		require.NoError(t, err)

		f := startFinisher(t, db, "a")
		require.NoError(t, f.finish(a, outcomes()["retryable"]))
		require.Equal(t, StateCancelled, read(t, db, id).State, metadata)
	}
}

func TestARetryRunsAtOnceWithOneMoreAttempt(t *testing.T) {
	t.Parallel()

	db, functions := testdb.New(t), newFunctions()
	functions.deploy("f", returns(`1`))
	s := startNode(t, db, functions, insertOnly)
	id := submit(t, s, "f", attemptsOf(3))
	exec(t, db, `update millrace.river_job set state = 'discarded', attempt = 3, finalized_at = now(),
		metadata = '{"cancel_attempted_at": "x", "progress": {"percent": 3}}' where id = $1`, id)

	startNode(t, db, functions)

	job, err := s.Retry(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, 4, job.MaxAttempts)
	require.Nil(t, job.Progress)

	require.Equal(t, 4, await(t, db, id, StateCompleted, StateCancelled, StateFailed).Attempt)
	require.Equal(t, StateCompleted, read(t, db, id).State)
}

func TestCancelReachesTheNodeThatRunsIt(t *testing.T) {
	t.Parallel()

	db, functions := testdb.New(t), newFunctions()
	functions.deploy("f", returns(`1`))
	startUnswept(t, db, functions)
	elsewhere := startNode(t, db, functions, insertOnly)

	within(t, time.Second, func() time.Duration {
		started := make(chan struct{})
		functions.deploy("f", blocksUntilCancelled(started))

		id := submit(t, elsewhere, "f")
		<-started

		began := time.Now()
		_, err := elsewhere.Cancel(t.Context(), id)
		require.NoError(t, err)

		job := await(t, db, id, StateCancelled)
		took := time.Since(began)

		require.Equal(t, CodeCancelled, job.Error.Code)

		return took
	})
}
