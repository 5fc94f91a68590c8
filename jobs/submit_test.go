package jobs

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/postgres"
	"github.com/millrace-dev/millrace/internal/testdb"
)

func insertOnly(cfg *Config) { cfg.InsertOnly = true }

// startInserter is a node that runs nothing, for functions f and orders.charge.
func startInserter(t testing.TB, db *testdb.DB, change ...func(*Config)) *Service {
	t.Helper()

	functions := newFunctions()
	functions.deploy("f", returns(`1`))
	functions.deploy("orders.charge", returns(`1`), Settings{
		Version: "v1", Queue: "money", Priority: 1, MaxAttempts: 9, Timeout: time.Hour,
	})

	return startNode(t, db, functions, append([]func(*Config){insertOnly}, change...)...)
}

// holdTable keeps every statement on jobs waiting until the returned function is called.
func holdTable(t *testing.T, db *testdb.DB) (release func()) {
	t.Helper()

	tx, err := db.Pool.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), `lock table millrace.river_job in access exclusive mode`)
	require.NoError(t, err)

	release = sync.OnceFunc(func() { _ = tx.Rollback(context.Background()) })
	t.Cleanup(release)

	return release
}

// heldBack is how many statements the lock of holdTable keeps waiting.
func heldBack(t *testing.T, db *testdb.DB) int {
	t.Helper()

	var n int
	require.NoError(t, db.Pool.QueryRow(t.Context(),
		`select count(*) from pg_catalog.pg_locks where not granted and relation = 'millrace.river_job'::regclass`).Scan(&n))

	return n
}

func countJobs(t *testing.T, db *testdb.DB) (jobs, transactions int) {
	t.Helper()

	require.NoError(t, db.Pool.QueryRow(t.Context(),
		`select count(*), count(distinct xmin::text) from millrace.river_job`).Scan(&jobs, &transactions))

	return jobs, transactions
}

// occupySubmitter gives the submitter one submission, which the lock of holdTable keeps there.
func occupySubmitter(t *testing.T, db *testdb.DB, s *Service, group *sync.WaitGroup) {
	t.Helper()

	before := heldBack(t, db)

	group.Go(func() {
		_, err := s.Submit(t.Context(), Submission{Function: "f"})
		assertNoError(t, err)
	})
	require.Eventually(t, func() bool { return heldBack(t, db) > before }, patience, time.Millisecond)
}

func TestConcurrentSubmissionsShareTransactions(t *testing.T) {
	t.Parallel()

	const callers = 400

	db := testdb.New(t)
	s := startInserter(t, db)
	release := holdTable(t, db)

	var group sync.WaitGroup

	occupySubmitter(t, db, s, &group)

	for i := range callers {
		group.Go(func() {
			job, err := s.Submit(t.Context(), Submission{Function: "f", Input: fmt.Appendf(nil, `{"n":%d}`, i)})
			if !assertNoError(t, err) {
				return
			}

			// Each caller gets the id of its own row.
			row := read(t, db, job.ID)
			if string(row.Input) != fmt.Sprintf(`{"n": %d}`, i) || row.State != StateQueued || job.State != StateQueued {
				t.Errorf("caller %d got job %d with input %s", i, job.ID, row.Input)
			}
		})
	}

	require.Eventually(t, func() bool { return len(s.submitter.queue) == callers }, patience, time.Millisecond)
	release()
	group.Wait()

	jobs, transactions := countJobs(t, db)
	require.Equal(t, callers+1, jobs)
	require.LessOrEqual(t, transactions, 2)
}

func assertNoError(t *testing.T, err error) bool {
	t.Helper()

	if err != nil {
		t.Error(err)
	}

	return err == nil
}

func TestSubmissionBecomesARow(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	s := startInserter(t, db)
	at := time.Now().Add(time.Hour).UTC().Truncate(time.Microsecond)

	for name, tc := range map[string]struct {
		function string
		options  Options
		want     func(job *Job)
	}{
		"defaults": {function: "f", want: func(*Job) {}},
		"settings": {function: "orders.charge", want: func(job *Job) {
			job.Function, job.Queue, job.Priority, job.MaxAttempts = "orders.charge", "money", 1, 9
		}},
		"options": {
			function: "orders.charge",
			options:  Options{Queue: "slow", Priority: 4, MaxAttempts: 2, Tags: []string{"acme", "q-4"}},
			want: func(job *Job) {
				job.Function, job.Queue, job.Priority, job.MaxAttempts = "orders.charge", "slow", 4, 2
				job.Tags = []string{"acme", "q-4"}
			},
		},
		"run at": {function: "f", options: Options{RunAt: at}, want: func(job *Job) {
			job.State, job.ScheduledAt = StateScheduled, at
		}},
		"in the past": {function: "f", options: Options{RunAt: at.Add(-48 * time.Hour)}, want: func(*Job) {}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			job, err := s.Submit(t.Context(), Submission{Function: tc.function, Options: tc.options})
			require.NoError(t, err)

			want := Job{
				ID: job.ID, Function: "f", State: StateQueued, Input: json.RawMessage(`null`),
				MaxAttempts: DefaultMaxAttempts, Queue: DefaultQueue, Priority: DefaultPriority, Tags: []string{},
				CreatedAt: job.CreatedAt, ScheduledAt: job.CreatedAt,
			}
			tc.want(&want)

			row := read(t, db, job.ID)
			require.Equal(t, want, inUTC(job))
			require.Equal(t, want, inUTC(row))
			require.WithinDuration(t, time.Now(), job.CreatedAt, patience)
		})
	}
}

// inUTC makes times comparable; they mean the same anyway.
func inUTC(job Job) Job {
	job.ScheduledAt = job.ScheduledAt.In(job.CreatedAt.Location())
	if job.State == StateScheduled {
		job.ScheduledAt = job.ScheduledAt.UTC()
	}

	return job
}

func TestDelayAndTimeoutOfASubmission(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	s := startInserter(t, db)

	job, err := s.Submit(t.Context(), Submission{
		Function: "f", Options: Options{Delay: 90 * time.Second, Timeout: 1500 * time.Millisecond},
	})
	require.NoError(t, err)
	require.Equal(t, StateScheduled, job.State)
	require.Equal(t, 90*time.Second, job.ScheduledAt.Sub(job.CreatedAt))

	var timeout string
	require.NoError(t, db.Pool.QueryRow(t.Context(),
		`select metadata -> 'run' ->> 'timeout_ms' from millrace.river_job where id = $1`, job.ID).Scan(&timeout))
	require.Equal(t, "1500", timeout)
}

// What a submission says on the notification channels decides how soon it is picked up.
func TestSubmissionsWakeTheirQueues(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	s := startInserter(t, db)

	conn, err := postgres.Connect(t.Context(), db.URL, "test")
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	_, err = conn.Exec(t.Context(), `listen "millrace.river_insert"; listen millrace_jobs`)
	require.NoError(t, err)

	results, err := s.SubmitMany(t.Context(), []Submission{
		{Function: "f"}, {Function: "orders.charge"}, {Function: "f"},
		{Function: "f", Options: Options{Delay: time.Hour, Queue: "later"}},
	})
	require.NoError(t, err)

	var (
		woken []string
		hints []hint
	)

	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()

	for len(woken) < 2 || len(hints) < len(results) {
		n, err := conn.WaitForNotification(ctx)
		require.NoError(t, err)

		if n.Channel == hintChannel {
			parseHints(n.Payload, func(h hint) { hints = append(hints, h) })
		} else {
			woken = append(woken, n.Payload)
		}
	}

	require.ElementsMatch(t, []string{`{"queue" : "default"}`, `{"queue" : "money"}`}, woken)
	require.ElementsMatch(t, []hint{
		stateHint(results[0].Job.ID, StateQueued, 0, "f"),
		stateHint(results[1].Job.ID, StateQueued, 0, "orders.charge"),
		stateHint(results[2].Job.ID, StateQueued, 0, "f"),
		stateHint(results[3].Job.ID, StateScheduled, 0, "f"),
	}, hints)
}

func repeat(sub Submission, n int) []Submission {
	subs := make([]Submission, n)
	for i := range subs {
		subs[i] = sub
	}

	return subs
}
