package js

import (
	"context"
	"errors"
	"fmt"
	"strings"

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

// waitedInVain is the end of a call whose context ended before it was its turn: it never ran.
func waitedInVain(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("wait for a share of this node's memory budget: %w", jobs.ErrNotBegun)
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

// thrown is the failure of a function that threw; soft says that it threw what the signal of its soft timeout told it.
func (p *program) thrown(thrown *scriptError, retryable, soft bool) *jobs.Failure {
	if thrown.outOfMemory() {
		return p.memoryLimit()
	}

	failure := p.exception(thrown, retryable)
	if soft {
		failure.Code = jobs.CodeSoftTimeout
	}

	return failure
}

func (p *program) exception(thrown *scriptError, retryable bool) *jobs.Failure {
	return &jobs.Failure{
		Code: jobs.CodeException, Message: cut(thrown.text()), Stack: p.rewrite(cut(thrown.Stack)), Retryable: retryable,
	}
}

func invalidOutput(thrown *scriptError) *jobs.Failure {
	return &jobs.Failure{Code: jobs.CodeInvalidOutput, Message: "the output is not JSON: " + cut(thrown.text())}
}

func stalled() *jobs.Failure {
	return &jobs.Failure{
		Code: jobs.CodeStalled, Retryable: true,
		Message: "the function waits for a promise that nothing can settle any more: no operation and no timer is under way",
	}
}

func stalledStep() *jobs.Failure {
	return &jobs.Failure{
		Code: jobs.CodeStalled, Retryable: true,
		Message: "a step waits for a promise that nothing can settle: within a step there is no sleep, no event to wait for, " +
			"no call and no other step",
	}
}

// maxText is how many bytes of a message or a stack are looked at; the platform keeps less.
const maxText = 64 << 10

func cut(text string) string {
	if len(text) <= maxText {
		return text
	}

	return strings.ToValidUTF8(text[:maxText], "") + "…"
}
