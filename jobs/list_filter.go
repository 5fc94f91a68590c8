package jobs

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

//go:embed sql/list_at.sql
var listAtSQL string

// listSlack is how much later than its created_at, the begin of its transaction, a job may get its id. Ids and times
// agree but for that.
const listSlack = 10 * time.Minute

// condition is a part of a list's statement. Its value stands where $% does.
type condition struct {
	condition string
	value     any
}

// conditionsOf returns the filters that are set, but for the state.
func conditionsOf(q *ListQuery) []condition {
	var set []condition

	for _, filter := range []struct{ value, condition string }{
		{q.Function, "kind = $%"},
		{q.Queue, "queue = $%"},
		{q.Tag, "tags @> array[$%]::varchar(255)[]"},
		{q.Schedule, "id = any (array(select job_id from millrace.schedule_job where schedule = $% and job_id < $2 and job_id >= $3))"},
		{q.Key, `$% in (split_part(metadata ->> 'lane', E'\x1f', 1), split_part(metadata ->> 'lane', E'\x1f', 2))`},
		{withinJSON(q.Error), "strpos(lower(errors[array_upper(errors, 1)] ->> 'error'), $%) > 0"},
	} {
		if filter.value != "" {
			set = append(set, condition{filter.condition, filter.value})
		}
	}

	if !q.CreatedAfter.IsZero() {
		set = append(set, condition{"created_at >= $%", q.CreatedAfter})
	}

	if !q.CreatedBefore.IsZero() {
		set = append(set, condition{"created_at < $%", q.CreatedBefore})
	}

	return set
}

// withinJSON is text as it stands in a stored failure, which is JSON, in small letters.
func withinJSON(text string) string {
	encoded, _ := json.Marshal(text) //nolint:errchkjson // a string

	return strings.ToLower(string(encoded[1 : len(encoded)-1]))
}

// listSpan narrows a page to the ids that jobs of the wanted time may have: least at least, and below before. Jobs that
// were enqueued in a transaction of more than listSlack may be beyond.
func (s *Service) listSpan(ctx context.Context, query *ListQuery, before int64) (least, below int64, err error) {
	below = before

	if !query.CreatedAfter.IsZero() {
		if least, err = s.firstIDSince(ctx, query.CreatedAfter.Add(-listSlack)); err != nil {
			return 0, 0, err
		}
	}

	if !query.CreatedBefore.IsZero() {
		end, err := s.firstIDSince(ctx, query.CreatedBefore.Add(listSlack))
		if err != nil {
			return 0, 0, err
		}

		below = min(below, end)
	}

	return least, below, nil
}

// firstIDSince looks for the first job of a time by halving the ids: some thirty rows are read. It is the greatest id
// there can be when no job is that young.
func (s *Service) firstIDSince(ctx context.Context, at time.Time) (int64, error) {
	rows, err := s.pool.Query(ctx, listAtSQL, at)
	if err != nil {
		return 0, fmt.Errorf("list jobs: %w", err)
	}

	ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return 0, fmt.Errorf("list jobs: %w", err)
	}

	if len(ids) == 0 {
		return math.MaxInt64, nil
	}

	return ids[0], nil
}
