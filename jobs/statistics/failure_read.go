package statistics

import (
	"context"
	_ "embed"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/millrace-dev/millrace/internal/postgres"
	"github.com/millrace-dev/millrace/jobs"
)

var (
	//go:embed sql/failure_columns.sql
	failureColumnsSQL string
	//go:embed sql/failure_list.sql
	failureListSQL string
	//go:embed sql/failure_set.sql
	failureSetSQL string
)

// FailureState is what people made of a failure group.
type FailureState string

// The states of a failure group. One that is resolved is open again as soon as it fails anew; one that is ignored stays
// so.
const (
	FailureOpen     FailureState = "open"
	FailureResolved FailureState = "resolved"
	FailureIgnored  FailureState = "ignored"
)

// Valid reports whether s is one of the states above.
func (s FailureState) Valid() bool {
	return s == FailureOpen || s == FailureResolved || s == FailureIgnored
}

// FailureGroup is all failed attempts of one kind: the same function, the same code, messages that differ in numbers,
// ids, quoted texts and paths alone, thrown at the same place.
type FailureGroup struct {
	ID        string       `json:"id"`
	Function  string       `json:"function"`
	Code      string       `json:"code"`
	Pattern   string       `json:"pattern"` // the message without what differs
	Frame     string       `json:"frame"`   // the function's own first frame; empty without a stack
	Message   string       `json:"message"` // the last one, as it was
	State     FailureState `json:"state"`
	Count     int64        `json:"count"` // attempts
	FirstSeen time.Time    `json:"first_seen"`
	LastSeen  time.Time    `json:"last_seen"`
	ChangedAt *time.Time   `json:"changed_at"` // when its state was set; null: never
	Jobs      []string     `json:"jobs"`       // ids of the last ten; such a job may have been deleted since
}

// FailureQuery selects failure groups. Zero fields do not filter.
type FailureQuery struct {
	Function string
	State    FailureState
	Limit    int    // 1 to 500, 0 means 50
	Cursor   string // FailurePage.Next of the page before
}

// FailurePage is a part of a list of failure groups, those that failed last first. A group that fails while the list is
// read moves to its beginning.
type FailurePage struct {
	Failures []FailureGroup `json:"failures"`
	Next     string         `json:"next"` // empty on the last page
}

// Failures lists failure groups. What failed within WriteEvery may be missing. *ValidationError for a bad query.
func (s *Service) Failures(ctx context.Context, query FailureQuery) (FailurePage, error) {
	wrong := &jobs.ValidationError{}

	if query.Limit < 0 || query.Limit > jobs.MaxListLimit {
		wrong.Add("limit", fmt.Sprintf("must be between 1 and %d", jobs.MaxListLimit))
	}

	if query.State != "" && !query.State.Valid() {
		wrong.Add("state", "must be open, resolved or ignored")
	}

	if query.Function != postgres.Storable(query.Function, len(query.Function)) {
		wrong.Add("function", "holds characters that cannot be stored")
	}

	before, id, ok := decodeFailureCursor(query.Cursor)
	if !ok {
		wrong.Add("cursor", "was not returned by this list")
	}

	if err := wrong.OrNil(); err != nil {
		return FailurePage{}, err
	}

	limit := query.Limit
	if limit == 0 {
		limit = jobs.DefaultListLimit
	}

	rows, err := s.pool.Query(ctx, "select "+failureColumnsSQL+failureListSQL, query.State, query.Function, before, id, limit+1)
	if err != nil {
		return FailurePage{}, fmt.Errorf("list failures: %w", err)
	}

	page := FailurePage{}
	if page.Failures, err = pgx.AppendRows([]FailureGroup{}, rows, scanFailureGroup); err != nil {
		return FailurePage{}, fmt.Errorf("list failures: %w", err)
	}

	if len(page.Failures) > limit {
		page.Failures = page.Failures[:limit]
		page.Next = encodeFailureCursor(&page.Failures[limit-1])
	}

	return page, nil
}

// Failure returns a failure group. ErrNotFound when there is none.
func (s *Service) Failure(ctx context.Context, id string) (FailureGroup, error) {
	if id != postgres.Storable(id, len(id)) {
		return FailureGroup{}, fmt.Errorf("failure %q: %w", id, jobs.ErrNotFound)
	}

	rows, err := s.pool.Query(ctx, "select "+failureColumnsSQL+" from millrace.failure_group where id = $1", id)
	if err != nil {
		return FailureGroup{}, fmt.Errorf("read failure %s: %w", id, err)
	}

	return oneFailure(rows, id)
}

// SetFailure makes a failure group resolved, ignored or open. ErrNotFound when there is none, *ValidationError for
// another state.
func (s *Service) SetFailure(ctx context.Context, id string, state FailureState) (FailureGroup, error) {
	if !state.Valid() {
		wrong := &jobs.ValidationError{}
		wrong.Add("state", "must be open, resolved or ignored")

		return FailureGroup{}, wrong.OrNil()
	}

	if id != postgres.Storable(id, len(id)) {
		return FailureGroup{}, fmt.Errorf("failure %q: %w", id, jobs.ErrNotFound)
	}

	rows, err := s.pool.Query(ctx, failureSetSQL+" returning "+failureColumnsSQL, id, state)
	if err != nil {
		return FailureGroup{}, fmt.Errorf("set failure %s %s: %w", id, state, err)
	}

	return oneFailure(rows, id)
}

func oneFailure(rows pgx.Rows, id string) (FailureGroup, error) {
	group, err := pgx.CollectExactlyOneRow(rows, scanFailureGroup)
	if errors.Is(err, pgx.ErrNoRows) {
		return FailureGroup{}, fmt.Errorf("failure %s: %w", id, jobs.ErrNotFound)
	}

	if err != nil {
		return FailureGroup{}, fmt.Errorf("read failure %s: %w", id, err)
	}

	return group, nil
}

func scanFailureGroup(row pgx.CollectableRow) (FailureGroup, error) {
	var (
		g   FailureGroup
		ids []int64
	)

	if err := row.Scan(&g.ID, &g.Function, &g.Code, &g.Pattern, &g.Frame, &g.Message, &g.State, &g.Count,
		&g.FirstSeen, &g.LastSeen, &g.ChangedAt, &ids); err != nil {
		return FailureGroup{}, fmt.Errorf("scan a failure: %w", err)
	}

	g.Jobs = make([]string, len(ids))
	for i, id := range ids {
		g.Jobs[i] = strconv.FormatInt(id, 10)
	}

	return g, nil
}

// encodeFailureCursor makes the opaque form of "groups before this one".
func encodeFailureCursor(g *FailureGroup) string {
	return base64.RawURLEncoding.EncodeToString([]byte("f" + strconv.FormatInt(g.LastSeen.UnixMicro(), 10) + "," + g.ID))
}

func decodeFailureCursor(cursor string) (before time.Time, id string, ok bool) {
	if cursor == "" {
		return time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC), "", true
	}

	decoded, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil || len(decoded) == 0 || decoded[0] != 'f' {
		return time.Time{}, "", false
	}

	at, id, found := strings.Cut(string(decoded[1:]), ",")
	micros, err := strconv.ParseInt(at, 10, 64)
	// Within what a timestamp of Postgres holds.
	ok = found && err == nil && micros > 0 && micros < 253370764800000000 && id == postgres.Storable(id, len(id))

	return time.UnixMicro(micros), id, ok
}
