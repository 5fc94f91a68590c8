package callbacks

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/millrace-dev/millrace/jobs"
)

var (
	//go:embed sql/list.sql
	listSQL string
	//go:embed sql/retry.sql
	retrySQL string
)

// ErrNotFound is of a callback that a job does not have.
var ErrNotFound = errors.New("no such callback")

// States of a delivery.
const (
	statePending   = "pending"
	stateDelivered = "delivered"
	stateFailed    = "failed"
)

// Delivery is a callback on its way, or done with.
type Delivery struct {
	ID         string     `json:"id"`
	MessageID  string     `json:"message_id"` // the header webhook-id, the same in all attempts
	Event      jobs.State `json:"event"`
	URL        string     `json:"url"`
	State      string     `json:"state"`    // pending, delivered or failed
	Attempts   int        `json:"attempts"` // begun, the one under way included
	CreatedAt  time.Time  `json:"created_at"`
	NextAt     *time.Time `json:"next_at"` // of a pending one: when it is tried again
	LastAt     *time.Time `json:"last_at"`
	LastStatus int        `json:"last_status,omitempty"` // what the last attempt was answered with
	LastError  string     `json:"last_error,omitempty"`
	FinishedAt *time.Time `json:"finished_at"`
}

// Deliveries lists the callbacks of a job, oldest first, at most 500. They are kept for seven days after their end,
// whatever becomes of the job.
func (s *Service) Deliveries(ctx context.Context, job int64) ([]Delivery, error) {
	return s.deliveries(ctx, job, 0)
}

func (s *Service) deliveries(ctx context.Context, job, id int64) ([]Delivery, error) {
	rows, err := s.pool.Query(ctx, listSQL, job, id)
	if err != nil {
		return nil, fmt.Errorf("list the callbacks of job %d: %w", job, err)
	}

	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (d Delivery, err error) {
		err = row.Scan(&d.ID, &d.MessageID, &d.Event, &d.URL, &d.State, &d.Attempts, &d.CreatedAt,
			&d.NextAt, &d.LastAt, &d.LastStatus, &d.LastError, &d.FinishedAt)

		return d, err
	})
	if err != nil {
		return nil, fmt.Errorf("list the callbacks of job %d: %w", job, err)
	}

	return list, nil
}

// Retry sends a callback again, at once and for another 24 hours, whether it was taken or not. ErrNotFound when
// the job has none of that id.
func (s *Service) Retry(ctx context.Context, job, id int64) (Delivery, error) {
	var n int
	if err := s.pool.QueryRow(ctx, retrySQL, job, id).Scan(&n); err != nil {
		return Delivery{}, fmt.Errorf("send callback %d again: %w", id, err)
	}

	if n == 0 {
		return Delivery{}, ErrNotFound
	}

	list, err := s.deliveries(ctx, job, id)
	if err != nil {
		return Delivery{}, err
	}

	if len(list) == 0 {
		return Delivery{}, ErrNotFound
	}

	return list[0], nil
}
