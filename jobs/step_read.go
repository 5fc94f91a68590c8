package jobs

import (
	"context"
	"encoding/json"
	"time"

	"github.com/millrace-dev/millrace/jobs/steps"
)

// eventsFor is how long an event waits for those who come to wait for it.
const eventsFor = 30 * 24 * time.Hour

// SendEvent sends an event to the jobs that wait for it, and to those that are there and wait later, for thirty days. It
// returns the event's number when it is committed. Data is JSON; empty means null. Errors: *ValidationError.
func (s *Service) SendEvent(ctx context.Context, name, key string, data json.RawMessage) (int64, error) {
	wrong := &ValidationError{}
	if err := steps.CheckEvent(name, key); err != nil {
		wrong.Add("event", err.Error())
	}

	if len(data) == 0 {
		data = json.RawMessage("null")
	}

	if err := checkJSON(data, s.cfg.MaxInput); err != nil {
		wrong.Add("data", err.Error())
	}

	if err := wrong.OrNil(); err != nil {
		return 0, err
	}

	var id int64

	err := insist(func() (err error) {
		id, err = s.steps.Send(ctx, name, key, data)

		return err //nolint:wrapcheck // it says what was being done
	})

	return id, err
}

// Steps lists the durable operations of a job behind a position, in order, limit of them.
func (s *Service) Steps(ctx context.Context, job int64, after, limit int) ([]steps.Step, error) {
	return s.steps.List(ctx, job, after, limit) //nolint:wrapcheck // it says what was being done
}

// WaitingForEvent lists the jobs that wait for an event, behind a job's id, limit of them. key nil: whatever they wait for.
func (s *Service) WaitingForEvent(ctx context.Context, name string, key *string, after int64, limit int) ([]steps.Waiting, error) {
	return s.steps.Waiting(ctx, name, key, after, limit) //nolint:wrapcheck // it says what was being done
}
