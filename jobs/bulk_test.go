package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/testdb"
)

// fillState inserts n jobs of a function in a stored state. What runs, runs on the node "busy".
func fillState(t testing.TB, db *testdb.DB, n int, kind, state string) {
	t.Helper()
	exec(t, db, `insert into millrace.river_job
			(kind, args, max_attempts, priority, state, attempt, attempted_at, attempted_by, scheduled_at, finalized_at)
		select $2, '{}', 5, 2, $3::text::millrace.river_job_state, 5, now(), '{busy}',
			now() + case when $3 in ('scheduled', 'retryable') then interval '1 hour' else interval '0' end,
			case when $3 in ('completed', 'discarded', 'cancelled') then now() end
		from generate_series(1, $1)`, n, kind, state)
}

// rowsWhere counts rows.
func rowsWhere(t testing.TB, db *testdb.DB, where string, args ...any) (n int) {
	t.Helper()
	require.NoError(t, db.Pool.QueryRow(t.Context(), "select count(*) from millrace.river_job where "+where, args...).Scan(&n))

	return n
}

// startSteering is a service that works on operations and runs no job: none is of its queue.
func startSteering(t testing.TB, db *testdb.DB, change ...func(*Config)) *Service {
	t.Helper()

	functions := newFunctions()
	functions.deploy("f", returns("1"))

	return startNode(t, db, functions, append([]func(*Config){func(cfg *Config) { cfg.Queues = map[string]int{"idle": 1} }}, change...)...)
}

// bulk begins an operation and waits for its end.
func bulk(t testing.TB, s *Service, b Bulk) Operation {
	t.Helper()

	op, err := s.Bulk(t.Context(), b)
	require.NoError(t, err)

	return ended(t, s, op.ID)
}

func ended(t testing.TB, s *Service, id int64) Operation {
	t.Helper()

	ctx, cancel := context.WithTimeout(t.Context(), 3*patience)
	defer cancel()

	op, err := s.WaitOperation(ctx, id)
	require.NoError(t, err, "%+v", op)

	return op
}

// Every action on one job of each state: what it does, and what it skips.
func TestBulkActions(t *testing.T) {
	t.Parallel()

	stored := []string{"available", "scheduled", "retryable", "running", "completed", "discarded", "cancelled"}

	for _, tc := range []struct {
		bulk  Bulk
		done  int64
		after string // the condition that holds for what was acted on
	}{
		{Bulk{Action: ActionRetry}, 4, "state = 'available' and attempt = 5 and max_attempts = 6 and finalized_at is null"},
		{Bulk{Action: ActionCancel}, 4, "state = 'cancelled' or metadata ? 'cancel_attempted_at'"},
		{Bulk{Action: ActionDelete}, 6, ""},
		{Bulk{Action: ActionPurge}, 3, ""},
		{Bulk{Action: ActionMove, Queue: "else"}, 5, "queue = 'else'"},
		{Bulk{Action: ActionPrioritize, Priority: 4}, 5, "priority = 4"},
	} {
		t.Run(string(tc.bulk.Action), func(t *testing.T) {
			t.Parallel()

			db := testdb.New(t)
			s := startSteering(t, db)

			exec(t, db, "insert into millrace.node (id, name, heartbeat_at) values ('busy', 'busy', now() + interval '1 hour')")

			for _, state := range stored {
				fillState(t, db, 1, "f", state)
			}

			fillState(t, db, 1, "other", "discarded")

			dry := tc.bulk
			dry.Filter.Function, dry.DryRun = "f", true
			before := rowsWhere(t, db, "true")
			counted := bulk(t, s, dry)
			require.Equal(t, [3]int64{7, tc.done, 7 - tc.done}, [3]int64{counted.Matched, counted.Done, counted.Skipped})
			require.Equal(t, before, rowsWhere(t, db, "true"))
			require.Zero(t, rowsWhere(t, db, "queue = 'else' or priority = 4 or max_attempts = 6"), "a dry run changes nothing")

			tc.bulk.Filter.Function = "f"
			op := bulk(t, s, tc.bulk)
			require.Equal(t, OperationCompleted, op.State)
			require.Equal(t, [3]int64{7, tc.done, 7 - tc.done}, [3]int64{op.Matched, op.Done, op.Skipped})
			require.InDelta(t, 100, op.Percent, 0)
			require.NotNil(t, op.FinishedAt)

			if tc.after == "" {
				require.Equal(t, 8-int(tc.done), rowsWhere(t, db, "true"))
			} else {
				already := 0
				if tc.bulk.Action == ActionCancel {
					already = 1 // was cancelled before
				}

				require.Equal(t, int(tc.done)+already, rowsWhere(t, db, "kind = 'f' and ("+tc.after+")"))
			}

			require.Equal(t, 1, rowsWhere(t, db, "kind = 'other' and state = 'discarded'"), "others' jobs are left alone")
			require.Equal(t, 1, rowsWhere(t, db, "kind = 'f' and state = 'running'"))
		})
	}
}

// Ten thousand jobs in bounded transactions, each acted on once, and none that came later.
func TestBulkGoesInBatches(t *testing.T) {
	t.Parallel()

	const n = 10_000

	db := testdb.New(t)
	s := startSteering(t, db)
	fillState(t, db, n, "f", "discarded")
	fillState(t, db, 50, "other", "discarded")

	op, err := s.Bulk(t.Context(), Bulk{Action: ActionRetry, Filter: ListQuery{Function: "f", State: StateFailed}})
	require.NoError(t, err)
	fillState(t, db, 10, "f", "discarded") // newer than the operation

	op = ended(t, s, op.ID)
	require.Equal(t, [3]int64{n, n, 0}, [3]int64{op.Matched, op.Done, op.Skipped})
	require.Equal(t, n, rowsWhere(t, db, "state = 'available' and max_attempts = 6"))
	require.Equal(t, 10, rowsWhere(t, db, "kind = 'f' and state = 'discarded'"))

	var largest, transactions int

	require.NoError(t, db.Pool.QueryRow(t.Context(), `select max(n), count(*) from (
		select count(*) n from millrace.river_job where state = 'available' group by xmin::text) x`).Scan(&largest, &transactions))
	require.LessOrEqual(t, largest, bulkBatch)
	require.GreaterOrEqual(t, transactions, n/bulkBatch)
}

// A filter that is wrong, or hostile, is refused or finds nothing; it is never SQL.
func TestBulkRefusesBadRequests(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	s := startSteering(t, db)
	fillState(t, db, 3, "f", "discarded")

	for want, b := range map[string]Bulk{
		"filter":       {Action: ActionRetry},
		"action":       {Action: "drop", All: true},
		"filter.state": {Action: ActionRetry, Filter: ListQuery{State: "asleep"}},
		"filter.tag":   {Action: ActionRetry, Filter: ListQuery{Tag: "a\x00"}},
		"queue":        {Action: ActionMove, All: true},
		"priority":     {Action: ActionPrioritize, All: true},
		"as a filter":  {Action: ActionRetry, All: true, Queue: "x"},
	} {
		_, err := s.Bulk(t.Context(), b)

		var wrong *ValidationError

		require.ErrorAs(t, err, &wrong, want)
		require.Len(t, wrong.Fields, 1, "%s: %v", want, wrong)
		require.Contains(t, wrong.Fields[0].Field+" "+wrong.Fields[0].Message, want)
	}

	for _, b := range []Bulk{
		{Action: ActionMove, All: true, Queue: `"; drop table millrace.river_job; --`},
		{Action: ActionPrioritize, All: true, Priority: 5},
		{Action: ActionRetry, Filter: ListQuery{Function: "f", Limit: 1}},
	} {
		_, err := s.Bulk(t.Context(), b)

		var wrong *ValidationError

		require.ErrorAs(t, err, &wrong, "%+v", b)
	}

	for _, text := range []string{`"; drop table millrace.river_job; --`, `$$`, `%`, `f' or true --`, `\`, `{"a":1}`, "\u202e", "f*"} {
		for _, filter := range []ListQuery{{Function: text}, {Queue: text}, {Tag: text}, {Schedule: text}} {
			op := bulk(t, s, Bulk{Action: ActionDelete, Filter: filter})
			require.Equal(t, OperationCompleted, op.State, "%+v: %s", filter, op.Error)
			require.Zero(t, op.Matched, "%+v", filter)
		}
	}

	require.Equal(t, 3, rowsWhere(t, db, "true"))
}

func TestBulkIsBoundToFunctions(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	s := startSteering(t, db)

	for _, kind := range []string{"orders.charge", "orders.refund", "mail.send", "orders"} {
		fillState(t, db, 2, kind, "discarded")
	}

	op := bulk(t, s, Bulk{Action: ActionDelete, All: true, Functions: []string{"orders.*", "mail.sen"}})
	require.Equal(t, int64(4), op.Done)
	require.Equal(t, int64(4), op.Matched, "what it may not touch does not count either")
	require.Equal(t, 4, rowsWhere(t, db, "kind in ('mail.send', 'orders')"))
}

// What somebody holds for long is passed over in the end, and the operation gets on.
func TestBulkDoesNotWaitForHeldRows(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	s := startSteering(t, db)
	fillState(t, db, 3, "f", "discarded")

	tx, err := db.Pool.Begin(t.Context())
	require.NoError(t, err)

	defer func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) }()

	_, err = tx.Exec(t.Context(), "select id from millrace.river_job order by id limit 1 for update")
	require.NoError(t, err)

	op := bulk(t, s, Bulk{Action: ActionDelete, Filter: ListQuery{Function: "f"}})
	require.Equal(t, [2]int64{2, 1}, [2]int64{op.Done, op.Skipped})
}

// One row that Postgres refuses does not keep the others from it.
func TestBulkPassesOverWhatPostgresRefuses(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	s := startSteering(t, db)
	fillState(t, db, 9, "f", "discarded")
	// As River's own client would make them: one job with this key may be available.
	exec(t, db, `update millrace.river_job set unique_key = 'k', unique_states = '00000001'
		where id = (select id from millrace.river_job order by id offset 4 limit 1)`)
	exec(t, db, `insert into millrace.river_job (kind, args, max_attempts, priority, state, unique_key, unique_states)
		values ('g', '{}', 5, 2, 'available', 'k', '00000001')`)

	op := bulk(t, s, Bulk{Action: ActionRetry, Filter: ListQuery{Function: "f"}})
	require.Equal(t, OperationCompleted, op.State)
	require.Equal(t, [2]int64{8, 1}, [2]int64{op.Done, op.Skipped}, op.Error)
}

func TestAnOperationIsCancelled(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	s := startInserter(t, db) // nobody works on it
	fillState(t, db, 3, "f", "discarded")

	op, err := s.Bulk(t.Context(), Bulk{Action: ActionRetry, Filter: ListQuery{Function: "f"}})
	require.NoError(t, err)
	require.Equal(t, OperationQueued, op.State)

	op, err = s.CancelOperation(t.Context(), op.ID)
	require.NoError(t, err)
	require.Equal(t, OperationCancelled, op.State)

	again, err := s.CancelOperation(t.Context(), op.ID)
	require.NoError(t, err)
	require.Equal(t, op.FinishedAt, again.FinishedAt)

	_, err = s.CancelOperation(t.Context(), 999)
	require.ErrorIs(t, err, ErrNoOperation)

	worker := startSteering(t, db)
	require.NoError(t, worker.runBatch(t.Context(), &op, "node", false))
	require.Equal(t, 3, rowsWhere(t, db, "state = 'discarded'"), "a batch that comes late finds it over")

	page, err := s.Operations(t.Context(), 1, "")
	require.NoError(t, err)
	require.Len(t, page.Operations, 1)
	require.Empty(t, page.Next)
}

// Batches of two nodes that both believe the operation is theirs: one of them counts.
func TestABatchIsDoneOnce(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	s := startInserter(t, db)
	fillState(t, db, 3, "f", "discarded")

	_, err := s.Bulk(t.Context(), Bulk{Action: ActionRetry, Filter: ListQuery{Function: "f"}})
	require.NoError(t, err)

	claimed := func(node string) Operation {
		op, err := readOperation(t.Context(), db.Pool, operationClaimSQL+operationColumnsSQL, node)
		require.NoError(t, err)

		return op
	}

	late := claimed("a")
	_, err = readOperation(t.Context(), db.Pool, operationClaimSQL+operationColumnsSQL, "b")
	require.ErrorIs(t, err, ErrNoOperation, "a's lease lasts")
	exec(t, db, "update millrace.operation set lease_until = now() - interval '1 second'")

	next := claimed("b")
	require.NoError(t, s.runBatch(t.Context(), &late, "a", false))
	require.Equal(t, 3, rowsWhere(t, db, "state = 'discarded'"), "the first one lost it")
	require.NoError(t, s.runBatch(t.Context(), &next, "b", false))
	require.NoError(t, s.runBatch(t.Context(), &next, "b", false))

	op, err := s.Operation(t.Context(), next.ID)
	require.NoError(t, err)
	require.Equal(t, [2]int64{3, 3}, [2]int64{op.Matched, op.Done})
}

// A batch that fails for good ends its operation, with a word to the user and none of Postgres'.
func TestAnOperationFails(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	s := startInserter(t, db)
	fillState(t, db, 1, "f", "discarded")

	op, err := s.Bulk(t.Context(), Bulk{Action: ActionRetry, Filter: ListQuery{Function: "f"}})
	require.NoError(t, err)
	exec(t, db, "alter function millrace.retry_job(bigint) rename to retry_job_gone")
	startSteering(t, db)

	op = ended(t, s, op.ID)
	require.Equal(t, OperationFailed, op.State)
	require.Equal(t, "the database refused a batch (SQLSTATE 42883)", op.Error)
}

// The operation survives the node that works on it: kill -9 in the middle, another one goes on, nothing is done twice.
func TestAnOperationSurvivesItsNode(t *testing.T) {
	t.Parallel()

	const n = 20_000

	db := testdb.New(t)
	child, held := startChild(t, db)
	fillState(t, db, n, "f", "discarded")

	s := startInserter(t, db)
	op, err := s.Bulk(t.Context(), Bulk{Action: ActionRetry, Filter: ListQuery{Function: "f", State: StateFailed}})
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		op, err = s.Operation(t.Context(), op.ID)

		return err == nil && op.Done > 0
	}, 3*patience, time.Millisecond)

	child.signal(t, syscall.SIGKILL)

	cut, err := s.Operation(t.Context(), op.ID)
	require.NoError(t, err)
	require.Equal(t, childID, cut.Node)
	require.Less(t, cut.Done, int64(n), "killed in the middle")

	survivor := startSteering(t, db)
	op = ended(t, survivor, op.ID)
	require.Equal(t, OperationCompleted, op.State)
	require.NotEqual(t, childID, op.Node)
	require.Equal(t, [3]int64{n, n, 0}, [3]int64{op.Matched, op.Done, op.Skipped})
	require.Equal(t, n, rowsWhere(t, db, "kind = 'f' and max_attempts = 6"), "each one once: a second time would add an attempt")
	require.Equal(t, n, rowsWhere(t, db, "kind = 'f'"))
	require.NotZero(t, held)
}

// Cancelling in bulk reaches jobs that run.
func TestBulkCancelStopsRunningJobs(t *testing.T) {
	t.Parallel()

	db, functions := testdb.New(t), newFunctions()
	functions.deploy("endless", func(ctx context.Context, _ *Run) (json.RawMessage, error) {
		<-ctx.Done()

		return nil, ctx.Err()
	})

	s := startNode(t, db, functions, withListener(t, db))

	ids := make([]int64, 3)
	for i := range ids {
		ids[i] = submit(t, s, "endless")
	}

	for _, id := range ids {
		await(t, db, id, StateRunning)
	}

	op := bulk(t, s, Bulk{Action: ActionCancel, Filter: ListQuery{Function: "endless"}})
	require.Equal(t, int64(3), op.Done)

	for _, id := range ids {
		await(t, db, id, StateCancelled)
	}
}

// A retried job runs at once, whatever node did the batch.
func TestBulkRetryWakesTheQueue(t *testing.T) {
	t.Parallel()

	db, functions := testdb.New(t), newFunctions()

	var fail = errors.New("not yet")

	functions.deploy("moody", func(_ context.Context, run *Run) (json.RawMessage, error) {
		if run.Attempt == 1 {
			return nil, fail
		}

		return json.RawMessage(`"well"`), nil
	})

	s := startNode(t, db, functions)
	id := submit(t, s, "moody", attemptsOf(1))
	await(t, db, id, StateFailed)

	page, err := s.DeadLetters(t.Context(), ListQuery{Function: "moody"})
	require.NoError(t, err)
	require.Len(t, page.Jobs, 1)

	op, err := s.Requeue(t.Context(), ListQuery{}, false)
	require.NoError(t, err)
	require.Equal(t, int64(1), ended(t, s, op.ID).Done)
	await(t, db, id, StateCompleted)

	op, err = s.Purge(t.Context(), "moody", "")
	require.NoError(t, err)
	require.Equal(t, int64(1), ended(t, s, op.ID).Done)
	_, err = s.Get(t.Context(), id)
	require.ErrorIs(t, err, ErrNotFound)

	_, err = s.Purge(t.Context(), "", "")
	require.Error(t, err)
}

// Batches lock by the primary key, on a table that was never analyzed too.
func TestBulkPlans(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	exec(t, db, "alter table millrace.river_job set (autovacuum_enabled = off)")
	exec(t, db, fill)

	conn, err := db.Pool.Acquire(t.Context())
	require.NoError(t, err)

	defer conn.Release()

	indexes := make(map[string]bool)
	testdb.Explain(t, conn.Conn(), bulkLockSQL, "'{1,2,3}', '{discarded}'").Walk(func(p testdb.Plan) {
		require.NotEqual(t, "Seq Scan", p.Type)

		indexes[p.Index] = true
	})
	require.True(t, indexes["river_job_pkey"], "%v", indexes)
}
