package jobs

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

var (
	//go:embed sql/limits_set.sql
	limitsSetSQL string
	//go:embed sql/limits_forget.sql
	limitsForgetSQL string
)

// Bounds of limits.
const (
	MaxConcurrency = 1_000_000
	MaxRate        = 1_000_000 // starts in a period, and at once
	MinRatePeriod  = time.Millisecond
	MaxRatePeriod  = 365 * 24 * time.Hour
	maxKeyLength   = 200 // bytes of an expression

	// maxBurstTime bounds how long a rate takes to make its burst: times have an end, also in Postgres.
	maxBurstTime = 100 * 365 * 24 * time.Hour
)

// Limits say how many jobs of a function may run. They hold over all nodes, for each key by itself, and are read by
// every claim, so that a change acts at once; it never ends jobs that run. The zero value limits nothing.
//
// A key is an expression on a job's input, evaluated when the job is submitted: a path such as input.customer.id or
// input.items.0.sku, or a template with paths in braces, such as {input.region}:{input.customer.id}. What is not there
// counts as the empty text, an object or an array as its JSON. No expression means one key for all jobs.
type Limits struct {
	Concurrency    int    // jobs of one key running at once; 0 means no limit
	ConcurrencyKey string // needs Concurrency
	Rate           Rate
}

// Rate limits how often attempts start, by GCRA (the generic cell rate algorithm): they are spaced evenly, Period/Limit
// apart, and after a quiet time Burst of them may start at once. So no time span t sees more than
// Burst + t × Limit/Period starts. A job that has to wait stays queued, and its attempts are not touched.
type Rate struct {
	Limit  int           // starts in Period; 0 means no limit
	Period time.Duration // 1 ms to 365 days
	Burst  int           // 0 means what the rate makes in a tenth of a second, and at least 1; at most 100 years' worth
	Key    string        // as Limits.ConcurrencyKey
}

// None reports whether nothing is limited.
func (l Limits) None() bool { return l.Concurrency == 0 && l.Rate.Limit == 0 }

// Validate returns every mistake in l.
func (l Limits) Validate() error {
	var errs []error

	if l.Concurrency < 0 || l.Concurrency > MaxConcurrency {
		errs = append(errs, fmt.Errorf("concurrency must be 1 to %d, or 0 for no limit", MaxConcurrency))
	}

	if l.ConcurrencyKey != "" && l.Concurrency == 0 {
		errs = append(errs, errors.New("a concurrency key needs a concurrency"))
	}

	errs = append(errs, checkKey("the concurrency key", l.ConcurrencyKey), l.Rate.validate())

	return errors.Join(errs...)
}

func (r Rate) validate() error {
	if r.Limit == 0 {
		if r != (Rate{}) {
			return errors.New("a rate needs a limit")
		}

		return nil
	}

	var errs []error

	if r.Limit < 0 || r.Limit > MaxRate {
		errs = append(errs, fmt.Errorf("the rate's limit must be 1 to %d", MaxRate))
	}

	if r.Period < MinRatePeriod || r.Period > MaxRatePeriod {
		errs = append(errs, fmt.Errorf("the rate's period must be %s to %s", MinRatePeriod, MaxRatePeriod))
	} else if r.Limit > 0 && r.Period/time.Duration(r.Limit) < time.Microsecond {
		errs = append(errs, errors.New("the rate is above one start in a microsecond"))
	}

	switch {
	case r.Burst < 0 || r.Burst > MaxRate:
		errs = append(errs, fmt.Errorf("the rate's burst must be 1 to %d, or 0 for its default", MaxRate))
	case float64(r.Burst)*float64(r.Period) > float64(r.Limit)*float64(maxBurstTime):
		errs = append(errs, errors.New("the rate's burst is more than the rate makes in 100 years"))
	}

	return errors.Join(append(errs, checkKey("the rate's key", r.Key))...)
}

// keyExpression is what millrace.limit_key evaluates: a path, or a text with paths in braces.
var keyExpression = regexp.MustCompile(`\A(?:input(?:\.[^.{}\s]+)*|[^{}]*(?:\{input(?:\.[^.{}\s]+)*\}[^{}]*)+)\z`)

func checkKey(what, expression string) error {
	if expression == "" || len(expression) <= maxKeyLength && keyExpression.MatchString(expression) {
		return nil
	}

	return fmt.Errorf("%s must be a path such as input.customer.id or a template such as {input.region}:{input.id}, "+
		"at most %d bytes, not %.80q", what, maxKeyLength, expression)
}

// StoreLimits makes limits those of a function from the next claim on, on all nodes. Functions that are deployed need
// no call, since their limits go live with their version; this is for functions that are part of a program. A pause of
// the function stays.
func StoreLimits(ctx context.Context, pool *pgxpool.Pool, function string, limits Limits) error {
	if err := limits.Validate(); err != nil {
		return fmt.Errorf("limits of function %s: %w", function, err)
	}

	_, err := pool.Exec(ctx, limitsSetSQL, function, limits.Concurrency, limits.ConcurrencyKey,
		limits.Rate.Limit, limits.Rate.Period.Microseconds(), limits.Rate.Burst, limits.Rate.Key)
	if err != nil {
		return fmt.Errorf("store the limits of function %s: %w", function, err)
	}

	return nil
}
