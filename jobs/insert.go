package jobs

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river/rivertype"
)

//go:embed sql/insert.sql
var insertSQL string

const insertTimeout = 10 * time.Second

// inserter puts rows into the table. The statement is our own: River's InsertMany returns all 18 columns and
// keeps its notification back when the last one is less than a cooldown ago.
type inserter struct {
	pool *pgxpool.Pool
}

// insert writes all rows in one transaction and fills in their job or err. When Postgres refuses the data of
// one row, the others are inserted without it, in several transactions.
func (ins *inserter) insert(ctx context.Context, rows []*row) {
	err := ins.insertAll(ctx, rows)
	if err == nil {
		return
	}

	if len(rows) == 1 || !refusesData(err) {
		if !refusesData(err) {
			err = errors.Join(ErrUnavailable, err)
		}

		for _, r := range rows {
			r.err = err
		}

		return
	}

	half := len(rows) / 2
	ins.insert(ctx, rows[:half])
	ins.insert(ctx, rows[half:])
}

// refusesData reports whether Postgres refused a value: trying again is useless, and another row is not to blame.
func refusesData(err error) bool {
	pgErr, ok := errors.AsType[*pgconn.PgError](err)

	return ok && (strings.HasPrefix(pgErr.Code, "22") || strings.HasPrefix(pgErr.Code, "23") || pgErr.Code == "54000")
}

// insertAll is all or nothing. A connection that was dead before anything was sent is tried once more.
func (ins *inserter) insertAll(ctx context.Context, rows []*row) error {
	ctx, cancel := context.WithTimeout(ctx, insertTimeout)
	defer cancel()

	try := ins.insertPlain

	for _, r := range rows {
		if r.key != "" {
			try = ins.insertKeyed

			break
		}
	}

	err := try(ctx, rows)
	if err != nil && pgconn.SafeToRetry(err) {
		err = try(ctx, rows)
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
