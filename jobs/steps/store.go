package steps

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

var (
	//go:embed sql/open.sql
	openSQL string
	//go:embed sql/record.sql
	recordSQL string
	//go:embed sql/forget.sql
	forgetSQL string
)

const (
	findEventSQL = "select millrace.find_event($1, $2, $3, $4, $5)"
	fenceSQL     = `select from millrace.river_job j
where j.id = $1 and j.attempt = $2::smallint and j.state is not distinct from 'running'
  and j.attempted_by[array_upper(j.attempted_by, 1)] = $3::text
for share`
)

// fencedState is the SQLSTATE that millrace.open_steps and millrace.find_event raise for an attempt that is not the newest.
const fencedState = "MR001"

// Store reads and writes histories. Make one with New.
type Store struct{ pool *pgxpool.Pool }

// New makes a Store.
func New(pool *pgxpool.Pool) *Store { return &Store{pool: pool} }

// Open begins a job's history, or goes on with it: it pins the version, ends what has become due, and returns what there
// is, in order. ErrFenced.
func (s *Store) Open(ctx context.Context, fence Fence, version string) ([]Entry, error) {
	rows, err := s.pool.Query(ctx, openSQL, fence.Job, fence.Attempt, fence.Client, version)
	if err != nil {
		return nil, fmt.Errorf("open the steps of job %d: %w", fence.Job, err)
	}

	entries, err := pgx.CollectRows(rows, scanEntry)
	if err != nil && fenced(err) {
		return nil, ErrFenced
	}

	if err != nil {
		return nil, fmt.Errorf("open the steps of job %d: %w", fence.Job, err)
	}

	return entries, nil
}

func scanEntry(row pgx.CollectableRow) (Entry, error) {
	var (
		e              Entry
		value, failure []byte
		due            *float64
	)

	err := row.Scan(&e.Position, &e.Kind, &e.Name, &e.State, &e.Tries, &e.Alone, &e.Turn, &e.Fresh, &value, &failure, &due, &e.Child)
	if err != nil {
		return e, fmt.Errorf("read a step: %w", err)
	}

	e.Value, e.DueIn = value, Never
	if due != nil {
		e.DueIn = time.Duration(*due * float64(time.Millisecond))
	}

	e.Error, err = decodeFailure(failure)

	return e, err
}

func decodeFailure(text []byte) (*Failure, error) {
	if len(text) == 0 {
		return nil, nil //nolint:nilnil // no failure is a value here
	}

	failure := &Failure{}
	if err := json.Unmarshal(text, failure); err != nil {
		return nil, fmt.Errorf("read a step's failure: %w", err)
	}

	return failure, nil
}

// Record writes entries in one statement, which may be repeated when its answer was lost. ErrFenced.
func (s *Store) Record(ctx context.Context, fence Fence, entries []Entry) error {
	return record(ctx, s.pool, fence, entries)
}

// RecordWith writes entries together with what along does, in one transaction. along comes first, when the fence is
// passed, and may complete the entries. When its answer was lost it may not be repeated: open the history anew.
// ErrFenced, along's own.
func (s *Store) RecordWith(ctx context.Context, fence Fence, entries []Entry, along func(ctx context.Context, tx pgx.Tx) error) error {
	return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error { //nolint:wrapcheck // each part says what was being done
		tag, err := tx.Exec(ctx, fenceSQL, fence.Job, fence.Attempt, fence.Client)
		if err != nil {
			return fmt.Errorf("hold job %d: %w", fence.Job, err)
		}

		if tag.RowsAffected() == 0 {
			return ErrFenced
		}

		if err := along(ctx, tx); err != nil {
			return err
		}

		return record(ctx, tx, fence, entries)
	})
}

type queryer interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

func record(ctx context.Context, db queryer, fence Fence, entries []Entry) error {
	text, err := json.Marshal(withoutData(entries))
	if err != nil {
		return fmt.Errorf("write the steps of job %d: %w", fence.Job, err)
	}

	var ours int
	if err := db.QueryRow(ctx, recordSQL, fence.Job, fence.Attempt, fence.Client, text).Scan(&ours); err != nil {
		return fmt.Errorf("record %d steps of job %d: %w", len(entries), fence.Job, err)
	}

	if ours == 0 {
		return ErrFenced
	}

	return nil
}

// withoutData leaves the data of events that are sent out: it stands in the event. The entries stay as they are, since a
// transaction that fails is repeated with them.
func withoutData(entries []Entry) []Entry {
	stored := slices.Clone(entries)
	for i := range stored {
		if stored[i].Kind == KindSend {
			stored[i].Match = nil
		}
	}

	return stored
}

// FindEvent looks for an event that ends the wait at a position, when that is recorded; the function hears of it at turn.
// It returns nil when there is none yet: then the one that comes will wake the job. It may be repeated when its answer was
// lost. ErrFenced.
func (s *Store) FindEvent(ctx context.Context, fence Fence, position, turn int) (json.RawMessage, error) {
	var data []byte

	err := s.pool.QueryRow(ctx, findEventSQL, fence.Job, fence.Attempt, fence.Client, position, turn).Scan(&data)
	if err != nil && fenced(err) {
		return nil, ErrFenced
	}

	if err != nil {
		return nil, fmt.Errorf("look for an event of job %d: %w", fence.Job, err)
	}

	return data, nil
}

// fenced reports whether a function of the database refused an attempt that is not the newest.
func fenced(err error) bool {
	refused, ok := errors.AsType[*pgconn.PgError](err)

	return ok && refused.Code == fencedState
}

// Forget takes failures out of the history, so that the next attempt tries again what failed.
func (s *Store) Forget(ctx context.Context, fence Fence, positions []int) error {
	if _, err := s.pool.Exec(ctx, forgetSQL, fence.Job, fence.Attempt, fence.Client, positions); err != nil {
		return fmt.Errorf("forget failed steps of job %d: %w", fence.Job, err)
	}

	return nil
}
