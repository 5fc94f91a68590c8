package jobs

import (
	"context"
	"encoding/base64"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/millrace-dev/millrace/internal/postgres"
)

const (
	DefaultListLimit = 50
	MaxListLimit     = 500

	// listWindow is how many rows one page looks at when no index serves its filters.
	listWindow = 30_000

	// listBody is the most bytes of an input and of an output in a list.
	listBody = 16 << 10
)

// listFloorSQL is the id where a window ends: the listWindow-th row before $1, none when there are fewer.
const listFloorSQL = `select id from millrace.river_job where id < $1 order by id desc offset $2 limit 1`

// listScheduleWindow is how many jobs of a schedule one page looks at.
const listScheduleWindow = 1_000

// listScheduleFloorSQL is listFloorSQL among the jobs of the schedule $3.
const listScheduleFloorSQL = `select job_id from millrace.schedule_job where schedule = $3 and job_id < $1
	order by job_id desc offset $2 limit 1`

// List returns a page of jobs, the newest first. Ids never change, so that pages neither repeat nor skip a job that
// was there all the time, whatever is inserted or finishes meanwhile. *ValidationError for a bad query.
func (s *Service) List(ctx context.Context, query ListQuery) (Page, error) {
	before, err := s.checkList(&query)
	if err != nil {
		return Page{}, err
	}

	limit := query.Limit
	if limit == 0 {
		limit = DefaultListLimit
	}

	least, before, err := s.listSpan(ctx, &query, before)
	if err != nil {
		return Page{}, err
	}

	floor, err := s.listFloor(ctx, &query, before)
	if err != nil {
		return Page{}, err
	}

	last := floor <= least // the window ends where the time does
	floor = max(floor, least)

	sql, args := listStatement(&query, before, floor, limit+1) // one more tells whether another page follows

	rows, err := s.pool.Query(ctx, sql, args...)
	if err != nil {
		return Page{}, fmt.Errorf("list jobs: %w", err)
	}

	jobs, err := pgx.CollectRows(rows, scanJob)
	if err != nil {
		return Page{}, fmt.Errorf("list jobs: %w", err)
	}

	page := Page{Jobs: jobs}

	switch {
	case len(jobs) > limit:
		page.Jobs = jobs[:limit]
		page.Next = encodeCursor(jobs[limit-1].ID)
	case !last:
		page.Next = encodeCursor(floor)
	}

	return page, nil
}

func (s *Service) checkList(query *ListQuery) (before int64, err error) {
	wrong := &ValidationError{}

	if query.Limit < 0 || query.Limit > MaxListLimit {
		wrong.Add("limit", fmt.Sprintf("must be between 1 and %d", MaxListLimit))
	}

	if query.State != "" && !query.State.Valid() {
		wrong.Add("state", fmt.Sprintf("%.40q is no state", query.State))
	}

	for field, text := range map[string]string{
		"function": query.Function, "queue": query.Queue, "tag": query.Tag, "schedule": query.Schedule,
		"key": query.Key, "error": query.Error,
	} {
		if text != postgres.Storable(text, len(text)) {
			wrong.Add(field, "holds characters that cannot be stored")
		}
	}

	if !query.CreatedAfter.IsZero() && !query.CreatedBefore.IsZero() && !query.CreatedAfter.Before(query.CreatedBefore) {
		wrong.Add("created_after", "must be before created_before")
	}

	before, ok := decodeCursor(query.Cursor)
	if !ok {
		wrong.Add("cursor", "was not returned by this list")
	}

	return before, wrong.OrNil()
}

// listFloor returns the id at which the page's search ends, 0 for no end. States have indexes of their own.
func (s *Service) listFloor(ctx context.Context, query *ListQuery, before int64) (int64, error) {
	sql, args := listFloorSQL, []any{before, listWindow}

	switch {
	case query.Schedule != "":
		sql, args = listScheduleFloorSQL, []any{before, listScheduleWindow, query.Schedule}
	case !windowed(query):
		return 0, nil
	}

	rows, err := s.pool.Query(ctx, sql, args...)
	if err != nil {
		return 0, fmt.Errorf("list jobs: %w", err)
	}

	ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return 0, fmt.Errorf("list jobs: %w", err)
	}

	if len(ids) == 0 {
		return 0, nil
	}

	return ids[0], nil
}

// windowed reports whether the filters find jobs that no index has together. A state alone has one, and so have ids,
// which a time alone is.
func windowed(q *ListQuery) bool {
	timed := !q.CreatedAfter.IsZero() || !q.CreatedBefore.IsZero()

	return q.Function != "" || q.Queue != "" || q.Tag != "" || q.Key != "" || q.Error != "" || q.State != "" && timed
}

// listStatement puts the statement together from fixed pieces. The states stand in it as literals, since only then
// the planner can use the partial indexes.
func listStatement(query *ListQuery, before, floor int64, limit int) (sql string, args []any) {
	args = []any{int64(listBody), before, floor}

	var text strings.Builder

	text.WriteString("select " + jobColumnsSQL + " from millrace.river_job where id < $2 and id >= $3")

	if query.State != "" {
		text.WriteString(" and state in (")

		for i, stored := range query.State.stored() {
			if i > 0 {
				text.WriteString(", ")
			}

			text.WriteString("'" + string(stored) + "'") // from our own table of states
		}

		text.WriteString(")")

		if query.State.Finished() {
			text.WriteString(" and finalized_at is not null") // implied, and the index's predicate
		}
	}

	for _, filter := range conditionsOf(query) {
		args = append(args, filter.value)
		text.WriteString(" and " + strings.ReplaceAll(filter.condition, "$%", "$"+strconv.Itoa(len(args))))
	}

	args = append(args, limit)
	text.WriteString(" order by id desc limit $" + strconv.Itoa(len(args)))

	return text.String(), args
}

// encodeCursor makes the opaque form of "jobs before this id".
func encodeCursor(id int64) string {
	return base64.RawURLEncoding.EncodeToString(strconv.AppendInt([]byte("j"), id, 10))
}

func decodeCursor(cursor string) (before int64, ok bool) {
	if cursor == "" {
		return math.MaxInt64, true
	}

	decoded, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil || len(decoded) < 2 || decoded[0] != 'j' {
		return 0, false
	}

	before, err = strconv.ParseInt(string(decoded[1:]), 10, 64)

	return before, err == nil && before > 0
}
