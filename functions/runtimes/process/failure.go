package process

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"time"

	"github.com/millrace-dev/millrace/jobs"
)

// Codes of failures that only processes have. They are part of the API.
const (
	CodeProcessDied  = "process_died"  // the process ended while the function ran in it
	CodeProcessLimit = "process_limit" // it started more processes than it may
	CodeOutputLimit  = "output_limit"  // it wrote more than it may
	CodeBlocked      = "blocked"       // it kept the event loop from all others in its process
	CodeSandbox      = "sandbox"       // the instance cannot shut it in as the function requires
)

// ErrClosed is returned by a Runner after Close.
var ErrClosed = errors.New("the process runtime is closed")

// failf is a failure that another attempt may not have.
func failf(code, format string, args ...any) *jobs.Failure {
	return &jobs.Failure{Code: code, Message: fmt.Sprintf(format, args...), Retryable: true}
}

// ended is the failure of a call whose context ended.
func ended(ctx context.Context, killed bool) error {
	more := ""
	if killed {
		more = ", and did not stop when it was told to: its process was ended"
	}

	switch {
	case errors.Is(context.Cause(ctx), ErrClosed):
		return ErrClosed
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return failf(jobs.CodeTimeout, "the function took longer than its timeout (config.timeout)%s", more)
	}

	return &jobs.Failure{Code: jobs.CodeCancelled, Message: "the call was cancelled" + more}
}

// waitedInVain is the end of a call that no process took in time: it never ran.
func waitedInVain(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("wait for a process: %w", jobs.ErrNotBegun)
	}

	return ended(ctx, false)
}

// mate is what becomes of a call whose process ended by no fault of it.
func mate() error { return fmt.Errorf("another call ended the process: %w", jobs.ErrInterrupted) }

func memoryLimit(limit int64, found string) *jobs.Failure {
	return failf(jobs.CodeMemoryLimit, "the function needs more than its %d MiB of memory%s (config.memory raises the limit)", limit>>20, found)
}

// died tells what the end of a child means for the call that it ran.
func (c *child) died() *jobs.Failure {
	stderr := strings.TrimSpace(c.stderr.String())
	state := c.process.State()
	how := "ended by itself"
	if status, ok := state.Sys().(syscall.WaitStatus); ok {
		switch {
		case strings.Contains(stderr, "heap out of memory"), strings.Contains(stderr, "MemoryError"):
			return memoryLimit(c.program.memory, "")
		case status.Signaled() && status.Signal() == syscall.SIGKILL:
			how = "was killed from outside, perhaps by the system for want of memory"
		case status.Signaled():
			how = fmt.Sprintf("crashed (%s)", status.Signal())
		default:
			how = fmt.Sprintf("ended by itself (exit status %d)", status.ExitStatus())
		}
	}

	f := failf(CodeProcessDied, "the process %s while the function ran in it", how)
	f.Stack = cut(stderr)

	return f
}

// maxText is how many bytes of a message or a stack are looked at; the platform keeps less.
const maxText = 64 << 10

func cut(text string) string {
	if len(text) <= maxText {
		return text
	}

	return strings.ToValidUTF8(text[:maxText], "") + "…"
}

func seconds(d time.Duration) string { return d.Round(100 * time.Millisecond).String() }
