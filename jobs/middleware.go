package jobs

import (
	"context"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
)

// middleware is the way from River's executor to the dispatcher. It runs the attempt in the place of the worker that it
// is said to surround, and never calls that: River would decode the row's arguments first, which are none, with
// reflection on the small stack of a fresh goroutine. That cost more than all the rest of its executor.
type middleware struct {
	river.MiddlewareDefaults

	dispatcher *dispatcher
}

// Work runs one attempt.
func (m *middleware) Work(ctx context.Context, row *rivertype.JobRow, _ func(context.Context) error) error {
	m.dispatcher.attend(ctx, row)

	return recorded{}
}

// recorded is what River hears of an attempt whose outcome is in the database already. In this shape workers of batches
// tell it of each of their jobs, and it has no batch of none to complete: so its completer, whose word would be
// swallowed anyway (pilot.go), is not even told.
type recorded struct{}

func (recorded) Error() string { return "recorded already" }

// ErrorsByID and Jobs are of no jobs.
func (recorded) ErrorsByID() map[int64]error { return nil }

func (recorded) Jobs() []*rivertype.JobRow { return nil }
