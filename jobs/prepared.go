package jobs

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Keys of river_job.metadata, for those who read the table.
const (
	metaSchedule = "schedule" // the schedule's name
	metaTick     = "tick"     // the tick, as in RFC 3339; absent when the job was run by hand
)

// Prepared is a checked submission on its way into the table, for those who insert it in a transaction of their own.
type Prepared struct{ row *row }

// Check returns what is wrong with a submission by itself, whatever its function says, as a *ValidationError.
func (s *Service) Check(sub *Submission) error { return s.checker.check(sub) }

// Prepare checks a submission and looks its function up. Errors: *ValidationError, ErrUnknownFunction.
func (s *Service) Prepare(ctx context.Context, sub *Submission) (*Prepared, error) {
	r, err := s.accept(ctx, sub)
	if err != nil {
		return nil, err
	}

	return &Prepared{row: r}, nil
}

// OfSchedule notes which schedule the job is of, and which tick; nil for a job that was run by hand.
func (p *Prepared) OfSchedule(schedule string, tick *time.Time) error {
	metadata := make(map[string]any)
	if err := json.Unmarshal(p.row.metadata, &metadata); err != nil {
		return fmt.Errorf("decode the metadata of a job: %w", err)
	}

	metadata[metaSchedule] = schedule
	if tick != nil {
		metadata[metaTick] = tick.UTC().Format(time.RFC3339)
	}

	var err error
	if p.row.metadata, err = json.Marshal(metadata); err != nil {
		return fmt.Errorf("encode the metadata of a job: %w", err)
	}

	return nil
}

// Reserve gives the job an id of the table's own sequence.
func (p *Prepared) Reserve(id int64) { p.row.reserved = &id }

// Reserved is the id that was given, nil for none.
func (p *Prepared) Reserved() *int64 { return p.row.reserved }

// Job is what was inserted.
func (p *Prepared) Job() Job { return p.row.job }

// Insert inserts jobs in a transaction, whose commit tells their queues of them.
func Insert(ctx context.Context, tx pgx.Tx, list []*Prepared) error {
	rows := make([]*row, len(list))
	for i, p := range list {
		rows[i] = p.row
	}

	return insertRows(ctx, tx, rows)
}

// QueueCancel adds to a batch what cancels a job that has not finished; with running, one that runs too.
func QueueCancel(batch *pgx.Batch, id int64, running bool) { batch.Queue(cancelSQL, id, running) }
