package jobs

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
)

var (
	//go:embed sql/schedule_columns.sql
	scheduleColumnsSQL string
	//go:embed sql/schedule_list.sql
	scheduleListSQL string
)

// scheduleOptions are the options of a schedule as they are stored.
type scheduleOptions struct {
	Queue       string   `json:"queue,omitempty"`
	Priority    int      `json:"priority,omitempty"`
	MaxAttempts int      `json:"max_attempts,omitempty"`
	TimeoutMS   int64    `json:"timeout_ms,omitempty"`
	SoftMS      int64    `json:"soft_timeout_ms,omitempty"`
	Tags        []string `json:"tags,omitempty"`
}

func encodeScheduleOptions(o *Options) ([]byte, error) {
	stored, err := json.Marshal(scheduleOptions{
		Queue: o.Queue, Priority: o.Priority, MaxAttempts: o.MaxAttempts, TimeoutMS: o.Timeout.Milliseconds(),
		SoftMS: o.SoftTimeout.Milliseconds(), Tags: o.Tags,
	})
	if err != nil {
		return nil, fmt.Errorf("encode the options: %w", err)
	}

	return stored, nil
}

func decodeScheduleOptions(stored []byte) (Options, error) {
	var o scheduleOptions
	if err := json.Unmarshal(stored, &o); err != nil {
		return Options{}, fmt.Errorf("decode the options: %w", err)
	}

	return Options{
		Queue: o.Queue, Priority: o.Priority, MaxAttempts: o.MaxAttempts,
		Timeout: time.Duration(o.TimeoutMS) * time.Millisecond, SoftTimeout: time.Duration(o.SoftMS) * time.Millisecond, Tags: o.Tags,
	}, nil
}

// Schedule returns a schedule. ErrNoSchedule when there is none of that name.
func (s *Service) Schedule(ctx context.Context, name string) (Schedule, error) {
	schedule, err := readSchedule(ctx, s.pool, name, "")
	if err != nil {
		return Schedule{}, fmt.Errorf("schedule %.100s: %w", name, err)
	}

	return schedule, nil
}

// Schedules returns a page of schedules, by name. *ValidationError for a bad query.
func (s *Service) Schedules(ctx context.Context, query ScheduleQuery) (SchedulePage, error) {
	wrong := &ValidationError{}

	if query.Limit < 0 || query.Limit > MaxListLimit {
		wrong.Add("limit", fmt.Sprintf("must be between 1 and %d", MaxListLimit))
	}

	if query.Function != postgres.Storable(query.Function, len(query.Function)) {
		wrong.Add("function", "holds characters that cannot be stored")
	}

	after, err := base64.RawURLEncoding.DecodeString(query.Cursor)
	if err != nil || string(after) != postgres.Storable(string(after), len(after)) {
		wrong.Add("cursor", "was not returned by this list")
	}

	if err := wrong.OrNil(); err != nil {
		return SchedulePage{}, err
	}

	limit := query.Limit
	if limit == 0 {
		limit = DefaultListLimit
	}

	rows, err := s.pool.Query(ctx, "select "+scheduleColumnsSQL+scheduleListSQL, string(after), query.Function, limit+1)
	if err != nil {
		return SchedulePage{}, fmt.Errorf("list schedules: %w", err)
	}

	page := SchedulePage{Schedules: []Schedule{}}
	if page.Schedules, err = pgx.AppendRows(page.Schedules, rows, scanSchedule); err != nil {
		return SchedulePage{}, fmt.Errorf("list schedules: %w", err)
	}

	if len(page.Schedules) > limit {
		page.Schedules = page.Schedules[:limit]
		page.Next = base64.RawURLEncoding.EncodeToString([]byte(page.Schedules[limit-1].Name))
	}

	return page, nil
}

// lockSchedule reads a schedule that nobody else may change before the transaction ends; nil and ErrNoSchedule when there
// is none.
func lockSchedule(ctx context.Context, tx pgx.Tx, name string) (*Schedule, error) {
	schedule, err := readSchedule(ctx, tx, name, " for update")
	if err != nil {
		return nil, err
	}

	return &schedule, nil
}

// readSchedule reads one; lock is nothing or a locking clause.
func readSchedule(ctx context.Context, db execer, name, lock string) (Schedule, error) {
	if !utf8.ValidString(name) || name != postgres.Storable(name, len(name)) {
		return Schedule{}, ErrNoSchedule
	}

	rows, err := db.Query(ctx, "select "+scheduleColumnsSQL+"from millrace.schedule where name = $1"+lock, name)
	if err != nil {
		return Schedule{}, fmt.Errorf("read: %w", err)
	}

	schedule, err := pgx.CollectExactlyOneRow(rows, scanSchedule)
	if errors.Is(err, pgx.ErrNoRows) {
		return Schedule{}, ErrNoSchedule
	}

	if err != nil {
		return Schedule{}, fmt.Errorf("read: %w", err)
	}

	return schedule, nil
}

// scanSchedule reads the columns of schedule_columns.sql.
func scanSchedule(row pgx.CollectableRow) (Schedule, error) {
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
	s.Options, err = decodeScheduleOptions(options)

	return s, err
}
