package jobs

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/internal/testdb"
)

// nativeConfig makes a function known to SQL, with a configuration as package functions stores it.
func nativeConfig(t testing.TB, db *testdb.DB, name, config string) {
	t.Helper()
	exec(t, db, `insert into millrace.native_function (name, config) values ($1, $2::jsonb)
		on conflict (name) do update set config = excluded.config`, name, config)
}

// asUser is a connection of a role that has no more than USAGE on the schema.
func asUser(t testing.TB, db *testdb.DB) *pgxpool.Conn {
	t.Helper()

	conn, err := db.Pool.Acquire(t.Context())
	require.NoError(t, err)

	role := pgx.Identifier{"user_of_" + db.Pool.Config().ConnConfig.Database}.Sanitize()
	for _, sql := range []string{
		"create role " + role, "grant usage on schema millrace to " + role, "set role " + role,
	} {
		_, err = conn.Exec(t.Context(), sql)
		require.NoError(t, err)
	}

	t.Cleanup(func() {
		_, err := conn.Exec(context.Background(), "reset role; drop owned by "+role+"; drop role "+role)
		require.NoError(t, err)
		conn.Release()
	})

	return conn
}

type rowQuerier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// enqueue calls millrace.enqueue; input and options are JSON.
func enqueue(t testing.TB, db rowQuerier, function, input, options string) (id int64, err error) {
	t.Helper()
	err = db.QueryRow(t.Context(), `select millrace.enqueue($1, $2::jsonb, $3::jsonb)`, function, input, options).Scan(&id)

	return id, err
}

func mustEnqueue(t testing.TB, db rowQuerier, function, input, options string) int64 {
	t.Helper()

	id, err := enqueue(t, db, function, input, options)
	require.NoError(t, err)

	return id
}

// sqlState requires an error of Postgres and returns it.
func sqlState(t testing.TB, err error, code string) *pgconn.PgError {
	t.Helper()

	var pgErr *pgconn.PgError
	require.ErrorAs(t, err, &pgErr)
	require.Equal(t, code, pgErr.Code, pgErr.Message)

	return pgErr
}

func TestSQLNeedsNoMoreThanUsage(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	nativeConfig(t, db, "f", `{}`)

	conn := asUser(t, db)

	var id int64
	require.NoError(t, conn.QueryRow(t.Context(), `select millrace.enqueue('f')`).Scan(&id))

	job := read(t, db, id)
	require.Equal(t, Job{
		ID: id, Function: "f", State: StateQueued, Input: json.RawMessage(`null`), MaxAttempts: DefaultMaxAttempts,
		Queue: DefaultQueue, Priority: DefaultPriority, Tags: []string{}, CreatedAt: job.CreatedAt, ScheduledAt: job.CreatedAt,
	}, job)

	for _, call := range []string{"cancel", "retry", "cancel"} {
		_, err := conn.Exec(t.Context(), `select millrace.`+call+`($1)`, id)
		require.NoError(t, err, call)
	}

	for _, sql := range []string{
		`select millrace.cancel_job(1, true)`, `insert into millrace.cancel_request (job) values (1)`,
		`select id from millrace.river_job`, `select millrace.reserve_key('k', '')`,
	} {
		_, err := conn.Exec(t.Context(), sql)
		sqlState(t, err, "42501")
	}
}

func TestSQLEnqueuesWithTheTransaction(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	nativeConfig(t, db, "f", `{}`)

	for range 2 {
		tx, err := db.Pool.Begin(t.Context())
		require.NoError(t, err)
		mustEnqueue(t, tx, "f", `1`, `{"idempotency_key": "k"}`)
		require.NoError(t, tx.Rollback(t.Context()))
	}

	jobs, _ := countJobs(t, db)
	require.Zero(t, jobs)

	var keys int
	require.NoError(t, db.Pool.QueryRow(t.Context(), `select count(*) from millrace.idempotency`).Scan(&keys))
	require.Zero(t, keys, "the key is free again")

	require.NoError(t, pgx.BeginFunc(t.Context(), db.Pool, func(tx pgx.Tx) error {
		mustEnqueue(t, tx, "f", `2`, `{"idempotency_key": "k"}`)

		_ = pgx.BeginFunc(t.Context(), tx, func(savepoint pgx.Tx) error {
			mustEnqueue(t, savepoint, "f", `3`, `{}`)

			return context.Canceled // whatever
		})

		return nil
	}))

	jobs, _ = countJobs(t, db)
	require.Equal(t, 1, jobs)
}

// A job counts from the call on, not from the beginning of a transaction that was long under way.
func TestSQLTakesItsTimeFromTheCall(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	nativeConfig(t, db, "f", `{}`)

	require.NoError(t, pgx.BeginFunc(t.Context(), db.Pool, func(tx pgx.Tx) error {
		var begun, before time.Time
		require.NoError(t, tx.QueryRow(t.Context(), `select now(), clock_timestamp()`).Scan(&begun, &before))
		id := mustEnqueue(t, tx, "f", `1`, `{"delay": "1m"}`)

		found, err := readJobs(t.Context(), tx, []int64{id}, wholeBodies)
		require.NoError(t, err)
		require.True(t, found[id].CreatedAt.After(before))
		require.Equal(t, time.Minute, found[id].ScheduledAt.Sub(found[id].CreatedAt))

		return nil
	}))
}

func TestSQLRefusesWhatItCannotTake(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	nativeConfig(t, db, "f", `{}`)

	deep := strings.Repeat("[", 65) + strings.Repeat("]", 65)
	long := `"` + strings.Repeat("x", DefaultMaxInput) + `"`

	for name, tc := range map[string]struct {
		function, input, options string
		code, message            string
	}{
		"no function":       {"g", `1`, `{}`, "42704", `unknown function 'g'`},
		"no name":           {"a b", `1`, `{}`, "22023", `'a b' is no name of a function`},
		"a long name":       {strings.Repeat("f", 128), `1`, `{}`, "22023", `is no name of a function`},
		"options":           {"f", `1`, `[1]`, "22023", `options are no object`},
		"an unknown option": {"f", `1`, `{"prio": 1}`, "22023", `'prio' is no option`},
		"a kind":            {"f", `1`, `{"priority": "1", "tags": "a"}`, "22023", `priority cannot be a string; tags cannot be a string`},
		"a fraction":        {"f", `1`, `{"priority": 1.5}`, "22023", `priority must be between 1 (first) and 4 (last)`},
		"everything at once": {
			"f", `1`, `{"priority": 5, "max_attempts": 101, "queue": "Q", "timeout": "25h", "delay": -1}`, "22023",
			`queue must be lower-case letters and digits, joined by '_' or '-', at most 64 characters; ` +
				`priority must be between 1 (first) and 4 (last); max_attempts must be between 1 and 100; ` +
				`timeout must be between 1ms and 24h; delay must be between 0 and ten years`,
		},
		"a duration":   {"f", `1`, `{"timeout": "10 s"}`, "22023", `timeout is a duration such as 500ms`},
		"an instant":   {"f", `1`, `{"run_at": "tomorrow"}`, "22023", `run_at is a time such as`},
		"no such day":  {"f", `1`, `{"run_at": "2026-02-30T00:00:00Z"}`, "22023", `run_at is a time such as`},
		"far ahead":    {"f", `1`, `{"run_at": "2099-01-01T00:00:00Z"}`, "22023", `run_at is more than ten years ahead`},
		"two times":    {"f", `1`, `{"run_at": "2020-01-01T00:00:00Z", "delay": 1}`, "22023", `delay cannot be combined with run_at`},
		"a tag":        {"f", `1`, `{"tags": ["abc", "a b"]}`, "22023", `tags: 'a b' must be a string of 3 to 100`},
		"a null tag":   {"f", `1`, `{"tags": [null]}`, "22023", `tags: NULL must be a string`},
		"tags":         {"f", `1`, `{"tags": ["abc"` + strings.Repeat(`,"abc"`, 20) + `]}`, "22023", `tags are more than 20`},
		"a key":        {"f", `1`, `{"idempotency_key": "ä"}`, "22023", `at most 255 printable ASCII`},
		"a long key":   {"f", `1`, `{"idempotency_key": "` + strings.Repeat("k", 256) + `"}`, "22023", `at most 255 printable ASCII`},
		"a long input": {"f", long, `{}`, "54000", `input is 4194306 bytes long, the limit is 4194304`},
		"a deep input": {"f", deep, `{}`, "22023", `input nests deeper than 64 levels`},
		"a big number": {"f", `{"a": [-1e309]}`, `{}`, "22023", `input holds a number out of range`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			_, err := enqueue(t, db.Pool, tc.function, tc.input, tc.options)
			pgErr := sqlState(t, err, tc.code)
			require.Contains(t, pgErr.Message, tc.message)
			require.NotEmpty(t, pgErr.Hint)
		})
	}

	var id *int64
	sqlState(t, db.Pool.QueryRow(t.Context(), `select millrace.enqueue(null)`).Scan(&id), "22004")
	mustEnqueue(t, db.Pool, "f", deep[1:len(deep)-1], `{"max_attempts": 100}`)
	mustEnqueue(t, db.Pool, "f", `[1.7976931348623157e308, "1e999"]`, `{"priority": 0, "tags": [], "queue": ""}`)

	jobs, _ := countJobs(t, db)
	require.Equal(t, 2, jobs)
}

func TestSQLGoesByTheLimitOfTheNodes(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	nativeConfig(t, db, "f", `{}`)
	startNode(t, db, newFunctions(), func(cfg *Config) { cfg.MaxInput = 10 })

	mustEnqueue(t, db.Pool, "f", `"12345678"`, `{"delay": "1h"}`)

	_, err := enqueue(t, db.Pool, "f", `"123456789"`, `{"delay": "1h"}`)
	require.Contains(t, sqlState(t, err, "54000").Message, "input is 11 bytes long, the limit is 10")
}

func TestSQLAnswersARepeatedKeyWithTheFirstJob(t *testing.T) {
	t.Parallel()

	db := testdb.New(t)
	nativeConfig(t, db, "f", `{}`)
	nativeConfig(t, db, "g", `{}`)

	first := mustEnqueue(t, db.Pool, "f", `{"a": 1}`, `{"idempotency_key": "k"}`)
	require.Equal(t, first, mustEnqueue(t, db.Pool, "f", `{"a":1}`, `{"idempotency_key": "k", "queue": null}`))

	for function, options := range map[string]string{
		"g": `{"idempotency_key": "k"}`, "f": `{"idempotency_key": "k", "delay": 1}`,
	} {
		_, err := enqueue(t, db.Pool, function, `{"a": 1}`, options)
		pgErr := sqlState(t, err, "23505")
		require.Equal(t, fmt.Sprintf("It stands for job %d.", first), pgErr.Detail)
	}

	exec(t, db, `update millrace.idempotency set expires_at = now()`)

	second := mustEnqueue(t, db.Pool, "g", `1`, `{"idempotency_key": "k"}`)
	require.NotEqual(t, first, second)
	exec(t, db, `delete from millrace.river_job where id = $1`, second)
	require.NotEqual(t, second, mustEnqueue(t, db.Pool, "f", `1`, `{"idempotency_key": "k"}`))
}

func TestSQLMakesOneJobOfOneKey(t *testing.T) {
	t.Parallel()

	const callers = 64

	db := testdb.New(t)
	s := startInserter(t, db)
	nativeConfig(t, db, "f", `{}`)

	var (
		group sync.WaitGroup
		ids   [callers]int64
	)

	for i := range callers {
		group.Go(func() {
			if i%8 == 0 { // by the other door, the same request
				job, err := s.Submit(t.Context(), keyed("k", `{"a": 1}`))
				assertNoError(t, err)
				ids[i] = job.ID

				return
			}

			assertNoError(t, pgx.BeginFunc(t.Context(), db.Pool, func(tx pgx.Tx) (err error) {
				ids[i], err = enqueue(t, tx, "f", `{"a": 1}`, `{"idempotency_key": "k"}`)

				return err
			}))
		})
	}

	group.Wait()

	jobs, _ := countJobs(t, db)
	require.Equal(t, 1, jobs)

	for _, id := range ids {
		require.Equal(t, ids[0], id)
	}
}
