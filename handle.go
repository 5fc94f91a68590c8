package millrace

import (
	"context"
	"time"

	"github.com/millrace-dev/millrace/functions"
	"github.com/millrace-dev/millrace/functions/runtimes/native"
	"github.com/millrace-dev/millrace/jobs"
)

// Option is a setting of a Go function. What is not set has the default that
// package jobs documents.
type Option func(*jobs.Settings)

// Queue names the queue of the function's jobs.
func Queue(name string) Option { return func(s *jobs.Settings) { s.Queue = name } }

// Priority of the function's jobs in their queue, 1 (first) to 4 (last).
func Priority(p int) Option { return func(s *jobs.Settings) { s.Priority = p } }

// MaxAttempts is how often a job is tried before it has failed.
func MaxAttempts(n int) Option { return func(s *jobs.Settings) { s.MaxAttempts = n } }

// Timeout of one attempt. The function is told by its context alone.
func Timeout(d time.Duration) Option { return func(s *jobs.Settings) { s.Timeout = d } }

// SoftTimeout, shorter than Timeout, ends the function's context before the
// attempt is ended, with the cause jobs.ErrSoftTimeout. The function may still
// clean up, for which Current(ctx).Grace is the context, and return.
func SoftTimeout(d time.Duration) Option { return func(s *jobs.Settings) { s.SoftTimeout = d } }

// Backoff is how long a job waits between two attempts.
func Backoff(b jobs.Backoff) Option { return func(s *jobs.Settings) { s.Backoff = b } }

// Callback tells the end of the function's jobs to a URL, but for jobs that say
// another one.
func Callback(c jobs.Callback) Option { return func(s *jobs.Settings) { s.Callback = &c } }

// Concurrency is how many jobs of the function run at once, over all instances.
func Concurrency(n int) Option { return func(s *jobs.Settings) { s.Limits.Concurrency = n } }

// ConcurrencyKey makes Concurrency hold for each value of an expression on the
// input, such as "input.customer.id"; package jobs has the grammar (Limits).
func ConcurrencyKey(expression string) Option {
	return func(s *jobs.Settings) { s.Limits.ConcurrencyKey = expression }
}

// Rate is how often attempts of the function may start, over all instances.
func Rate(r jobs.Rate) Option { return func(s *jobs.Settings) { s.Limits.Rate = r } }

// Retention is how long the function's finished jobs are kept. What it leaves
// zero is as Config.Retention says.
func Retention(r jobs.Retention) Option { return func(s *jobs.Settings) { s.Retention = r } }

// Handle makes a Go function callable under a name such as "orders.charge".
// Call it before Start, on every instance that submits or works its jobs; a
// mistake in it (a bad name, a name taken twice) is returned by Start. After
// Start it panics.
//
// The input is decoded strictly: one with unknown fields or of another shape
// fails its job, without another attempt. An error of fn fails the attempt and
// is retried unless it is a *jobs.Failure that says otherwise. Current(ctx) gives
// fn the job's id, its progress and its log.
func Handle[In, Out any](app *App, name string, fn func(ctx context.Context, input In) (Out, error), options ...Option) {
	var settings jobs.Settings
	for _, set := range options {
		set(&settings)
	}
	app.register(func(s *functions.Service) error {
		return s.RegisterNative(name, native.Handle(fn), settings)
	})
}

// Current is the job that a Go function is running as, and what it may do:
// Progress, Log, Publish, Enqueue. It panics for a context that no function was
// given.
func Current(ctx context.Context) native.Current { return native.From(ctx) }
