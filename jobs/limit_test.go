package jobs

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/testdb"
)

// deployLimited deploys a function with limits, as the program does it.
func deployLimited(
	t testing.TB, db *testdb.DB, functions *functionsOf, name string, limits Limits,
	run func(context.Context, *Run) (json.RawMessage, error),
) {
	t.Helper()

	functions.deploy(name, run, Settings{Version: "v1", Limits: limits})
	require.NoError(t, StoreLimits(t.Context(), db.Pool, name, limits))
}

// insertLimited puts n queued jobs with this input into a function's lane, without a service.
func insertLimited(t testing.TB, db *testdb.DB, function, input string, n int) {
	t.Helper()
	exec(t, db, `insert into millrace.river_job (kind, args, max_attempts, priority, metadata)
		select $1, $2::jsonb, 5, 2, jsonb_build_object('lane', millrace.lane($1, $2::jsonb)) from generate_series(1, $3)`,
		function, input, n)
}

func testClaimer(db *testdb.DB, client string) *claimer {
	return newClaimer(db.Pool, client, newAttempts(), newWaker(), slog.New(slog.DiscardHandler))
}

func claimed(t *testing.T, c *claimer, limit int) []*attempt {
	t.Helper()

	claims, err := c.claim(t.Context(), DefaultQueue, limit)
	require.NoError(t, err)

	return claims
}

// crowd counts how many calls are under way with each input, and the most that ever were.
type crowd struct {
	mu   sync.Mutex
	now  map[string]int
	most map[string]int
}

func newCrowd() *crowd { return &crowd{now: make(map[string]int), most: make(map[string]int)} }

func (c *crowd) call(key string, while func()) {
	c.mu.Lock()
	c.now[key]++
	c.most[key] = max(c.most[key], c.now[key])
	c.mu.Unlock()

	while()

	c.mu.Lock()
	c.now[key]--
	c.mu.Unlock()
}

func TestConcurrencyHoldsForEachKeyOverNodes(t *testing.T) {
	t.Parallel()

	const keys, each, limit = 5, 40, 2

	db, functions, seen := testdb.New(t), newFunctions(), newCrowd()
	deployLimited(t, db, functions, "charge", Limits{Concurrency: limit, ConcurrencyKey: "input.customer.id"},
		func(_ context.Context, run *Run) (json.RawMessage, error) {
			seen.call(string(run.Input), func() { time.Sleep(time.Millisecond) })

			return nil, nil
		})

	s := startNode(t, db, functions)
	startNode(t, db, functions)
	startNode(t, db, functions)

	var subs []Submission
	for i := range keys * each {
		subs = append(subs, Submission{
			Function: "charge", Input: json.RawMessage(fmt.Sprintf(`{"customer": {"id": %d}}`, i%keys)),
		})
	}

	results, err := s.SubmitMany(t.Context(), subs)
	require.NoError(t, err)

	for _, result := range results {
		require.NoError(t, result.Err)
		await(t, db, result.Job.ID, StateCompleted)
	}

	require.Len(t, seen.most, keys)

	for key, most := range seen.most {
		require.Equal(t, limit, most, key)
	}
}

// Whatever ends an attempt frees its slot, since the running row is the slot.
func TestEveryEndOfAnAttemptFreesItsSlot(t *testing.T) { //nolint:tparallel // one database, emptied for each
	t.Parallel()

	db := testdb.New(t)
	require.NoError(t, StoreLimits(t.Context(), db.Pool, "charge", Limits{Concurrency: 1}))

	f := startFinisher(t, db, "a")
	ends := map[string]func(a *attempt){
		"deleted": func(a *attempt) { exec(t, db, "delete from millrace.river_job where id = $1", a.id) },
		"rescued": func(a *attempt) {
			exec(t, db, "update millrace.river_job set attempted_at = now() - interval '1 minute'")
			exec(t, db, rescueSQL, rescueBatch, "{}", "b", []int64{})
		},
	}

	for name, out := range outcomes() {
		ends[name] = func(a *attempt) { require.NoError(t, f.finish(a, out)) }
	}

	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			exec(t, db, "truncate millrace.river_job")
			insertLimited(t, db, "charge", "{}", 3)

			c := testClaimer(db, "a")
			first := claimed(t, c, 5)
			require.Len(t, first, 1)
			require.Empty(t, claimed(t, c, 5), "the slot is taken")

			end(first[0])
			require.Len(t, claimed(t, c, 5), 1)
			require.Empty(t, claimed(t, c, 5))
		})
	}
}

func TestNodesThatClaimAtOnceNeverExceedALimit(t *testing.T) {
	t.Parallel()

	const nodes, limit = 6, 3

	db := testdb.New(t)
	require.NoError(t, StoreLimits(t.Context(), db.Pool, "charge", Limits{Concurrency: limit, ConcurrencyKey: "input"}))

	for range 10 {
		exec(t, db, "truncate millrace.river_job")

		for key := range 8 {
			insertLimited(t, db, "charge", fmt.Sprint(key), 10)
		}

		var wg sync.WaitGroup
		for node := range nodes {
			wg.Go(func() {
				c := testClaimer(db, fmt.Sprintf("node-%d", node))
				for range 5 {
					if _, err := c.claim(t.Context(), DefaultQueue, 4); err != nil {
						t.Error(err)
					}
				}
			})
		}

		wg.Wait()

		var most int
		require.NoError(t, db.Pool.QueryRow(t.Context(), `select max(n) from (select count(*) n from millrace.river_job
			where state = 'running' group by metadata ->> 'lane') x`).Scan(&most))
		require.LessOrEqual(t, most, limit)
	}
}

func TestAChangedLimitActsOnTheNextClaimAndEndsNothing(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	c := testClaimer(db, "a")
	set := func(n int) {
		require.NoError(t, StoreLimits(t.Context(), db.Pool, "charge", Limits{Concurrency: n}))
	}
	running := func() (n int) {
		require.NoError(t, db.Pool.QueryRow(t.Context(), "select count(*) from millrace.river_job where state = 'running'").Scan(&n))

		return n
	}

	set(2)
	insertLimited(t, db, "charge", "{}", 20)
	require.Len(t, claimed(t, c, 9), 2)
	set(5)
	require.Len(t, claimed(t, c, 9), 3)
	set(1)
	require.Empty(t, claimed(t, c, 9))
	require.Equal(t, 5, running())
	set(0)
	require.Len(t, claimed(t, c, 9), 9, "without limits a lane holds nobody back")
}

// A function may get its limits when its jobs are queued already, outside of every lane.
func TestJobsOfAFunctionThatGotLimitsMoveIntoItsLanes(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	exec(t, db, `insert into millrace.river_job (kind, args, max_attempts, priority)
		select 'charge', jsonb_build_object('id', i % 2), 5, 2 from generate_series(1, 30) i`)
	insertJobs(t, db, 1)
	require.NoError(t, StoreLimits(t.Context(), db.Pool, "charge", Limits{Concurrency: 1, ConcurrencyKey: "input.id"}))

	claims := claimed(t, testClaimer(db, "a"), 10)
	kinds := map[string]int{}

	for _, a := range claims {
		kinds[a.function]++
	}

	require.Equal(t, map[string]int{"noop": 1, "charge": 2}, kinds, "behind them is a job of another function")

	var attempts, lanes int
	require.NoError(t, db.Pool.QueryRow(t.Context(), `select sum(attempt), count(distinct metadata ->> 'lane')
		from millrace.river_job`).Scan(&attempts, &lanes))
	require.Equal(t, 3, attempts, "being moved is no attempt")
	require.Equal(t, 2, lanes)
}

func TestKeysShareFairly(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	require.NoError(t, StoreLimits(t.Context(), db.Pool, "charge", Limits{Concurrency: 1_000, ConcurrencyKey: "input"}))
	insertLimited(t, db, "charge", `"noisy"`, 500)
	insertLimited(t, db, "charge", `"calm"`, 40)
	insertLimited(t, db, "charge", `"single"`, 1)

	c := testClaimer(db, "a")
	shares := map[string]int{}

	for range 10 {
		for _, a := range claimed(t, c, 9) {
			shares[string(a.input)]++
		}
	}

	require.Equal(t, 1, shares[`"single"`])
	require.Equal(t, 40, shares[`"calm"`])
	require.Equal(t, 49, shares[`"noisy"`], "what others leave is nobody's loss")
}

func TestLanesAndPlainJobsTakeTurns(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	require.NoError(t, StoreLimits(t.Context(), db.Pool, "charge", Limits{Concurrency: 1_000}))
	insertLimited(t, db, "charge", `{}`, 100)
	insertJobs(t, db, 100)

	c := testClaimer(db, "a")
	counts := map[string]int{}

	for range 20 {
		for _, a := range claimed(t, c, 4) {
			counts[a.function]++
		}
	}

	require.InDelta(t, 40, counts["charge"], 8)
	require.InDelta(t, 40, counts["noop"], 8)
}

// A key with a long line, and a limit that it has used up, is nothing to another key.
func TestALongLineDelaysNoOtherKey(t *testing.T) {
	t.Parallel()

	const backlog = 20_000

	db, functions := testdb.New(t), newFunctions()
	started := make(chan time.Time, 1)

	deployLimited(t, db, functions, "charge", Limits{Concurrency: 4, ConcurrencyKey: "input.id"},
		func(ctx context.Context, run *Run) (json.RawMessage, error) {
			if strings.Contains(string(run.Input), "calm") {
				started <- time.Now()

				return nil, nil
			}

			select {
			case <-ctx.Done():
			case <-time.After(5 * time.Millisecond):
			}

			return nil, nil
		})
	insertLimited(t, db, "charge", `{"id": "noisy"}`, backlog)

	s := startNode(t, db, functions, func(cfg *Config) { cfg.Queues = map[string]int{DefaultQueue: 3} })

	require.Eventually(t, func() bool { return s.attempts.len() > 0 }, patience, time.Millisecond)

	var waits []time.Duration

	for range 15 {
		job, err := s.Submit(t.Context(), Submission{Function: "charge", Input: json.RawMessage(`{"id": "calm"}`)})
		require.NoError(t, err)

		committed := time.Now()

		waits = append(waits, (<-started).Sub(committed))
		await(t, db, job.ID, StateCompleted)
	}

	slices.Sort(waits)
	t.Logf("behind %d jobs of another key: median %s, worst %s", backlog, waits[len(waits)/2], waits[len(waits)-1])
	require.Less(t, waits[0], time.Second, "it does not wait for the line")
}

func TestARateSpacesStarts(t *testing.T) {
	t.Parallel()

	const limit, burst, jobs = 50, 5, 30

	db, functions := testdb.New(t), newFunctions()

	var (
		mu     sync.Mutex
		starts []time.Time
		done   atomic.Int64
	)

	deployLimited(t, db, functions, "mail", Limits{Rate: Rate{Limit: limit, Period: time.Second, Burst: burst}},
		func(context.Context, *Run) (json.RawMessage, error) {
			mu.Lock()
			starts = append(starts, time.Now())
			mu.Unlock()
			done.Add(1)

			return nil, nil
		})
	startNode(t, db, functions)
	startNode(t, db, functions)
	insertLimited(t, db, "mail", "{}", jobs)

	require.Eventually(t, func() bool { return done.Load() == jobs }, patience, time.Millisecond)

	// By the rows, whose times are those of the claims: a loaded machine delays starts, and lets them bunch.
	var spaced bool
	require.NoError(t, db.Pool.QueryRow(t.Context(), `
		select bool_and(later is null or later >= attempted_at + interval '19 milliseconds')
		from (select attempted_at, lead(attempted_at, $1) over (order by attempted_at, id) later from millrace.river_job) x`,
		burst).Scan(&spaced))
	require.True(t, spaced, "so many starts are never nearer than by the rate")

	var attempts int
	require.NoError(t, db.Pool.QueryRow(t.Context(), "select max(attempt) from millrace.river_job").Scan(&attempts))
	require.Equal(t, 1, attempts, "waiting is no attempt")
}

func TestRatesAreCountedByKey(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	require.NoError(t, StoreLimits(t.Context(), db.Pool, "mail", Limits{
		Concurrency: 3, Rate: Rate{Limit: 1, Period: time.Hour, Burst: 2, Key: "input.to"},
	}))

	for _, to := range []string{"a", "b", "c"} {
		insertLimited(t, db, "mail", fmt.Sprintf(`{"to": %q}`, to), 5)
	}

	c := testClaimer(db, "a")
	claims := claimed(t, c, 10)
	require.Len(t, claims, 3, "the concurrency is one for all keys")
	exec(t, db, "update millrace.river_job set state = 'completed', finalized_at = now() where state = 'running'")
	claims = append(claims, claimed(t, c, 10)...)
	require.Len(t, claims, 6)
	exec(t, db, "update millrace.river_job set state = 'completed', finalized_at = now() where state = 'running'")
	require.Empty(t, claimed(t, c, 10), "each key has used up its burst")

	counts := map[string]int{}
	for _, a := range claims {
		counts[string(a.input)]++
	}

	require.Len(t, counts, 3)

	exec(t, db, "update millrace.function_rate set arrival = arrival - interval '1 hour' where key = 'b'")
	require.Len(t, claimed(t, c, 10), 1)

	// What is forgotten is what says nothing any more.
	exec(t, db, "update millrace.function_rate set arrival = now() - interval '1 hour' where key = 'a'")
	exec(t, db, limitsForgetSQL)

	var left []string
	require.NoError(t, db.Pool.QueryRow(t.Context(), "select array_agg(key order by key) from millrace.function_rate").Scan(&left))
	require.Equal(t, []string{"b", "c"}, left)
}
