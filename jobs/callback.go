package jobs

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/millrace-dev/millrace/internal/safedial"
)

var (
	//go:embed sql/callback_list.sql
	callbackListSQL string
	//go:embed sql/callback_retry.sql
	callbackRetrySQL string
)

// ErrNoCallback is of a callback that a job does not have.
var ErrNoCallback = errors.New("no such callback")

// metaCallback is the key of river_job.metadata under which a job's Callback stands; the trigger callback_wanted reads it.
const metaCallback = "callback"

// Callback asks that the end of a job be told to a URL: by a POST with a signed body (Standard Webhooks), again and again
// for 24 hours until it is answered with a 2xx.
type Callback struct {
	URL    string  `json:"url"`              // https, to a public address, at most 2,000 bytes; Config.Callbacks may allow more
	Events []State `json:"events,omitempty"` // of completed, failed and cancelled those that are told; none means all
}

// UnmarshalJSON reads an object, or a text, which is its URL.
func (c *Callback) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '"' {
		return json.Unmarshal(data, &c.URL) //nolint:wrapcheck // the decoder around it says where
	}

	type fields Callback // without this method

	var read fields

	decoder := json.NewDecoder(strings.NewReader(string(data)))
	decoder.DisallowUnknownFields()

	if err := decoder.Decode(&read); err != nil {
		return errors.New(`a callback is a URL, or {"url": "https://…", "events": ["completed", "failed", "cancelled"]}`) //nolint:err113 // shown to users
	}

	*c = Callback(read)

	return nil
}

// Validate returns what is wrong with a callback, as a text for users.
func (c *Callback) Validate(policy safedial.Policy) error {
	if err := policy.CheckURL(c.URL); err != nil {
		return fmt.Errorf("its url %w", err)
	}

	for i, event := range c.Events {
		if !event.Finished() {
			return fmt.Errorf("its events are completed, failed and cancelled, not %.40q", string(event))
		}

		if slices.Contains(c.Events[:i], event) {
			return fmt.Errorf("its event %s is there twice", event)
		}
	}

	return nil
}

// Delivery is a callback on its way, or done with.
type Delivery struct {
	ID         string     `json:"id"`
	MessageID  string     `json:"message_id"` // the header webhook-id, the same in all attempts
	Event      State      `json:"event"`
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
	rows, err := s.pool.Query(ctx, callbackListSQL, job, id)
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

// RetryDelivery sends a callback again, at once and for another 24 hours, whether it was taken or not. ErrNoCallback when
// the job has none of that id.
func (s *Service) RetryDelivery(ctx context.Context, job, id int64) (Delivery, error) {
	var n int
	if err := s.pool.QueryRow(ctx, callbackRetrySQL, job, id).Scan(&n); err != nil {
		return Delivery{}, fmt.Errorf("send callback %d again: %w", id, err)
	}

	if n == 0 {
		return Delivery{}, ErrNoCallback
	}

	list, err := s.deliveries(ctx, job, id)
	if err != nil {
		return Delivery{}, err
	}

	if len(list) == 0 {
		return Delivery{}, ErrNoCallback
	}

	return list[0], nil
}
