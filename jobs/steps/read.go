package steps

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

var (
	//go:embed sql/list.sql
	listSQL string
	//go:embed sql/waiting.sql
	waitingSQL string
	//go:embed sql/expire.sql
	expireSQL string
)

const (
	maxShown    = 64 << 10 // bytes of a value that a list shows
	expireBatch = 5_000
)

// Step is one operation of a job, as people see it.
type Step struct {
	Position  int             `json:"position"`
	Kind      Kind            `json:"kind"`
	Name      string          `json:"name"`
	State     State           `json:"state"`
	Tries     int             `json:"tries,omitempty"` // that failed
	Attempt   int             `json:"-"`
	Value     json.RawMessage `json:"value"`             // of done; null until then
	Omitted   bool            `json:"omitted,omitempty"` // the value is null here because it is large
	Error     *Failure        `json:"error"`
	DueAt     *time.Time      `json:"due_at"` // the end of a sleep, a timeout, or the next try
	Event     string          `json:"event,omitempty"`
	Key       string          `json:"key,omitempty"`
	Child     int64           `json:"job,omitempty,string"` // that a call made
	CreatedAt time.Time       `json:"created_at"`
	SettledAt *time.Time      `json:"settled_at"`
}

// List returns the operations of a job behind a position, in order.
func (s *Store) List(ctx context.Context, job int64, after, limit int) ([]Step, error) {
	rows, err := s.pool.Query(ctx, listSQL, job, after, limit, maxShown)
	if err != nil {
		return nil, fmt.Errorf("list the steps of job %d: %w", job, err)
	}

	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (Step, error) {
		var (
			step           Step
			value, failure []byte
		)

		err := row.Scan(&step.Position, &step.Kind, &step.Name, &step.State, &step.Tries, &step.Attempt, &value, &step.Omitted,
			&failure, &step.DueAt, &step.Event, &step.Key, &step.Child, &step.CreatedAt, &step.SettledAt)
		if err != nil {
			return step, fmt.Errorf("read a step: %w", err)
		}

		step.Value = value
		step.Error, err = decodeFailure(failure)

		return step, err
	})
	if err != nil {
		return nil, fmt.Errorf("list the steps of job %d: %w", job, err)
	}

	return list, nil
}

// Waiting is a job that waits for an event.
type Waiting struct {
	Job       int64           `json:"job,string"`
	Function  string          `json:"function"`
	Key       *string         `json:"key"`   // null: any
	Match     json.RawMessage `json:"match"` // null: anything
	Since     time.Time       `json:"since"`
	TimeoutAt *time.Time      `json:"timeout_at"`
}

// Waiting returns who waits for an event, by the jobs' ids.
func (s *Store) Waiting(ctx context.Context, name string, key *string, after int64, limit int) ([]Waiting, error) {
	rows, err := s.pool.Query(ctx, waitingSQL, name, key, after, limit)
	if err != nil {
		return nil, fmt.Errorf("list who waits for event %s: %w", name, err)
	}

	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (w Waiting, err error) {
		var match []byte
		err = row.Scan(&w.Job, &w.Function, &w.Key, &match, &w.Since, &w.TimeoutAt)
		w.Match = match

		return w, err //nolint:wrapcheck // below
	})
	if err != nil {
		return nil, fmt.Errorf("list who waits for event %s: %w", name, err)
	}

	return list, nil
}

// Send sends an event and returns its number.
func (s *Store) Send(ctx context.Context, name, key string, data json.RawMessage) (id int64, err error) {
	if err := s.pool.QueryRow(ctx, sendSQL, name, key, []byte(data)).Scan(&id); err != nil {
		return 0, fmt.Errorf("send event %s: %w", name, err)
	}

	return id, nil
}

// Expire deletes events that are older than age, however many there are.
func (s *Store) Expire(ctx context.Context, age time.Duration) error {
	for {
		tag, err := s.pool.Exec(ctx, expireSQL, age.Seconds(), expireBatch)
		if err != nil {
			return fmt.Errorf("delete old events: %w", err)
		}

		if tag.RowsAffected() < expireBatch {
			return nil
		}
	}
}
