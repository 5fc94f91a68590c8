package jobs

import (
	"context"
	_ "embed"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

//go:embed sql/waiting.sql
var waitingSQL string

// WaitingFor is what a job waits for that could otherwise run.
type WaitingFor string

// What a queued job waits for, the first of these that holds.
const (
	WaitingForQueue       WaitingFor = "queue_paused"    // its queue is paused
	WaitingForFunction    WaitingFor = "function_paused" // its function is paused
	WaitingForConcurrency WaitingFor = "concurrency"     // as many jobs of its key run as may
	WaitingForRate        WaitingFor = "rate"            // the rate of its key allows no start now
	WaitingForNode        WaitingFor = "no_node"         // no living node works on its queue
	WaitingForTurn        WaitingFor = "turn"            // jobs before it, or a free slot
	// WaitingForOther is of a scheduled job that only nodes without its function have claimed so far.
	WaitingForOther WaitingFor = "other_node"
)

// waitingFor reads what a job waits for: from the tables as the claims do, at this moment. Empty for jobs that do not.
func waitingFor(ctx context.Context, db execer, job *Job) (WaitingFor, error) {
	if job.State != StateQueued && job.State != StateScheduled {
		return "", nil
	}

	var why WaitingFor

	rows, err := db.Query(ctx, waitingSQL, job.ID)
	if err == nil {
		why, err = pgx.CollectExactlyOneRow(rows, pgx.RowTo[WaitingFor])
	}

	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return "", fmt.Errorf("look what job %d waits for: %w", job.ID, err)
	}

	return why, nil
}
