package jobs

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river/rivertype"

	"github.com/millrace-dev/millrace/internal/postgres"
)

//go:embed sql/insert.sql
var insertSQL string

const (
	insertTimeout = 10 * time.Second

	// keyPatience is how long a submission waits for a transaction that holds its key; keyImpatience is for those that
	// have been waiting with others.
	keyPatience   = 2 * time.Second
	keyImpatience = 200 * time.Millisecond
)

// inserter puts rows into the table. The statement is our own: River's InsertMany returns all 18 columns and
// keeps its notification back when the last one is less than a cooldown ago.
type inserter struct {
	pool *pgxpool.Pool
}

// insert writes all rows in one transaction and fills in their job or err. When one row cannot be inserted, for its
// data or because another transaction holds its key, the others are inserted without it, in several transactions.
func (ins *inserter) insert(ctx context.Context, rows []*row) {
	ins.insertWithin(ctx, rows, keyPatience)
}

// insertWithin waits for the keys of rows as long as patience in each of its transactions.
func (ins *inserter) insertWithin(ctx context.Context, rows []*row, patience time.Duration) {
	err := ins.insertAll(ctx, rows, patience)
	held := keyHeld(err)

	switch {
	case err == nil:
		return
	case len(rows) > 1 && held:
		patience = keyImpatience // the others have waited already
	case len(rows) > 1 && postgres.RefusesData(err):
	default:
		fail(rows, err)

		return
	}

	half := len(rows) / 2
	ins.insertWithin(ctx, rows[:half], patience)
	ins.insertWithin(ctx, rows[half:], patience)
}

// fail gives rows the error of their transaction.
func fail(rows []*row, err error) {
	switch {
	case keyHeld(err):
		err = ErrKeyHeld
	case !postgres.RefusesData(err):
		err = errors.Join(ErrUnavailable, err)
	}

	for _, r := range rows {
		r.err = err
	}
}

// keyHeld reports whether a transaction gave up waiting for a row that another holds.
func keyHeld(err error) bool {
	const lockNotAvailable = "55P03"

	pgErr, ok := errors.AsType[*pgconn.PgError](err)

	return ok && pgErr.Code == lockNotAvailable
}

// again reports whether a transaction left nothing behind and may well succeed the next time: its connection was dead
// before anything was sent, or it met one that took the same keys in another order.
func again(err error) bool {
	const deadlock = "40P01"

	pgErr, ok := errors.AsType[*pgconn.PgError](err)

	return err != nil && (pgconn.SafeToRetry(err) || ok && pgErr.Code == deadlock)
}

// insist does a transaction that takes rows of jobs that others take in another order, such as a job and its children while
// one of these ends: Postgres gives up one of both, and the next time the way is free.
func insist(try func() error) error {
	const times = 5

	err := try()
	for n := 1; n < times && again(err); n++ {
		err = try()
	}

	return err
}

// insertAll is all or nothing.
func (ins *inserter) insertAll(ctx context.Context, rows []*row, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, insertTimeout)
	defer cancel()

	try := func() error { return ins.insertPlain(ctx, rows) }
	if slices.ContainsFunc(rows, (*row).keyed) {
		try = func() error { return ins.insertKeyed(ctx, rows, patience) }
	}

	err := try()
	if again(err) {
		err = try()
	}

	if err != nil {
		return fmt.Errorf("insert %d jobs: %w", len(rows), err)
	}

	return nil
}

// insertPlain needs no transaction around its one statement.
func (ins *inserter) insertPlain(ctx context.Context, rows []*row) error {
	return insertRows(ctx, ins.pool, rows)
}

// insertRows runs the insert statement for rows.
func insertRows(ctx context.Context, db execer, rows []*row) error {
	if len(rows) == 0 {
		return nil
	}

	answer, err := db.Query(ctx, insertSQL, insertArguments(rows)...)
	if err != nil {
		return err
	}

	var (
		n                  int
		id                 int64
		state              string
		created, scheduled time.Time
	)

	_, err = pgx.ForEachRow(answer, []any{&id, &state, &created, &scheduled}, func() error {
		rows[n].inserted(id, stateOf(rivertype.JobState(state)), created, scheduled)
		n++

		return nil
	})

	return err
}

// insertArguments turns rows into the statement's columns.
func insertArguments(rows []*row) []any {
	var (
		ids         = make([]*int64, len(rows))
		kinds       = make([]string, len(rows))
		inputs      = make([][]byte, len(rows))
		queues      = make([]string, len(rows))
		priorities  = make([]int16, len(rows))
		maxAttempts = make([]int16, len(rows))
		runAts      = make([]*time.Time, len(rows))
		delays      = make([]int64, len(rows))
		tags        = make([]string, len(rows))
		metadata    = make([][]byte, len(rows))
		limited     = make([]bool, len(rows))
	)

	for i, r := range rows {
		ids[i] = r.reserved
		kinds[i] = r.function
		inputs[i] = r.input
		queues[i] = r.queue
		priorities[i] = int16(r.priority)     //nolint:gosec // 1 to 4
		maxAttempts[i] = int16(r.maxAttempts) //nolint:gosec // 1 to 100
		runAts[i] = r.runAt
		delays[i] = r.delay.Microseconds()
		tags[i] = strings.Join(r.tags, ",") // a tag holds no comma
		metadata[i] = r.metadata
		limited[i] = r.limited
	}

	return []any{ids, kinds, inputs, queues, priorities, maxAttempts, runAts, delays, tags, metadata, limited}
}
