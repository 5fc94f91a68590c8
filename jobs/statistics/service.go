package statistics

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/millrace-dev/millrace/internal/service"
	"github.com/millrace-dev/millrace/jobs"
)

var (
	//go:embed sql/minute_save.sql
	minuteSaveSQL string
	//go:embed sql/minute_forget.sql
	minuteForgetSQL string
	//go:embed sql/failure_save.sql
	failureSaveSQL string
	//go:embed sql/failure_forget.sql
	failureForgetSQL string
)

const (
	// WriteEvery is how often a node writes its statistics and failures: what a kill of the node can lose of them.
	WriteEvery = 5 * time.Second

	writeTimeout = 10 * time.Second
	writeBatch   = 2_000 // series of one statement
	forgetEvery  = 10 * time.Minute
	forgetBatch  = 5_000
	warnEvery    = time.Minute

	// MinutesFor and HoursFor are how long statistics are kept.
	MinutesFor = 24 * time.Hour
	HoursFor   = 30 * 24 * time.Hour
	// FailuresFor is how long a failure group is kept after its last failure; beyond MaxFailureGroups those that
	// failed last stay.
	FailuresFor      = 30 * 24 * time.Hour
	MaxFailureGroups = 10_000
)

// Config is what New needs. Pool and NodeID are required.
type Config struct {
	Pool *pgxpool.Pool
	// NodeID tells this process from every other one; it is what jobs.Config says.
	NodeID string
	// Logger defaults to silence.
	Logger *slog.Logger
}

// Service counts in memory what becomes of attempts and writes it every few seconds, beside the finisher and not in its
// transaction: no outcome waits for a statistic. It reads what all nodes have written. Make one with New; what is not
// started writes nothing, and reads all the same.
type Service struct {
	service.Base

	pool     *pgxpool.Pool
	node     string
	minutes  *minutes
	failures *failures
	every    time.Duration
	log      *slog.Logger
}

// New makes a service from a configuration.
func New(cfg Config) (*Service, error) {
	if cfg.Pool == nil || cfg.NodeID == "" {
		return nil, errors.New("statistics configuration: pool and node id are required")
	}

	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}

	return &Service{
		pool: cfg.Pool, node: cfg.NodeID, minutes: newMinutes(), failures: newFailures(), every: WriteEvery, log: cfg.Logger,
	}, nil
}

// AttemptEnded counts an attempt whose outcome is recorded. It is what jobs.Config.Ended is to be.
func (t *Service) AttemptEnded(end *jobs.AttemptEnd) {
	waited, took := end.Waited, end.Took
	if end.Lost {
		waited, took = unknownTime, unknownTime
	}

	now := time.Now()
	t.minutes.add(now, end.Function, end.State, waited, took)

	if end.Failure != nil && end.Failure.Code != jobs.CodeCancelled {
		t.failures.add(failed{function: end.Function, job: end.JobID, failure: end.Failure, at: now})
	}
}

// Start begins to write.
func (t *Service) Start(ctx context.Context) error {
	if _, err := t.Begin(ctx); err != nil {
		return err //nolint:wrapcheck // the service group names the part
	}

	t.Go(t.loop)

	return nil
}

// loop writes until ctx ends, and then once more what is left.
func (t *Service) loop(ctx context.Context) {
	var warned time.Time

	forgot := time.Now()

	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-time.After(t.every*9/10 + rand.N(t.every/10)): //nolint:gosec // jitter, so that nodes take turns
		}

		if err := t.flush(ctx); err != nil && time.Since(warned) > warnEvery {
			t.log.WarnContext(ctx, "jobs: statistics cannot be written", "err", err)
			warned = time.Now()
		}

		if time.Since(forgot) > forgetEvery && ctx.Err() == nil {
			t.forget(ctx)
			forgot = time.Now()
		}
	}
}

// flush writes what changed. When the answer to a commit is lost, failures of that write are counted twice, and the
// minutes, which are written whole, are not.
func (t *Service) flush(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	defer cancel()

	for {
		now := time.Now()
		copies, from := t.minutes.snapshot(writeBatch)
		groups := t.failures.take()

		if len(copies) == 0 && len(groups) == 0 {
			return nil
		}

		batch := &pgx.Batch{}
		if len(copies) > 0 {
			batch.Queue(minuteSaveSQL, t.minuteArguments(copies)...)
		}

		if len(groups) > 0 {
			batch.Queue(failureSaveSQL, failureArguments(groups)...)
		}

		if err := t.pool.SendBatch(ctx, batch).Close(); err != nil {
			t.failures.putBack(groups)

			return fmt.Errorf("write %d minutes and %d failure groups: %w", len(copies), len(groups), err)
		}

		t.minutes.stored(copies, from, now)

		if len(copies) < writeBatch {
			return nil
		}
	}
}

// minuteArguments are those of minute_save.sql.
func (t *Service) minuteArguments(list []series) []any {
	var (
		seconds   = make([]int32, len(list))
		at        = make([]time.Time, len(list))
		functions = make([]string, len(list))
		counts    = [4][]int64{}
		wait, run = make([]string, len(list)), make([]string, len(list))
	)

	for i := range list {
		s := &list[i]
		seconds[i], at[i] = int32(s.seconds), time.Unix(s.at, 0) //nolint:gosec // 60 or 3600
		functions[i] = strings.ToValidUTF8(s.function, "�")
		wait[i], run[i] = s.wait.pack(), s.run.pack()

		for j, n := range []int64{s.completed, s.failed, s.dead, s.cancelled} {
			counts[j] = append(counts[j], n)
		}
	}

	return []any{t.node, seconds, at, functions, counts[0], counts[1], counts[2], counts[3], wait, run}
}

// forget deletes what was kept for its time. The next time will do as well.
func (t *Service) forget(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()

	for seconds, keep := range map[int]time.Duration{60: MinutesFor, 3600: HoursFor} {
		for {
			tag, err := t.pool.Exec(ctx, minuteForgetSQL, seconds, int64(keep.Seconds()), forgetBatch)
			if err != nil || tag.RowsAffected() < forgetBatch {
				break
			}
		}
	}

	_, _ = t.pool.Exec(ctx, failureForgetSQL, int64(FailuresFor.Seconds()), MaxFailureGroups)
}
