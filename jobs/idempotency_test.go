package jobs

import (
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/testdb"
)

func keyed(key, input string) Submission {
	return Submission{Function: "f", Input: json.RawMessage(input), Options: Options{IdempotencyKey: key}}
}

func TestARepeatedKeyAnswersWithTheFirstJob(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	s := startInserter(t, db)

	first, err := s.Submit(t.Context(), keyed("k", `{"a":1}`))
	require.NoError(t, err)
	require.False(t, first.Replayed)

	exec(t, db, `update millrace.river_job set state = 'completed', finalized_at = now(), metadata = '{"output": 5}'`)

	again, err := s.Submit(t.Context(), keyed("k", `{"a":1}`))
	require.NoError(t, err)
	require.True(t, again.Replayed)
	require.Equal(t, first.ID, again.ID)
	require.Equal(t, StateCompleted, again.State, "as it stands now")

	for name, sub := range map[string]Submission{
		"input":   keyed("k", `{"a":2}`),
		"queue":   {Function: "f", Input: json.RawMessage(`{"a":1}`), Options: Options{IdempotencyKey: "k", Queue: "q"}},
		"run at":  {Function: "f", Input: json.RawMessage(`{"a":1}`), Options: Options{IdempotencyKey: "k", RunAt: time.Now()}},
		"another": {Function: "orders.charge", Input: json.RawMessage(`{"a":1}`), Options: Options{IdempotencyKey: "k"}},
	} {
		_, err = s.Submit(t.Context(), sub)
		require.ErrorIs(t, err, ErrIdempotencyMismatch, name)
	}

	other, err := s.Submit(t.Context(), keyed("K", `{"a":1}`))
	require.NoError(t, err)
	require.NotEqual(t, first.ID, other.ID)
}

func TestAKeyMakesOneJobOverAllNodes(t *testing.T) {
	t.Parallel()

	const keys, callers = 8, 64

	db := testdb.New(t)
	nodes := []*Service{startInserter(t, db), startInserter(t, db)}

	var (
		group sync.WaitGroup
		mu    sync.Mutex
		fresh int
		ids   = make(map[string]map[int64]bool)
	)

	for i := range keys * callers {
		group.Go(func() {
			key := fmt.Sprintf("key-%d", i%keys)

			job, err := nodes[i/keys%len(nodes)].Submit(t.Context(), keyed(key, `1`))
			if !assertNoError(t, err) {
				return
			}

			mu.Lock()
			defer mu.Unlock()

			if !job.Replayed {
				fresh++
			}

			if ids[key] == nil {
				ids[key] = make(map[int64]bool)
			}

			ids[key][job.ID] = true
		})
	}

	group.Wait()

	jobs, _ := countJobs(t, db)
	require.Equal(t, keys, jobs)
	require.Equal(t, keys, fresh)

	for key, seen := range ids {
		require.Len(t, seen, 1, key)
	}
}

func TestAKeyTwiceInABatch(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	s := startInserter(t, db)

	results, err := s.SubmitMany(t.Context(), []Submission{
		keyed("a", `1`), {Function: "f"}, keyed("a", `1`), keyed("b", `1`), keyed("a", `2`),
	})
	require.NoError(t, err)

	require.False(t, results[0].Job.Replayed)
	require.True(t, results[2].Job.Replayed)
	require.Equal(t, results[0].Job.ID, results[2].Job.ID)
	require.NotEqual(t, results[0].Job.ID, results[3].Job.ID)
	require.ErrorIs(t, results[4].Err, ErrIdempotencyMismatch)

	jobs, transactions := countJobs(t, db)
	require.Equal(t, 3, jobs)
	require.Equal(t, 1, transactions)
}

func TestAKeyIsFreeAgain(t *testing.T) {
	t.Parallel()

	for name, sql := range map[string]string{
		"when it has expired":  `update millrace.idempotency set expires_at = now()`,
		"when its job is gone": `delete from millrace.river_job`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			db := testdb.New(t)
			s := startInserter(t, db)

			first, err := s.Submit(t.Context(), keyed("k", `1`))
			require.NoError(t, err)
			exec(t, db, sql)

			second, err := s.Submit(t.Context(), keyed("k", `2`))
			require.NoError(t, err)
			require.NotEqual(t, first.ID, second.ID)

			third, err := s.Submit(t.Context(), keyed("k", `2`))
			require.NoError(t, err)
			require.Equal(t, second.ID, third.ID)
		})
	}
}

// Between the reservation that finds a key in use and the look at what it stands for, its job may be deleted.
func TestAKeyThatVanishesIsNoMismatch(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	vanished := newRow(&Submission{Function: "f", Options: Options{IdempotencyKey: "gone"}}, Settings{})

	require.NoError(t, pgx.BeginFunc(t.Context(), db.Pool, func(tx pgx.Tx) error {
		return replay(t.Context(), tx, []*row{vanished})
	}))
	require.ErrorIs(t, vanished.err, ErrNotFound)
	require.NotErrorIs(t, vanished.err, ErrIdempotencyMismatch)
}

func TestExpiredKeysAreRemoved(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	ins := &inserter{pool: db.Pool}

	exec(t, db, `insert into millrace.idempotency (key, request_hash, job_id, expires_at)
		select 'k' || n, '', n, now() + (n - 11) * interval '1 minute' from generate_series(1, 20) n`)

	removed, err := ins.expire(t.Context())
	require.NoError(t, err)
	require.Equal(t, 11, removed)

	removed, err = ins.expire(t.Context())
	require.NoError(t, err)
	require.Zero(t, removed)
}
