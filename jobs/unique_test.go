package jobs

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/testdb"
)

// ruled submits one job and requires that nothing is wrong.
func ruled(t testing.TB, s *Service, input string, opts Options) Job {
	t.Helper()

	job, err := s.Submit(t.Context(), Submission{Function: "f", Input: json.RawMessage(input), Options: opts})
	require.NoError(t, err)

	return job
}

func TestUniqueWhileUnfinished(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	s := startInserter(t, db)
	same := Options{Unique: &Unique{}, Delay: time.Hour}

	first := ruled(t, s, `{"a": 1, "b": [2]}`, same)
	require.Empty(t, first.Outcome)

	again := ruled(t, s, `{"b":[2],"a":1}`, Options{Unique: &Unique{}, Priority: 1})
	require.Equal(t, OutcomeExisting, again.Outcome, "inputs are compared as JSON")
	require.Equal(t, first.ID, again.ID)
	require.Equal(t, StateScheduled, again.State)
	require.Equal(t, DefaultPriority, again.Priority, "the first job stays as it is")
	require.JSONEq(t, `{"a":1,"b":[2]}`, string(again.Input))

	other := ruled(t, s, `{"a": 2}`, same)
	require.NotEqual(t, first.ID, other.ID)

	for _, state := range []string{"completed", "discarded", "cancelled"} {
		job := ruled(t, s, `"`+state+`"`, same)
		exec(t, db, `update millrace.river_job set state = $2::text::millrace.river_job_state, finalized_at = now() where id = $1`, job.ID, state)

		next := ruled(t, s, `"`+state+`"`, same)
		require.Empty(t, next.Outcome, state)
		require.NotEqual(t, job.ID, next.ID)
	}

	for _, state := range []string{"available", "running", "retryable", "pending"} {
		job := ruled(t, s, `"`+state+`"`, same)
		exec(t, db, `update millrace.river_job set state = $2::text::millrace.river_job_state where id = $1`, job.ID, state)
		require.Equal(t, job.ID, ruled(t, s, `"`+state+`"`, same).ID, state)
	}

	exec(t, db, `delete from millrace.river_job where id = $1`, first.ID)
	require.Empty(t, ruled(t, s, `{"a": 1, "b": [2]}`, same).Outcome, "a deleted job frees its key")
}

func TestUniqueByAnExpressionForAPeriod(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	s := startInserter(t, db)
	hourly := Options{Unique: &Unique{Key: "input.user.id", Period: time.Hour}}

	first := ruled(t, s, `{"user": {"id": 7}, "n": 1}`, hourly)
	require.Equal(t, first.ID, ruled(t, s, `{"user": {"id": "7"}, "n": 2}`, hourly).ID)
	require.NotEqual(t, first.ID, ruled(t, s, `{"user": {"id": 8}}`, hourly).ID)

	exec(t, db, `update millrace.river_job set state = 'completed', finalized_at = now() where id = $1`, first.ID)
	require.Equal(t, StateCompleted, ruled(t, s, `{"user": {"id": 7}}`, hourly).State, "a completed job counts")

	exec(t, db, `update millrace.river_job set created_at = created_at - interval '61 minutes' where id = $1`, first.ID)
	second := ruled(t, s, `{"user": {"id": 7}}`, hourly)
	require.Empty(t, second.Outcome, "the period is over")

	exec(t, db, `update millrace.river_job set state = 'discarded', finalized_at = now() where id = $1`, second.ID)
	third := ruled(t, s, `{"user": {"id": 7}}`, hourly)
	require.Empty(t, third.Outcome, "a failed job does not count")
	require.NotEqual(t, second.ID, third.ID)
}

func TestUniqueReplaces(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	s := startInserter(t, db)
	later := Options{Unique: &Unique{Key: "input.id", Replace: true}, Delay: time.Hour, Tags: []string{"old"}}
	now := Options{Unique: later.Unique, Priority: 1, Queue: "other", MaxAttempts: 9, Timeout: time.Second}

	first := ruled(t, s, `{"id": 1, "v": 1}`, later)
	second := ruled(t, s, `{"id": 1, "v": 2}`, now)

	require.Equal(t, OutcomeReplaced, second.Outcome)
	require.Equal(t, first.ID, second.ID)
	require.JSONEq(t, `{"id":1,"v":2}`, string(second.Input))
	require.Equal(t, StateQueued, second.State)
	require.Equal(t, []any{1, "other", 9, []string{}}, []any{second.Priority, second.Queue, second.MaxAttempts, second.Tags})
	require.WithinDuration(t, time.Now(), second.ScheduledAt, time.Minute)

	exec(t, db, `update millrace.river_job set state = 'running', attempt = 1, attempted_at = now() where id = $1`, first.ID)

	third := ruled(t, s, `{"id": 1, "v": 3}`, now)
	require.Equal(t, OutcomeExisting, third.Outcome, "a job that has begun keeps its input")
	require.JSONEq(t, `{"id":1,"v":2}`, string(third.Input))

	exec(t, db, `update millrace.river_job set state = 'scheduled', attempt = 0 where id = $1`, first.ID)
	require.Equal(t, OutcomeExisting, ruled(t, s, `{"id": 1}`, now).Outcome, "so does one that was handed back")
}

func TestDebounce(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	s := startInserter(t, db)
	opts := Options{Debounce: &Debounce{Key: "input.doc", Period: time.Hour, Max: 90 * time.Minute}}

	first := ruled(t, s, `{"doc": 1, "v": 1}`, opts)
	require.Equal(t, StateScheduled, first.State)
	require.Equal(t, time.Hour, first.ScheduledAt.Sub(first.CreatedAt))

	exec(t, db, `update millrace.river_job set created_at = created_at - interval '20 minutes',
		scheduled_at = scheduled_at - interval '20 minutes' where id = $1`, first.ID)

	second := ruled(t, s, `{"doc": 1, "v": 2}`, opts)
	require.Equal(t, OutcomeReplaced, second.Outcome)
	require.Equal(t, first.ID, second.ID)
	require.JSONEq(t, `{"doc":1,"v":2}`, string(second.Input))
	require.Greater(t, second.ScheduledAt, first.ScheduledAt.Add(-time.Second), "pushed back")

	exec(t, db, `update millrace.river_job set created_at = created_at - interval '40 minutes' where id = $1`, first.ID)

	third := ruled(t, s, `{"doc": 1, "v": 3}`, opts)
	require.Equal(t, 90*time.Minute, third.ScheduledAt.Sub(third.CreatedAt), "but no further than its maximum")

	exec(t, db, `update millrace.river_job set created_at = created_at - interval '3 hours' where id = $1`, first.ID)
	require.Equal(t, StateQueued, ruled(t, s, `{"doc": 1, "v": 4}`, opts).State, "whose time may have come already")

	next := ruled(t, s, `{"doc": 1, "v": 5}`, opts)
	require.Empty(t, next.Outcome, "what is queued is on its way")
	require.NotEqual(t, first.ID, next.ID)
	require.NotEqual(t, next.ID, ruled(t, s, `{"doc": 2}`, opts).ID)
}

func TestThrottle(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	s := startInserter(t, db)
	drop := Options{Throttle: &Throttle{Limit: 2, Period: time.Hour, Drop: true}}

	one, two := ruled(t, s, `1`, drop), ruled(t, s, `2`, drop)
	require.Empty(t, one.Outcome)
	require.Empty(t, two.Outcome)

	three := ruled(t, s, `3`, drop)
	require.Equal(t, OutcomeDropped, three.Outcome)
	require.Equal(t, two.ID, three.ID, "the answer is the newest job")

	exec(t, db, `update millrace.job_unique set starts[1] = starts[1] - interval '61 minutes'`)

	four := ruled(t, s, `4`, drop)
	require.Empty(t, four.Outcome, "the first start is an hour ago")
	require.Equal(t, OutcomeDropped, ruled(t, s, `5`, drop).Outcome)

	exec(t, db, `delete from millrace.river_job`)

	_, err := s.Submit(t.Context(), Submission{Function: "f", Options: drop})
	require.ErrorIs(t, err, ErrThrottled, "deleted jobs still count, and cannot be shown")
}

func TestThrottlePutsOff(t *testing.T) {
	t.Parallel()

	s := startInserter(t, testdb.New(t))
	opts := Options{Throttle: &Throttle{Key: "input", Limit: 2, Period: time.Hour}}

	var starts []time.Time
	for range 5 {
		job := ruled(t, s, `"a"`, opts)
		require.Empty(t, job.Outcome)

		starts = append(starts, job.ScheduledAt)
	}

	for i := 2; i < len(starts); i++ {
		require.Equal(t, starts[i-2].Add(time.Hour), starts[i])
	}

	require.Equal(t, StateQueued, ruled(t, s, `"b"`, opts).State, "another key")

	_, err := s.Submit(t.Context(), Submission{Function: "f", Options: Options{
		Throttle: &Throttle{Limit: 1, Period: MaxRulePeriod},
	}})
	require.NoError(t, err)

	for range 11 {
		_, err = s.Submit(t.Context(), Submission{Function: "f", Options: Options{
			Throttle: &Throttle{Limit: 1, Period: MaxRulePeriod},
		}})
	}

	require.ErrorIs(t, err, ErrThrottled)
}

func TestTheRuleOfAFunction(t *testing.T) {
	t.Parallel()

	db, functions := testdb.New(t), newFunctions()
	functions.deploy("f", returns(`1`), Settings{Debounce: &Debounce{Period: time.Hour}})

	s := startNode(t, db, functions, insertOnly)
	first := ruled(t, s, `1`, Options{})
	require.Equal(t, first.ID, ruled(t, s, `2`, Options{}).ID)
	require.NotEqual(t, first.ID, ruled(t, s, `2`, Options{Unique: &Unique{}}).ID, "a submission's own rule replaces it")

	_, err := s.Submit(t.Context(), Submission{Function: "f", Options: Options{Delay: time.Second}})
	require.ErrorContains(t, err, "debounce: decides when the job starts")
}

// Sixty-four submissions at once over three nodes and SQL come to one job under each rule.
func TestRulesHoldOverAllNodes(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	nodes := []*Service{startInserter(t, db), startInserter(t, db), startInserter(t, db)}

	for name, opts := range map[string]Options{
		"unique":   {Unique: &Unique{}, Delay: time.Hour},
		"replace":  {Unique: &Unique{Replace: true}, Delay: time.Hour},
		"period":   {Unique: &Unique{Period: time.Hour}},
		"debounce": {Debounce: &Debounce{Period: time.Hour}},
		"throttle": {Throttle: &Throttle{Limit: 1, Period: time.Hour, Drop: true}},
	} {
		var (
			group   sync.WaitGroup
			mu      sync.Mutex
			ids     = make(map[int64]int)
			created int
		)

		for i := range 64 {
			group.Go(func() {
				job, err := nodes[i%3].Submit(t.Context(), Submission{
					Function: "f", Input: json.RawMessage(`"` + name + `"`), Options: opts,
				})
				if !assertNoError(t, err) {
					return
				}

				mu.Lock()
				defer mu.Unlock()

				ids[job.ID]++

				if job.Outcome == "" {
					created++
				}
			})
		}

		group.Wait()
		require.Len(t, ids, 1, name)
		require.Equal(t, 1, created, name)
	}

	jobs, _ := countJobs(t, db)
	require.Equal(t, 5, jobs)
}

// Batches of two nodes that hold the same keys in opposite order do not fail each other.
func TestRulesInBatches(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	nodes := []*Service{startInserter(t, db), startInserter(t, db)}

	var group sync.WaitGroup

	for n, s := range nodes {
		for range 5 {
			group.Go(func() {
				subs := make([]Submission, 0, 200)

				for i := range 100 {
					key := i
					if n == 1 {
						key = 99 - i
					}

					sub := Submission{Function: "f", Input: json.RawMessage(fmt.Sprint(key)), Options: Options{
						Unique: &Unique{}, Delay: time.Hour,
					}}
					subs = append(subs, sub, Submission{Function: "f"}, sub)
				}

				results, err := s.SubmitMany(t.Context(), subs)
				assertNoError(t, err)

				for i := range results {
					assertNoError(t, results[i].Err)
				}
			})
		}
	}

	group.Wait()

	var unique int
	require.NoError(t, db.Pool.QueryRow(t.Context(), `select count(*) from millrace.river_job where args <> 'null'`).Scan(&unique))
	require.Equal(t, 100, unique)

	jobs, _ := countJobs(t, db)
	require.Equal(t, 1100, jobs)
}

// A transaction that holds a key keeps back those with the same key, for a bounded time, and nobody else.
func TestAHeldKeyHoldsUpNobodyElse(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	s := startInserter(t, db)
	first := ruled(t, s, `"held"`, Options{Unique: &Unique{}, Delay: time.Hour})

	tx, err := db.Pool.Begin(t.Context())
	require.NoError(t, err)

	_, err = tx.Exec(t.Context(), `select from millrace.job_unique for update`)
	require.NoError(t, err)

	results, err := s.SubmitMany(t.Context(), []Submission{
		{Function: "f", Input: json.RawMessage(`1`)},
		{Function: "f", Input: json.RawMessage(`"held"`), Options: Options{Unique: &Unique{}}},
		{Function: "f", Input: json.RawMessage(`"free"`), Options: Options{Unique: &Unique{}}},
	})
	require.NoError(t, err)
	require.NoError(t, results[0].Err)
	require.ErrorIs(t, results[1].Err, ErrKeyHeld)
	require.NoError(t, results[2].Err)

	require.NoError(t, tx.Rollback(t.Context()))
	require.Equal(t, first.ID, ruled(t, s, `"held"`, Options{Unique: &Unique{}}).ID)
}

// An idempotency key stands for the job that its request came to.
func TestAKeyAndARule(t *testing.T) {
	t.Parallel()

	s := startInserter(t, testdb.New(t))
	first := ruled(t, s, `1`, Options{Unique: &Unique{}, Delay: time.Hour})
	keyed := Options{Unique: &Unique{}, IdempotencyKey: "k", Delay: time.Hour}

	second := ruled(t, s, `1`, keyed)
	require.Equal(t, OutcomeExisting, second.Outcome)
	require.Equal(t, first.ID, second.ID)

	third := ruled(t, s, `1`, keyed)
	require.True(t, third.Replayed)
	require.Equal(t, first.ID, third.ID)

	keyed.Unique = &Unique{Replace: true}
	_, err := s.Submit(t.Context(), Submission{Function: "f", Input: json.RawMessage(`1`), Options: keyed})
	require.ErrorIs(t, err, ErrIdempotencyMismatch, "a rule is part of the request")
}

// A replaced job that is due sooner than it was starts when it is due now.
func TestAReplacedJobStartsOnTime(t *testing.T) {
	t.Parallel()

	db, functions := testdb.New(t), newFunctions()
	inputs := make(chan string, 1)

	functions.deploy("f", recordInput(inputs))

	s := startNode(t, db, functions, withListener(t, db))
	opts := Options{Unique: &Unique{Key: "input.id", Replace: true}, Delay: time.Hour}
	first := ruled(t, s, `{"id": 1, "v": 1}`, opts)

	opts.Delay = 100 * time.Millisecond
	ruled(t, s, `{"id": 1, "v": 2}`, opts)

	require.Equal(t, StateCompleted, await(t, db, first.ID, StateCompleted).State)
	require.JSONEq(t, `{"id": 1, "v": 2}`, <-inputs)
}

func TestDebouncedJobsRunOnceWithTheLastInput(t *testing.T) {
	t.Parallel()

	db, functions := testdb.New(t), newFunctions()
	inputs := make(chan string, 10)

	functions.deploy("f", recordInput(inputs), Settings{Debounce: &Debounce{Period: 500 * time.Millisecond, Max: 24 * time.Hour}})

	s := startNode(t, db, functions, withListener(t, db))

	var last Job
	for i := range 5 {
		last = ruled(t, s, fmt.Sprint(i), Options{})
	}

	await(t, db, last.ID, StateCompleted)

	var seen string
	for len(inputs) > 0 {
		seen = <-inputs
	}

	require.Equal(t, "4", seen)
}

func recordInput(inputs chan<- string) func(context.Context, *Run) (json.RawMessage, error) {
	return func(_ context.Context, run *Run) (json.RawMessage, error) {
		inputs <- string(run.Input)

		return json.RawMessage(`1`), nil
	}
}
