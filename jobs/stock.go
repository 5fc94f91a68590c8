package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/rivershared/riverpilot"
	"github.com/riverqueue/river/rivertype"
)

// stockPilot leaves claim and completion to River's own statements (Config.StockDriver). It renames the kind in
// memory, without which River would not know a single one of our jobs.
type stockPilot struct {
	riverpilot.StandardPilot

	attempts *attempts
	mayClaim func() bool
}

// JobGetAvailable claims with River's statement.
func (p *stockPilot) JobGetAvailable(
	ctx context.Context, exec riverdriver.Executor, state riverpilot.ProducerState, params *riverdriver.JobGetAvailableParams,
) (*riverdriver.JobGetAvailableResult, error) {
	if !p.mayClaim() {
		return &riverdriver.JobGetAvailableResult{}, nil
	}

	result, err := p.StandardPilot.JobGetAvailable(ctx, exec, state, params)
	if err != nil {
		return nil, fmt.Errorf("claim with River's statement: %w", err)
	}

	now := time.Now()
	claims := make([]*attempt, len(result.Jobs))

	for i, row := range result.Jobs {
		var meta struct {
			Run json.RawMessage `json:"run"`
		}

		_ = json.Unmarshal(row.Metadata, &meta) // what cannot be read is not said, as in parseRun
		run := string(meta.Run)

		claims[i] = &attempt{
			id: row.ID, number: row.Attempt, max: row.MaxAttempts, function: row.Kind, queue: row.Queue,
			input: row.EncodedArgs, run: parseRun(&run), claimed: now,
		}

		row.Kind, row.EncodedArgs = dispatchKind, []byte("null")
	}

	p.attempts.add(claims)

	return result, nil
}

// JobGetStuck finds nothing, for the reason that pilot.JobGetStuck gives.
func (p *stockPilot) JobGetStuck(
	context.Context, riverdriver.Executor, *riverdriver.JobGetStuckParams,
) ([]*rivertype.JobRow, error) {
	return nil, nil
}

// tellRiver translates an outcome into what River's own completion understands. What River has no word for is
// written into its copy of the row, which it asks next: when to retry, and whether attempts are left.
func (a *attempt) tellRiver(ctx context.Context, row *rivertype.JobRow, out outcome) error {
	text, _ := json.Marshal(out.failure) //nolint:errchkjson // strings and a bool
	err := errors.New(string(text))

	switch out.state {
	case rivertype.JobStateCompleted:
		if err := river.RecordOutput(ctx, out.output); err != nil {
			return fmt.Errorf("hand the output to River: %w", err)
		}

		return nil
	case rivertype.JobStateAvailable:
		return river.JobSnooze(0) // back to available, with the attempt not counted
	case rivertype.JobStateCancelled:
		return cancelError{error: err, cancel: river.JobCancel(err)}
	case rivertype.JobStateDiscarded:
		row.MaxAttempts = row.Attempt
	case rivertype.JobStateRetryable:
		row.ScheduledAt = time.Now().Add(out.delay)
	case rivertype.JobStateScheduled:
		return river.JobSnooze(out.delay) // the same, later
	case rivertype.JobStatePending, rivertype.JobStateRunning: // no attempt ends so
	}

	return err
}

// cancelError is River's cancel error without the text that River puts before the reason, which is our JSON.
type cancelError struct {
	error

	cancel error
}

// Unwrap is how River finds out that it is one.
func (e cancelError) Unwrap() error { return e.cancel }
