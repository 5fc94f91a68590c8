package schedules

import (
	"context"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"

	"github.com/millrace-dev/millrace/internal/postgres"
	"github.com/millrace-dev/millrace/jobs"
)

var (
	//go:embed sql/columns.sql
	columnsSQL string
	//go:embed sql/list.sql
	listSQL string
)

// storedOptions are the options of a schedule as they are stored.
type storedOptions struct {
	Queue       string   `json:"queue,omitempty"`
	Priority    int      `json:"priority,omitempty"`
	MaxAttempts int      `json:"max_attempts,omitempty"`
	TimeoutMS   int64    `json:"timeout_ms,omitempty"`
	SoftMS      int64    `json:"soft_timeout_ms,omitempty"`
	Tags        []string `json:"tags,omitempty"`
}

func encodeOptions(o *jobs.Options) ([]byte, error) {
	stored, err := json.Marshal(storedOptions{
		Queue: o.Queue, Priority: o.Priority, MaxAttempts: o.MaxAttempts, TimeoutMS: o.Timeout.Milliseconds(),
		SoftMS: o.SoftTimeout.Milliseconds(), Tags: o.Tags,
	})
	if err != nil {
		return nil, fmt.Errorf("encode the options: %w", err)
	}

	return stored, nil
}

func decodeOptions(stored []byte) (jobs.Options, error) {
	var o storedOptions
	if err := json.Unmarshal(stored, &o); err != nil {
		return jobs.Options{}, fmt.Errorf("decode the options: %w", err)
	}

	return jobs.Options{
		Queue: o.Queue, Priority: o.Priority, MaxAttempts: o.MaxAttempts,
		Timeout: time.Duration(o.TimeoutMS) * time.Millisecond, SoftTimeout: time.Duration(o.SoftMS) * time.Millisecond, Tags: o.Tags,
	}, nil
}

// Get returns a schedule. ErrNotFound when there is none of that name.
func (s *Service) Get(ctx context.Context, name string) (Schedule, error) {
	schedule, err := read(ctx, s.pool, name, "")
	if err != nil {
		return Schedule{}, fmt.Errorf("schedule %.100s: %w", name, err)
	}

	return schedule, nil
}

// List returns a page of schedules, by name. *ValidationError for a bad query.
func (s *Service) List(ctx context.Context, query Query) (Page, error) {
	wrong := &jobs.ValidationError{}

	if query.Limit < 0 || query.Limit > jobs.MaxListLimit {
		wrong.Add("limit", fmt.Sprintf("must be between 1 and %d", jobs.MaxListLimit))
	}

	if query.Function != postgres.Storable(query.Function, len(query.Function)) {
		wrong.Add("function", "holds characters that cannot be stored")
	}

	after, err := base64.RawURLEncoding.DecodeString(query.Cursor)
	if err != nil || string(after) != postgres.Storable(string(after), len(after)) {
		wrong.Add("cursor", "was not returned by this list")
	}

	if err := wrong.OrNil(); err != nil {
		return Page{}, err
	}

	limit := query.Limit
	if limit == 0 {
		limit = jobs.DefaultListLimit
	}

	rows, err := s.pool.Query(ctx, "select "+columnsSQL+listSQL, string(after), query.Function, limit+1)
	if err != nil {
		return Page{}, fmt.Errorf("list schedules: %w", err)
	}

	page := Page{Schedules: []Schedule{}}
	if page.Schedules, err = pgx.AppendRows(page.Schedules, rows, scan); err != nil {
		return Page{}, fmt.Errorf("list schedules: %w", err)
	}

	if len(page.Schedules) > limit {
		page.Schedules = page.Schedules[:limit]
		page.Next = base64.RawURLEncoding.EncodeToString([]byte(page.Schedules[limit-1].Name))
	}

	return page, nil
}

// lock reads a schedule that nobody else may change before the transaction ends; nil and ErrNotFound when there
// is none.
func lock(ctx context.Context, tx pgx.Tx, name string) (*Schedule, error) {
	schedule, err := read(ctx, tx, name, " for update")
	if err != nil {
		return nil, err
	}

	return &schedule, nil
}

// querier is a pool or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// read reads one; lock is nothing or a locking clause.
func read(ctx context.Context, db querier, name, lock string) (Schedule, error) {
	if !utf8.ValidString(name) || name != postgres.Storable(name, len(name)) {
		return Schedule{}, ErrNotFound
	}

	rows, err := db.Query(ctx, "select "+columnsSQL+"from millrace.schedule where name = $1"+lock, name)
	if err != nil {
		return Schedule{}, fmt.Errorf("read: %w", err)
	}

	schedule, err := pgx.CollectExactlyOneRow(rows, scan)
	if errors.Is(err, pgx.ErrNoRows) {
		return Schedule{}, ErrNotFound
	}

	if err != nil {
		return Schedule{}, fmt.Errorf("read: %w", err)
	}

	return schedule, nil
}

// scan reads the columns of columns.sql.
func scan(row pgx.CollectableRow) (Schedule, error) {
	var (
		s              Schedule
		options        []byte
		window, jitter int64
	)

	if err := row.Scan(
		&s.Name, &s.Function, (*[]byte)(&s.Input), &options, &s.Cron, &s.Timezone, &s.Overlap, &s.CatchUp, &window, &jitter, &s.Paused,
		&s.Owner, &s.anchor, &s.NextTick, &s.LastTick, &s.LastJobAt, &s.LastJobID, &s.Fired, &s.Skipped, &s.Missed,
		&s.Error, &s.CreatedAt, &s.UpdatedAt,
	); err != nil {
		return Schedule{}, fmt.Errorf("scan a schedule: %w", err)
	}

	s.CatchUpWindow = time.Duration(window) * time.Millisecond
	s.Jitter = time.Duration(jitter) * time.Millisecond

	if s.Paused {
		s.NextTick = nil
	}

	var err error
	s.Options, err = decodeOptions(options)

	return s, err
}
