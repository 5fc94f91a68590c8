package js

import (
	"context"
	"errors"
	"fmt"

	"github.com/millrace-dev/millrace/jobs"
)

// ended is the failure of a call whose context ended.
func ended(ctx context.Context) error {
	switch {
	case errors.Is(context.Cause(ctx), ErrClosed):
		return ErrClosed
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return &jobs.Failure{Code: jobs.CodeTimeout, Message: "the function took longer than its timeout", Retryable: true}
	}

	return &jobs.Failure{Code: jobs.CodeCancelled, Message: "the call was cancelled"}
}

// waitedInVain is the failure of a call whose context ended before it was its turn.
func waitedInVain(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return &jobs.Failure{
			Code: jobs.CodeTimeout, Retryable: true,
			Message: "the call waited for its share of this node's memory budget until its timeout: too many calls run at once",
		}
	}

	return ended(ctx)
}

// failure tells what an error of the engine means for the job.
func (p *program) failure(ctx context.Context, err error) error {
	var thrown *scriptError
	switch {
	case !errors.As(err, &thrown):
		return err
	case ctx.Err() != nil && thrown.interrupted():
		return ended(ctx)
	case thrown.outOfMemory():
		return p.memoryLimit()
	}

	return p.exception(thrown, true)
}

func (p *program) memoryLimit() *jobs.Failure {
	return &jobs.Failure{
		Code:      jobs.CodeMemoryLimit,
		Message:   fmt.Sprintf("the function needs more than its %d MiB of memory (config.memory raises the limit)", p.memory>>20),
		Retryable: true,
	}
}

func (p *program) exception(thrown *scriptError, retryable bool) *jobs.Failure {
	return &jobs.Failure{
		Code: jobs.CodeException, Message: thrown.text(), Stack: p.rewrite(thrown.Stack), Retryable: retryable,
	}
}

func invalidOutput(thrown *scriptError) *jobs.Failure {
	return &jobs.Failure{Code: jobs.CodeInvalidOutput, Message: "the output is not JSON: " + thrown.text()}
}

func stalled() *jobs.Failure {
	return &jobs.Failure{
		Code: jobs.CodeStalled, Retryable: true,
		Message: "the function waits for a promise that nothing can settle any more: no operation and no timer is under way",
	}
}
