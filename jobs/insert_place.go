package jobs

import (
	"context"
	_ "embed"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river/rivertype"
)

//go:embed sql/place.sql
var placeSQL string

// outcomes of millrace.place_job beside those that users see.
const (
	outcomeCreated = "created"
	outcomeFull    = "full"
)

// placeRows submits rows that have a rule. Those that make no job of their own are answered with the one that is there.
func placeRows(ctx context.Context, tx pgx.Tx, rows []*row) error {
	if len(rows) == 0 {
		return nil
	}

	rule := make([][]byte, len(rows))
	for i, r := range rows {
		rule[i] = ruleJSON(r.rule)
	}

	arguments := insertArguments(rows)
	arguments[len(arguments)-1] = rule // place_job finds out for itself who has limits

	answer, err := tx.Query(ctx, placeSQL, arguments...)
	if err != nil {
		return fmt.Errorf("submit under a rule: %w", err)
	}

	var (
		n                  int
		id                 int64
		state, outcome     string
		created, scheduled *time.Time // null when there is no job
		earlier            = make(map[*row]int64)
	)

	_, err = pgx.ForEachRow(answer, []any{&n, &id, &state, &created, &scheduled, &outcome}, func() error {
		switch r := rows[n-1]; outcome {
		case outcomeCreated:
			r.inserted(id, stateOf(rivertype.JobState(state)), *created, *scheduled)
		case outcomeFull:
			r.err = ErrThrottled
		default:
			r.job.Outcome = Outcome(outcome)
			earlier[r] = id
		}

		return nil
	})
	if err != nil {
		return fmt.Errorf("submit under a rule: %w", err)
	}

	return answerEarlier(ctx, tx, earlier)
}

// answerEarlier gives rows the jobs that they came to, as they are now.
func answerEarlier(ctx context.Context, tx pgx.Tx, earlier map[*row]int64) error {
	if len(earlier) == 0 {
		return nil
	}

	ids := make([]int64, 0, len(earlier))
	for _, id := range earlier {
		ids = append(ids, id)
	}

	found, err := readJobs(ctx, tx, ids, wholeBodies)
	if err != nil {
		return err
	}

	for r, id := range earlier {
		job, ok := found[id]
		if !ok { // deleted just now
			r.err = fmt.Errorf("the job %d that is there already: %w", id, ErrNotFound)

			continue
		}

		job.Outcome = r.job.Outcome
		r.job = job
	}

	return nil
}
